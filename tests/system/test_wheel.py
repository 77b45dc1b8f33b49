"""The package that is built holds all that the service is, and starts where there is no source."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.doc_commands import ROOT
from tests.system.running_service import RunningCommand, clean_environment

SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
BUILD_TIMEOUT_SECONDS = 240
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 20.0
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build writes beside its source."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "sav", source / "sav", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, source / name)
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", target, source],
        check=True,
        timeout=BUILD_TIMEOUT_SECONDS,
    )
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own, which borrows no more than what it depends on."""
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    install = ["--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([*PIP, *install], check=True, timeout=BUILD_TIMEOUT_SECONDS)
    (packages,) = home.glob("lib/python*/site-packages")
    # Behind its own: what is installed here as source stays unseen.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def run(programs: Path, place: Path, *command: str) -> str:
    answer = subprocess.run(
        [programs / command[0], *command[1:]],
        cwd=place,
        env=clean_environment(SAV_DATA_DIR=str(place / "var")),
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_it_holds_every_file_of_the_service(wheel: Path) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "sav").rglob("*") if path.is_file()}
    wanted = {name for name in files if "__pycache__" not in name}
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert wanted - packed == set()
    assert {name for name in packed if not name.startswith(("sav/", "sav_service-"))} == set()


def test_it_is_the_wheel_that_runs(programs: Path, place: Path) -> None:
    where = run(programs, place, "python", "-c", "import sav; print(sav.__file__)")
    assert Path(where.strip()).is_relative_to(programs.parent)


def test_its_commands_work_elsewhere(programs: Path, place: Path) -> None:
    assert "after-sales support desk" in run(programs, place, "sav", "--help")
    applied = run(programs, place, "sav", "migrate", "--embedded").splitlines()
    assert len([line for line in applied if line.startswith("applied: ")]) == len(
        list((ROOT / "sav" / "models" / "migrations").glob("[0-9]*.py"))
    )
    assert "Make the full-text index anew" in run(programs, place, "sav", "--help")
    run(programs, place, "sav", "mail", "preview", "--out", "mails")
    assert len(list((place / "mails").rglob("*.html"))) >= 10


@pytest.fixture
def service(programs: Path, place: Path) -> Iterator[str]:
    port = free_port()
    environment = clean_environment(SAV_DATA_DIR=str(place / "var"), APP_PORT=str(port))
    command = RunningCommand(str(programs / "sav"), "up", environment=environment, log=place / "up.log")
    try:
        wait_until(
            lambda: "Stop with Ctrl-C." in command.output or not command.running,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what="sav up",
        )
        assert command.running, command.output
        yield f"http://{LOOPBACK}:{port}"
    finally:
        command.terminate(timeout_seconds=STOP_TIMEOUT_SECONDS)


def test_it_serves_its_pages(service: str) -> None:
    with httpx.Client(base_url=service, timeout=30) as client:
        assert client.get("/ready").status_code == 200
        assert "/tickets" in client.get("/openapi.json").json()["paths"]
        page = client.get("/docs")
        assert page.status_code == 200
        assert "<script" in page.text
        lost = client.get("/public/surveys/no-such-link", headers={"Accept": "text/html"})
        assert lost.status_code == 404
        assert "<html" in lost.text
