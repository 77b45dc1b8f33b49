"""A private RabbitMQ node that shares nothing with the machine's own: not even the port mapper."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.servers.addresses import Address
from tests.servers.ports import LOOPBACK, accepts, free_port, wait_until
from tests.servers.private import PrivateServer, find_program
from tests.servers.process import ServerProcess

USER = "guest"
PASSWORD = "guest"

# Debian's commands on the PATH are wrappers that insist on the system's own node and account.
REAL_COMMANDS = (Path("/usr/lib/rabbitmq/bin"),)

PORT_MAPPER_TIMEOUT_SECONDS = 10.0
DEFAULT_MEMORY_LIMIT = "0.4"

CONFIGURATION = """
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.4
"""

ERLANG_OPTIONS = "-kernel inet_dist_use_interface {127,0,0,1}"


class PrivateRabbitMQ(PrivateServer):
    """A node with its own name, cookie, data, logs, distribution port and Erlang port mapper (epmd)."""

    title: ClassVar[str] = "the private RabbitMQ"
    accounts: ClassVar[tuple[str, ...]] = ("rabbitmq",)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.node = f"sav{self.port}@localhost"
        self._distribution_port = free_port()
        self._mapper_port = free_port()
        self._mapper: ServerProcess | None = None

    @property
    def address(self) -> Address:
        return Address(scheme="amqp", host=LOOPBACK, port=self.port, user=USER, password=PASSWORD, path="/")

    def command(self) -> Sequence[str]:
        return [find_program("rabbitmq-server", first_in=REAL_COMMANDS)]

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.directory / "generated"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_OPTIONS,
        }

    def prepare(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(CONFIGURATION)
        (self.directory / "enabled_plugins").write_text("[].")
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
            self.own(cookie)
        self._start_port_mapper()

    def stop(self) -> None:
        super().stop()
        self._end_port_mapper()

    def kill(self) -> None:
        """SIGKILL to the Erlang machine itself, not only to the script that started it."""
        super().kill()
        self._end_port_mapper()

    def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl` on this node; its output, or ServerFailed."""
        rabbitmqctl = find_program("rabbitmqctl", first_in=REAL_COMMANDS)
        return self.run([rabbitmqctl, "--quiet", "--node", self.node, *arguments])

    def raise_memory_alarm(self) -> None:
        """From now on the node stops reading from every connection that publishes."""
        self.ctl("set_vm_memory_high_watermark", "absolute", "1MB")

    def clear_memory_alarm(self) -> None:
        self.ctl("set_vm_memory_high_watermark", DEFAULT_MEMORY_LIMIT)

    def _start_port_mapper(self) -> None:
        # Started by us and not by the node, which would leave it behind as a daemon.
        epmd = [find_program("epmd"), "-port", str(self._mapper_port), "-address", LOOPBACK]
        self._mapper = self.spawn(epmd, log=self.directory / "epmd.log")
        wait_until(
            lambda: accepts(self._mapper_port),
            timeout_seconds=PORT_MAPPER_TIMEOUT_SECONDS,
            what="the Erlang port mapper of the private RabbitMQ",
        )

    def _end_port_mapper(self) -> None:
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper = None
