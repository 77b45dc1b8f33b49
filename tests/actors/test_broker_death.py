"""A broker that is killed while the service writes: nothing is lost, and all is out soon after its return."""

import time
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from sav import bootstrap
from sav.settings import Settings
from tests.actors.conftest import Subscriber, eventually
from tests.actors.owed import add_message, new_ticket, owed
from tests.actors.test_worker import running
from tests.servers.rabbitmq import PrivateRabbitMQ

SOON_SECONDS = 15
"""Some seconds of our own back-off, and as many for a node that has just started on a busy machine."""


@pytest.fixture
def node(server_directory: Path) -> Iterator[PrivateRabbitMQ]:
    with PrivateRabbitMQ(server_directory) as node:
        yield node


def test_a_killed_broker_delays_events_and_loses_none(settings: Settings, node: PrivateRabbitMQ) -> None:
    address = node.address
    # The run's own virtual host is on another node.
    place = {"RABBITMQ_HOST": address.host, "RABBITMQ_PORT": address.port, "RABBITMQ_VHOST": "/"}
    killable = settings.model_copy(update=place)
    with running(bootstrap.worker_broker(killable)):
        sender = bootstrap.web_hints(killable)
        parameters = pika.ConnectionParameters(address.host, address.port)
        with pika.BlockingConnection(parameters) as connection:
            Subscriber(connection, settings.RABBITMQ_EXCHANGE, queue="everything")
        tickets = [new_ticket(messages=1) for _ in range(3)]
        eventually(lambda: owed() == 0, "the first events to be out")
        node.kill()
        for ticket_id in tickets:
            add_message(ticket_id)
        tickets += [new_ticket() for _ in range(20)]
        assert owed() == 23
        node.start()
        back_at = time.monotonic()
        with pika.BlockingConnection(parameters) as connection:
            subscriber = Subscriber(connection, settings.RABBITMQ_EXCHANGE, queue="everything")
            subscriber.wait_for(6 + 23)
            eventually(lambda: owed() == 0, "all tokens to be gone")
            assert time.monotonic() - back_at < SOON_SECONDS
        sender.stop(timeout_seconds=10)
    assert [subscriber.first_sequences(ticket_id) for ticket_id in tickets] == [[1, 2, 3]] * 3 + [[1]] * 20
