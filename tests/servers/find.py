"""Finding a server of each kind, or starting one: environment, default ports, Docker, a private one."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.servers.addresses import Address
from tests.servers.docker import ComposeProject, DockerUnusable
from tests.servers.install import CannotInstall
from tests.servers.kinds import BROKER, ServerKind
from tests.servers.login import LoginFailed, log_in
from tests.servers.ports import accepts
from tests.servers.private import NotInstalled, ServerFailed
from tests.servers.rabbitmq import PrivateRabbitMQ

RABBITMQCTL_TIMEOUT_SECONDS = 30.0

RabbitMQCtl = Callable[..., str]
"""Runs `rabbitmqctl` with these arguments on the node that was found; any exception: it could not."""


class NotThere(Exception):
    """This way leads to no server; the next may."""


class WrongURL(Exception):
    """A URL was given and does not work: not a reason to test against something else."""


class NoServer(Exception):
    """Every way was tried; the text is for the person at the terminal."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A server that has answered a login."""

    kind: ServerKind
    address: Address
    how: str
    version: str
    rabbitmqctl: RabbitMQCtl | None = None

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.version} at {self.address} ({self.how})"


class ServerFinder:
    """Finds or starts servers for one run; what it starts ends with `stack`.

    `only_private` passes over the default ports and Docker. A URL in the environment always counts.
    """

    def __init__(self, *, run_id: str, directory: Path, stack: ExitStack, only_private: bool) -> None:
        self._directory = directory
        self._stack = stack
        self._compose = ComposeProject(f"sav_test_{run_id}")
        self._docker_is_ready = False
        shared = [("its default port", at_default_port), ("Docker Compose", self._in_docker)]
        private = [("a private server", self._private), ("installing it", self._installed_by_us)]
        self._ways = private if only_private else shared + private

    def find(self, kind: ServerKind) -> Found:
        """The first server of this kind that answers; WrongURL or NoServer otherwise."""
        if found := at_environment(kind):
            return found
        tried = []
        for title, way in self._ways:
            try:
                return way(kind)
            except NotThere as reason:
                tried.append(f"  - {title}: {reason}")
        raise NoServer(
            "\n".join(
                [
                    f"{kind.name}: no server, and none could be started. Tried:",
                    *tried,
                    f"  To go on: {kind.advice}; or {kind.variable}={kind.example}",
                ]
            )
        )

    def _in_docker(self, kind: ServerKind) -> Found:
        try:
            if not self._docker_is_ready:
                self._compose.check()
                self._stack.callback(self._compose.down)
                self._docker_is_ready = True
            print(f"{kind.name}: starting it with Docker Compose ...", flush=True)
            address = self._compose.start(kind.compose_service)
        except DockerUnusable as reason:
            raise NotThere(str(reason)) from reason
        ctl = self._compose.rabbitmqctl if kind is BROKER else None
        return _answering(kind, address, how="started with Docker Compose", rabbitmqctl=ctl)

    def _private(self, kind: ServerKind) -> Found:
        server = kind.private(self._directory / kind.name)
        try:
            self._stack.enter_context(server)
        except (NotInstalled, ServerFailed) as reason:
            raise NotThere(str(reason)) from reason
        ctl = server.ctl if isinstance(server, PrivateRabbitMQ) else None
        return _answering(kind, server.address, how="a private one, started for this run", rabbitmqctl=ctl)

    def _installed_by_us(self, kind: ServerKind) -> Found:
        if kind.private(self._directory / kind.name).is_installed:
            raise NotThere("its program is here already; see above why it did not start")
        print(f"{kind.name}: installing it ...", flush=True)
        try:
            kind.install()
        except CannotInstall as reason:
            raise NotThere(str(reason)) from reason
        return self._private(kind)


def at_environment(kind: ServerKind) -> Found | None:
    """The server that the environment names; None when it names none, WrongURL when it does not answer."""
    url = os.environ.get(kind.variable)
    if not url:
        return None
    try:
        address = Address.parse(url)
        if address.scheme != kind.scheme:
            raise ValueError(f"expected {kind.scheme}://, not {address.scheme}://")
        ctl = _system_rabbitmqctl(kind, address)
        return _answering(kind, address, how=f"from {kind.variable}", rabbitmqctl=ctl)
    except (ValueError, NotThere) as reason:
        raise WrongURL(
            f"{kind.name}: {kind.variable} does not work: {reason} (like {kind.example})"
        ) from reason


def at_default_port(kind: ServerKind) -> Found:
    """The server that listens where such servers do; NotThere when nobody does or no usual login works."""
    addresses = [Address.parse(url) for url in kind.default_urls]
    port = addresses[0].port
    if not accepts(port):
        raise NotThere(f"nobody listens on 127.0.0.1:{port}")
    refusals = []
    for address in addresses:
        try:
            ctl = _system_rabbitmqctl(kind, address)
            return _answering(kind, address, how="found at its default port", rabbitmqctl=ctl)
        except NotThere as reason:
            refusals.append(str(reason))
    raise NotThere("; ".join(refusals))


def _answering(kind: ServerKind, address: Address, *, how: str, rabbitmqctl: RabbitMQCtl | None) -> Found:
    try:
        version = log_in(address)
    except LoginFailed as reason:
        raise NotThere(f"login as {address.user} at {address} failed: {reason}") from reason
    return Found(kind=kind, address=address, how=how, version=version, rabbitmqctl=rabbitmqctl)


def _system_rabbitmqctl(kind: ServerKind, address: Address) -> RabbitMQCtl | None:
    if kind is BROKER and address.is_local and shutil.which("rabbitmqctl"):
        return _run_system_rabbitmqctl
    return None


def _run_system_rabbitmqctl(*arguments: str) -> str:
    done = subprocess.run(
        ["rabbitmqctl", "--quiet", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RABBITMQCTL_TIMEOUT_SECONDS,
        check=True,
    )
    return done.stdout
