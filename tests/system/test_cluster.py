"""A broker of three nodes with quorum queues: any one may die, and nothing is lost or waits for it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import pika
import pika.exceptions
import pytest

from benchmarks.chaos_clients import ForeignService
from tests.plugins.servers import FreshDatabase, broker_settings_at
from tests.servers.cable import Cable
from tests.servers.ports import LOOPBACK, wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.rabbitmq_cluster import PrivateCluster
from tests.system.conftest import Site
from tests.system.fleet import Admin, ExchangeListener, Fleet
from tests.system.foreign import Tables
from tests.system.writers import Writers, assert_all_events_are_out, assert_nothing_is_lost_or_doubled

SEED = 7
FOREIGN_EVENTS = 60
LONGEST_GAP_SECONDS = 20.0
EVENTS_AFTER_A_DEATH = 20
TICKETS_BETWEEN = 2
PAUSE_SECONDS = 0.25
"""Between two writes of one writer: nodes take long to come back, and all that is written is checked."""
SETTLE_TIMEOUT_SECONDS = 120.0
AMQP_TIMEOUT_SECONDS = 5.0


def homes_of_nothing(settings: Mapping[str, str]) -> tuple[str, str]:
    """Dramatiq's queues beside the workers' own: they are declared, classic, and nothing uses them."""
    effects = f"{settings['RABBITMQ_QUEUE']}.effects"
    return f"{effects}.DQ", f"{effects}.XQ"


class ClusterListener(ExchangeListener):
    """A consumer with a quorum queue, which knows all the nodes, and hears the service's own events alone."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        nodes = [node.rpartition(":") for node in settings["RABBITMQ_HOST"].split(",")]
        first_host, _, first_port = nodes[0]
        super().__init__({**settings, "RABBITMQ_HOST": first_host, "RABBITMQ_PORT": first_port})
        self._settings = settings
        credentials = pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"])
        # pika takes several nodes wherever it takes one.
        self._parameters = [
            pika.ConnectionParameters(
                host=host,
                port=int(port),
                virtual_host=settings["RABBITMQ_VHOST"],
                credentials=credentials,
                socket_timeout=AMQP_TIMEOUT_SECONDS,
                stack_timeout=AMQP_TIMEOUT_SECONDS,
                heartbeat=0,
            )
            for host, _, port in nodes
        ]

    def __enter__(self) -> Self:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.exchange_declare(self._exchange, exchange_type="topic", durable=True)
            channel.queue_declare(self._queue, durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(self._queue, self._exchange, routing_key="ticket.#")
            # A classic queue lives beside whoever declares it: on the first node, which is to die.
            for queue in homes_of_nothing(self._settings):
                channel.queue_declare(queue, durable=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The queue goes with its cluster.
        self._stopping.set()
        self._thread.join()

    def cannot_declare(self, queue: str) -> bool:
        """Whether the living nodes refuse to hear of a queue, because its only home is dead."""
        with pika.BlockingConnection(self._parameters) as connection:
            try:
                connection.channel().queue_declare(queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker as error:
                return error.reply_code == 404
            return False

    def longest_gap(self, since: float) -> float:
        """For how long no event came, at most, from this moment until now."""
        times = [since, *(delivery.at for delivery in self.deliveries if delivery.at > since)]
        return max(late - early for early, late in pairwise(times))

    def count_since(self, moment: float) -> int:
        return sum(delivery.at > moment for delivery in self.deliveries)


@dataclass(frozen=True)
class Clustered:
    """A fleet on a cluster."""

    cluster: PrivateCluster
    settings: dict[str, str]
    site: Site
    listener: ClusterListener


@pytest.fixture
def clustered(server_directory: Path, fresh_account: FreshDatabase, tmp_path: Path) -> Iterator[Clustered]:
    with PrivateCluster(server_directory / "cluster") as cluster:
        settings = {
            **fresh_account("cluster"),
            **broker_settings_at(cluster.address, "clustered"),
            "RABBITMQ_HOST": cluster.hosts,
            "RABBITMQ_QUEUE_TYPE": "quorum",
            "WEB_PROCESSES": "1",
            "WORKER_PROCESSES": "1",
        }
        with ClusterListener(settings) as listener, Fleet(settings, directory=tmp_path) as fleet:
            # Nobody is behind this cable.
            site = Site(fleet, Cable(LOOPBACK, cluster.nodes[0].port), listener)
            yield Clustered(cluster, settings, site, listener)
            # Shown by pytest when a test has failed.
            print(fleet.end_of_logs())


@pytest.mark.timeout(600)
def test_any_node_of_a_cluster_may_die(clustered: Clustered) -> None:
    cluster, site = clustered.cluster, clustered.site
    inbox = clustered.settings["RABBITMQ_QUEUE"]
    tables = Tables(clustered.settings)
    shop = ForeignService(clustered.settings, events=FOREIGN_EVENTS, seed=SEED)
    with Writers(site, count=2, pause_seconds=PAUSE_SECONDS) as writers:
        writers.wait_for_tickets(TICKETS_BETWEEN)
        wait_until(lambda: bool(clustered.listener.deliveries), timeout_seconds=60, what="the first event")
        with shop:
            # Everybody asks the first node first, and who declares a queue has its leader beside them.
            assert cluster.leader(inbox) is cluster.nodes[0]
            die_and_return(
                clustered,
                writers,
                cluster.nodes[0],
                "leader of the queues, connected to, and the only home of two",
                lost=homes_of_nothing(clustered.settings),
            )
            # Whoever leads now is one of those that took over.
            die_and_return(clustered, writers, cluster.leader(inbox), "leader of the inbox")
            wait_until(
                lambda: shop.done_share == 1 or bool(shop.errors),
                timeout_seconds=SETTLE_TIMEOUT_SECONDS,
                what="the other service",
            )
        shop.raise_errors()
        writers.wait_for_tickets(TICKETS_BETWEEN)

    assert not writers.unanswered, "the HTTP tier has noticed"
    with Admin(site.fleet, site.someone_new()) as admin:
        assert_nothing_is_lost_or_doubled(writers, admin)
        assert_all_events_are_out(
            clustered.listener, admin, writers.ticket_ids, timeout_seconds=SETTLE_TIMEOUT_SECONDS
        )
    wait_until(
        lambda: len(orders(tables)) >= FOREIGN_EVENTS and not tables.owed(),
        timeout_seconds=SETTLE_TIMEOUT_SECONDS,
        what="the foreign events",
    )
    assert sorted(orders(tables)) == sorted(shop.confirmed)
    for queue in (inbox, f"{inbox}.dead", f"{inbox}.effects"):
        assert cluster.leader(queue).running, "not a quorum queue"


def die_and_return(
    clustered: Clustered,
    writers: Writers,
    node: PrivateRabbitMQ,
    role: str,
    *,
    lost: Sequence[str] = (),
) -> None:
    """Kills a node under load; measures how long nothing is published; and brings it back.

    The queues that are lost with it cannot even be asked about until it is back; nobody may wait for them.
    """
    died_at = time.monotonic()
    node.kill()
    for queue in lost:
        wait_until(
            lambda queue=queue: clustered.listener.cannot_declare(queue),
            timeout_seconds=SETTLE_TIMEOUT_SECONDS,
            what=f"{queue} to be lost with its node",
        )
    wait_until(
        lambda: clustered.listener.count_since(died_at) >= EVENTS_AFTER_A_DEATH,
        timeout_seconds=SETTLE_TIMEOUT_SECONDS,
        what="events without that node",
    )
    gap_seconds = clustered.listener.longest_gap(died_at)
    print(f"{role}: killed; for {gap_seconds:.1f} s at most nothing was published")
    assert gap_seconds < LONGEST_GAP_SECONDS
    node.start()
    clustered.cluster.wait_until_whole()
    writers.wait_for_tickets(TICKETS_BETWEEN)


def orders(tables: Tables) -> list[int]:
    """What the tickets of the other service are about."""
    return [about["order_id"] for about in tables.metadata() if "order_id" in about]
