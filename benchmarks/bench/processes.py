"""Competitors as processes: started, asked what they have used, ended."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench.bounds import START_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS
from tests.servers.ports import NotReady, wait_until
from tests.servers.process import ServerProcess

PROGRAMS = Path(sys.executable).parent
_TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """A competitor ended, or did not answer in time; carries the end of its log."""


class Running(ServerProcess):
    """A process and its children."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        everything = {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            **environment,
        }
        super().__init__(command, environment=everything, log=log, account=None)
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def children(self) -> list[int]:
        """The processes that it has started, and those that they have."""
        found, parents = [], [self.pid]
        while parents:
            parents = [child for parent in parents for child in _children(parent)]
            found += parents
        return found

    def cpu_seconds(self) -> float:
        """Used so far by all that run."""
        return sum(_cpu_seconds(pid) for pid in (self.pid, *self.children))

    def resident_mib(self) -> list[float]:
        """Of each child: the processes that do the work."""
        return [_resident_mib(pid) for pid in self.children]

    def wait_for(self, url: str) -> None:
        """Returns once the address answers anything at all; raises `DidNotStart`."""
        try:
            wait_until(
                lambda: not self.running or _answers(url),
                timeout_seconds=START_TIMEOUT_SECONDS,
                what=url,
            )
        except NotReady as late:
            raise DidNotStart(f"{late}\n{self._end_of_log()}") from None
        if not self.running:
            raise DidNotStart(self._end_of_log())

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, url: str | None = None
) -> Iterator[Running]:
    """A process from its first answer on (with `url`) to the end of the block."""
    process = Running(command, environment=environment, log=log)
    try:
        if url:
            process.wait_for(url)
        yield process
    finally:
        process.terminate(timeout_seconds=STOP_TIMEOUT_SECONDS)


def output_of(command: Sequence[str], *, environment: Mapping[str, str], timeout: float) -> str:
    """What a command prints; raises `DidNotStart` with what it complained of."""
    done = subprocess.run(  # noqa: S603
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise DidNotStart(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return done.stdout


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310
    except urllib.error.HTTPError:
        return True
    except OSError:
        time.sleep(0.05)
        return False
    return True


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0][1]) / 1024 if lines else 0.0
