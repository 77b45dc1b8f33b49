"""Starting the service as its users do: the installed command in a clean environment."""

import http.client
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.ports import LOOPBACK, wait_until
from tests.servers.process import ServerProcess

PROGRAMS = Path(sys.executable).parent
START_TIMEOUT_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 20.0


def clean_environment(**variables: str) -> dict[str, str]:
    """Nothing of ours but the way to the programs."""
    return {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")} | variables


class RunningCommand(ServerProcess):
    """A command in the foreground whose output goes to a file; `exit_code` once it has ended."""

    def __init__(self, *command: str, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(command, environment=environment, log=log, account=None)
        self.log = log

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """To the process itself, as a supervisor does, not to its children."""
        # Not by its number alone, which somebody else may have once it has ended.
        self._process.send_signal(number)

    def exit_code(self, *, timeout_seconds: float) -> int:
        """Waits for its end; `subprocess.TimeoutExpired` when it does not come in time."""
        return self._process.wait(timeout_seconds)


class UpService(RunningCommand):
    """`sav up` on a data directory, with further `variables`, and with what its welcome says."""

    def __init__(self, data: Path, *, port: int, log: Path, **variables: str) -> None:
        self.data = data
        self.port = port
        environment = clean_environment(SAV_DATA_DIR=str(data), APP_PORT=str(port), **variables)
        super().__init__(str(PROGRAMS / "sav"), "up", environment=environment, log=log)

    def wait_until_ready(self) -> None:
        """Returns once the welcome is complete; fails with the output when the process ends before."""
        wait_until(
            lambda: "Stop with Ctrl-C." in self.output or not self.running,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what="sav up",
        )
        assert self.running, self.output

    def token(self, role: str) -> str:
        found = re.findall(rf"^{role.upper()}=(\S+)$", self.output, re.MULTILINE)
        assert found, self.output
        return str(found[-1])

    @property
    def events(self) -> list[dict[str, Any]]:
        file = self.data / "events.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def call(
    port: int, method: str, path: str, *, token: str | None = None, body: object = None
) -> tuple[int, Any]:
    """One request on a connection of its own: the status, and the parsed body if there is one."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=REQUEST_TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    return response.status, json.loads(text) if text else None
