"""Every example of docs/api.md is run as it stands, and answers what the guide says."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ports import LOOPBACK, free_port
from tests.system.running_service import UpService, clean_environment

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLE = re.compile(r"```bash\n(.*?)```\n\n→ (\d{3})\n\n```json\n(.*?)```", re.DOTALL)
EXAMPLE_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Example:
    command: str
    status: int
    answer: Any


def examples() -> list[Example]:
    text = GUIDE.read_text()
    found = [
        Example(command, int(status), json.loads(answer)) for command, status, answer in EXAMPLE.findall(text)
    ]
    assert len(found) == text.count("```bash"), "an example without its answer"
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpService]:
    directory = tmp_path_factory.mktemp("guide")
    service = UpService(directory / "var", port=free_port(), log=directory / "log")
    service.wait_until_ready()
    yield service
    service.kill()


def assert_shows(shown: Any, answer: Any, where: str = "answer") -> None:
    """What the guide shows is in the answer; `…` stands for any value but null."""
    if shown == "…":
        assert answer is not None, where
    elif isinstance(shown, dict):
        for name, value in shown.items():
            assert name in answer, f"{where}.{name}"
            assert_shows(value, answer[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert len(answer) == len(shown), where
        for number, value in enumerate(shown):
            assert_shows(value, answer[number], f"{where}[{number}]")
    else:
        assert answer == shown, where


def test_the_guide_tells_the_truth(service: UpService, tmp_path: Path) -> None:
    environment = clean_environment(
        SAV=f"http://{LOOPBACK}:{service.port}",
        CUSTOMER=service.token("customer"),
        AGENT=service.token("agent"),
        ADMIN=service.token("admin"),
        GUEST=str(tmp_path / "guest.json"),
    )
    for example in examples():
        command = example.command.replace("curl ", "curl -w '\\n%{http_code}' ", 1)
        done = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=EXAMPLE_TIMEOUT_SECONDS,
            check=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        assert int(status) == example.status, f"{example.command}\n{body}"
        assert_shows(example.answer, json.loads(body), example.command)
