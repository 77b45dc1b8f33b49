"""Three private RabbitMQ nodes that form a cluster, each of which may be killed and come back."""

import json
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.addresses import Address
from tests.servers.ports import LOOPBACK
from tests.servers.rabbitmq import PrivateRabbitMQ

NODES = 3
ONLINE_TIMEOUT_SECONDS = 50

PEERS = """
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.discovery_retry_interval = 100
cluster_partition_handling = pause_minority
"""


class _Node(PrivateRabbitMQ):
    """A node that knows its peers: one cookie, and one port mapper, which is not its own."""

    def __init__(self, directory: Path, *, cookie: str) -> None:
        super().__init__(directory)
        self._cookie = cookie
        self.peers: Sequence[_Node] = [self]

    def prepare(self) -> None:
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self._cookie)
            cookie.chmod(0o400)
            self.own(cookie)
        super().prepare()
        names = (
            f"cluster_formation.classic_config.nodes.{place} = {peer.node}\n"
            for place, peer in enumerate(self.peers, start=1)
        )
        with (self.directory / "rabbitmq.conf").open("a") as configuration:
            configuration.writelines([PEERS, *names])

    def join(self, peers: Sequence["_Node"]) -> None:
        """Before the first start: the port mapper of the first is everybody's."""
        self.peers = peers
        self._mapper_port = peers[0]._mapper_port

    def start_port_mapper(self) -> None:
        super()._start_port_mapper()

    def end_port_mapper(self) -> None:
        super()._end_port_mapper()

    def _start_port_mapper(self) -> None:
        """It belongs to the cluster."""

    def _end_port_mapper(self) -> None:
        """It outlives each node: without it, nobody finds the others again."""


class PrivateCluster:
    """`nodes` are servers like any other; a quorum of two is left when one of them is killed."""

    def __init__(self, directory: Path) -> None:
        cookie = secrets.token_hex(16)
        self._directory = directory
        self.nodes = [_Node(directory / f"node-{number}", cookie=cookie) for number in range(NODES)]
        for node in self.nodes:
            node.join(self.nodes)

    def __enter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        self._directory.chmod(0o711)
        first = self.nodes[0]
        first.directory.mkdir(exist_ok=True)
        try:
            first.start_port_mapper()
            # Together: each waits for the others to be there.
            with ThreadPoolExecutor(NODES) as pool:
                list(pool.map(lambda node: node.start(), self.nodes))
            self.wait_until_whole()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def address(self) -> Address:
        """The first node's."""
        return self.nodes[0].address

    @property
    def hosts(self) -> str:
        """All nodes, as `RABBITMQ_HOST` names them."""
        return ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)

    def wait_until_whole(self) -> None:
        """Returns once every node knows that all are there; ServerFailed when that takes too long."""
        for node in self.nodes:
            node.ctl("await_online_nodes", str(NODES), "--timeout", str(ONLINE_TIMEOUT_SECONDS))

    def leader(self, queue: str) -> PrivateRabbitMQ:
        """The node that leads a quorum queue."""
        listed = json.loads(self._living().ctl("list_queues", "name", "leader", "--formatter", "json"))
        (name,) = [row["leader"] for row in listed if row["name"] == queue]
        (leader,) = [node for node in self.nodes if node.node == name]
        return leader

    def _living(self) -> PrivateRabbitMQ:
        return next(node for node in self.nodes if node.running)

    def _end(self) -> None:
        # Nothing on them is kept, and saying goodbye to each other takes them long.
        for node in self.nodes:
            node.kill()
        self.nodes[0].end_port_mapper()
