"""A deployment whose processes are replaced one by one, as a cluster does it.

The new process is ready before the old one is taken out of the balancer, and the old one is told to end a
moment after that (`preStop`).
"""

import itertools
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers.balancer import Balancer
from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.fleet import START_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS, ProcessName
from tests.system.running_service import PROGRAMS, RunningCommand

PRE_STOP_SECONDS = 1.0
"""What a balancer needs to send nothing more to a process that is about to end; a cluster's takes longer."""
READY_WORKER = "Worker process is ready"


@dataclass(frozen=True)
class Replica:
    """One process of a tier; a web process with its port."""

    process: RunningCommand
    port: int


class Deployment:
    """The processes of a deployment, each tier several times, and the balancer before the web tier.

    `environment` are the settings of all of them, and `directory` is where their logs go.
    """

    def __init__(self, environment: Mapping[str, str], *, directory: Path, balancer: Balancer) -> None:
        self.balancer = balancer
        self._environment = dict(environment)
        self._directory = directory
        self._numbers = itertools.count(1)
        self._processes: list[RunningCommand] = []

    def start(
        self, name: ProcessName, *, programs: Path = PROGRAMS, variables: Mapping[str, str] | None = None
    ) -> Replica:
        """Starts the release whose programs these are; returns once it is ready, as a probe would see it."""
        port = free_port()
        log = self._directory / f"{name}-{next(self._numbers)}.log"
        environment = {
            **self._environment,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "APP_PORT": str(port),
            "WORKER_PROCESSES": "1",
            **(variables or {}),
        }
        process = RunningCommand(str(programs / "sav"), name, environment=environment, log=log)
        self._processes.append(process)
        ready = (lambda: _is_ready(port)) if name == "http" else (lambda: READY_WORKER in process.output)
        wait_until(
            lambda: not process.running or name == "scheduler" or ready(),
            timeout_seconds=START_TIMEOUT_SECONDS,
            what=f"sav {name}",
        )
        assert process.running, process.output
        if name == "http":
            self.balancer.add(port)
        return Replica(process, port)

    def end(self, replica: Replica) -> int:
        """In good order; the exit code."""
        self.balancer.take_out(replica.port)
        time.sleep(PRE_STOP_SECONDS)
        replica.process.signal(signal.SIGTERM)
        return replica.process.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS)

    def close(self) -> None:
        for process in self._processes:
            process.kill()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/ready", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False
