"""The service's settings for the tests' servers, and somebody who listens on the exchange."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pytest

from sav.actors.broker import effects_queue
from sav.models.tables import SchedulerTick
from sav.settings import Settings
from tests.actors.erasing import workers  # noqa: F401 - a fixture
from tests.plugins.servers import FreshBroker
from tests.servers.cable import Cable
from tests.servers.ports import wait_until

ARRIVAL_TIMEOUT_SECONDS = 30


@pytest.fixture
def settings(empty_database: dict[str, str], fresh_broker: FreshBroker, tmp_path: Any) -> Iterator[Settings]:
    """An empty database, and a place on the broker that nobody else uses."""
    SchedulerTick.delete().execute()
    values: dict[str, Any] = {**empty_database, **fresh_broker(), "APP_ENV": "test", "SAV_DATA_DIR": tmp_path}
    if values["DB_CONNECTION"] == "sqlite":
        values = {name: value for name, value in values.items() if value}
    made = Settings(**values)
    yield made
    with pika.BlockingConnection(parameters(made)) as connection:
        for suffix in ("", ".DQ", ".XQ"):
            connection.channel().queue_delete(effects_queue(made) + suffix)


def parameters(settings: Settings) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=settings.RABBITMQ_HOST,
        port=settings.RABBITMQ_PORT,
        virtual_host=settings.RABBITMQ_VHOST,
        credentials=pika.PlainCredentials(
            settings.RABBITMQ_USER, settings.RABBITMQ_PASSWORD.get_secret_value()
        ),
    )


@pytest.fixture
def cable(settings: Settings) -> Iterator[Cable]:
    """The way to the broker, which can be cut."""
    with Cable(settings.RABBITMQ_HOST, settings.RABBITMQ_PORT) as cable:
        yield cable


@pytest.fixture
def settings_by_cable(settings: Settings, cable: Cable) -> Settings:
    return settings.model_copy(update={"RABBITMQ_HOST": cable.host, "RABBITMQ_PORT": cable.port})


class Subscriber:
    """A consumer in another service: a queue that is bound to every event, durable when it has a name."""

    def __init__(self, connection: pika.BlockingConnection, exchange: str, *, queue: str = "") -> None:
        self._channel = connection.channel()
        self._channel.exchange_declare(exchange, "topic", durable=True)
        self._queue = self._channel.queue_declare(
            queue, durable=bool(queue), exclusive=not queue
        ).method.queue
        self._channel.queue_bind(self._queue, exchange, "#")
        self.properties: list[pika.BasicProperties] = []
        self.events: list[dict[str, Any]] = []

    def collect(self) -> list[dict[str, Any]]:
        """Everything that has arrived so far."""
        while (got := self._channel.basic_get(self._queue, auto_ack=True))[0] is not None:
            method, properties, body = got
            event = json.loads(body)
            assert method.routing_key == event["event"]
            self.properties.append(properties)
            self.events.append(event)
        return self.events

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Returns once so many different events have arrived; a repeated one is allowed and not counted."""
        eventually(lambda: len({event["id"] for event in self.collect()}) >= count, f"{count} events")
        return self.events

    def first_sequences(self, ticket_id: int) -> list[int]:
        """A ticket's places in the order in which they first arrived."""
        mine = [event["sequence"] for event in self.events if event["data"]["ticket_id"] == ticket_id]
        return list(dict.fromkeys(mine))


@pytest.fixture
def subscriber(settings: Settings) -> Iterator[Subscriber]:
    with pika.BlockingConnection(parameters(settings)) as connection:
        yield Subscriber(connection, settings.RABBITMQ_EXCHANGE)


def eventually(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, timeout_seconds=ARRIVAL_TIMEOUT_SECONDS, what=what)
