"""Servers in containers, on machines where Docker Compose works."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.addresses import Address
from tests.servers.login import LoginFailed, log_in
from tests.servers.ports import NotReady, free_port, wait_until

COMPOSE_FILE = Path(__file__).with_name("compose.yml")

# The credentials are those in the file.
URLS = {
    "mysql": "mysql://root:root@127.0.0.1:{port}",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:{port}",
    "s3": "http://admin:adminpass123@127.0.0.1:{port}",
}

ASK_TIMEOUT_SECONDS = 15.0
PULL_AND_START_TIMEOUT_SECONDS = 600.0
READY_TIMEOUT_SECONDS = 120.0
DOWN_TIMEOUT_SECONDS = 60.0


class DockerUnusable(Exception):
    """Docker Compose is not here, its engine does not answer, or a container did not come up."""


class ComposeProject:
    """One run's containers, under a project name that no other run has."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ports = {service: free_port() for service in URLS}

    def check(self) -> None:
        """DockerUnusable with the reason when no container can be started on this machine."""
        if shutil.which("docker") is None:
            raise DockerUnusable("no docker command")
        _docker("compose", "version", timeout_seconds=ASK_TIMEOUT_SECONDS)
        _docker("info", timeout_seconds=ASK_TIMEOUT_SECONDS)

    def start(self, service: str) -> Address:
        """Start one service of the file and return once a login works; DockerUnusable otherwise."""
        self._compose("up", "--detach", service, timeout_seconds=PULL_AND_START_TIMEOUT_SECONDS)
        address = Address.parse(URLS[service].format(port=self._ports[service]))
        try:
            wait_until(
                lambda: _answers(address), timeout_seconds=READY_TIMEOUT_SECONDS, what=f"{service} in Docker"
            )
        except NotReady as late:
            raise DockerUnusable(str(late)) from None
        return address

    def rabbitmqctl(self, *arguments: str) -> str:
        command = ("exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", *arguments)
        return self._compose(*command, timeout_seconds=READY_TIMEOUT_SECONDS)

    def down(self) -> None:
        """Remove the containers, their network and their data."""
        self._compose("down", "--volumes", timeout_seconds=DOWN_TIMEOUT_SECONDS)

    def _compose(self, *arguments: str, timeout_seconds: float) -> str:
        project = ("compose", "--project-name", self._name, "--file", str(COMPOSE_FILE))
        ports = {f"SAV_COMPOSE_{service.upper()}_PORT": str(port) for service, port in self._ports.items()}
        return _docker(*project, *arguments, timeout_seconds=timeout_seconds, environment=ports)


def _answers(address: Address) -> bool:
    try:
        log_in(address)
    except LoginFailed:
        return False
    return True


def _docker(*arguments: str, timeout_seconds: float, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DockerUnusable(f"`docker {arguments[0]}` did not answer in {timeout_seconds:g} s") from None
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DockerUnusable(f"`docker {' '.join(arguments[:2])}`: {lines[-1]}")
    return done.stdout
