"""`scripts/_venv.sh`: one installation at a time, also where there is no `flock`, as on macOS."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.doc_commands import ROOT

WAITS_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0
PROGRAMS = ("cat", "cksum")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which all is installed already, and nothing else on the PATH than its scripts need."""
    for name in ("setup.cfg", "pyproject.toml", "scripts/_venv.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or pytest.fail(name))
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    both = (tmp_path / "setup.cfg").read_bytes() + (tmp_path / "pyproject.toml").read_bytes()
    of_both = subprocess.run(["cksum"], input=both, capture_output=True, check=True)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed-for").write_text(f"{of_both.stdout.decode().strip()} .\n")
    return tmp_path


def test_the_second_waits_for_the_first(clone: Path) -> None:
    with (clone / "setup.cfg").open() as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [
                shutil.which("bash") or "bash",
                "-euo",
                "pipefail",
                "-c",
                ". scripts/_venv.sh; python=python3; install_into_venv .",
            ],
            cwd=clone,
            env={"PATH": str(clone / "bin")},
            stderr=subprocess.PIPE,
            text=True,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(WAITS_SECONDS)
    _, said = second.communicate(timeout=TIMEOUT_SECONDS)
    assert second.returncode == 0, said
