"""What the front pages tell a new user to type, typed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.doc_commands import ROOT, Commands, run_by
from tests.system.running_service import PROGRAMS, START_TIMEOUT_SECONDS, RunningCommand

TOUR_TIMEOUT_SECONDS = 60.0
BLOCKS = run_by("tests/system/test_readme.py")
START = [block for block in BLOCKS if block.text.startswith("./scripts/up")]
TOURS = [block for block in BLOCKS if block not in START]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project's files as a clone has them, and a virtual environment that is already there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(PROGRAMS.parent)
    return tmp_path


@pytest.fixture
def service(clone: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of what the first block has started."""
    port = free_port()
    start: Commands = request.param
    command = RunningCommand(
        "bash", "-c", f"cd '{clone}' && exec {start.text}", environment=environment(port), log=clone / "log"
    )
    wait_until(
        lambda: "Stop with Ctrl-C." in command.output or not command.running,
        timeout_seconds=START_TIMEOUT_SECONDS,
        what="./scripts/up",
    )
    assert command.running, command.output
    yield port
    command.kill()


def environment(port: int) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "APP_PORT": str(port)}


def test_each_page_has_a_start_and_a_tour() -> None:
    assert [block.page for block in START] == [block.page for block in TOURS] == ["README.fr.md", "README.md"]


@pytest.mark.parametrize(
    ("service", "tour"),
    list(zip(START, TOURS, strict=True)),
    indirect=["service"],
    ids=lambda value: value.page,
)
def test_a_new_user_gets_what_the_page_says(service: int, tour: Commands, clone: Path) -> None:
    commands = tour.text.replace("127.0.0.1:8007", f"{LOOPBACK}:{service}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=clone,
        env=environment(service),
        capture_output=True,
        text=True,
        timeout=TOUR_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "urn:sav:problem" not in done.stdout
    assert re.search(r'"status":\s*"assigned"', done.stdout)
    assert re.search(r'"event":\s*"ticket.created"', done.stdout)
