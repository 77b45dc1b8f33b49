"""The operator's commands, run in the test's own process with the settings of the test's own servers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import pika
import pytest
import structlog
from click.testing import CliRunner, Result
from pydantic import SecretStr

from sav.models.database import database, ensure_connection
from sav.models.tables import DueEffect, ReceivedEvent
from sav.operations.effect_claims import DESK
from sav.settings import Settings
from tests.actors.conftest import parameters

GIVEN_UP_AT = datetime(2026, 1, 5, 11, 0, tzinfo=UTC)


class CommandLine:
    """`command_line(main, "list", RABBITMQ_PORT="1")`: what the command did; variables may be changed."""

    def __init__(self, settings: Settings) -> None:
        self._environment = environment(settings)

    def __call__(self, command: click.Command, *arguments: str, answer: str = "", **variables: str) -> Result:
        with _kept_as_it_was():
            return CliRunner().invoke(
                command, arguments, env={**self._environment, **variables}, input=answer
            )


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a process use the same servers."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
    }


@contextmanager
def _kept_as_it_was() -> Iterator[None]:
    """A command sets up logs and names its database, as a process of its own may."""
    root, logs, opened = logging.getLogger(), structlog.get_config(), database.obj
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        database.initialize(opened)
        ensure_connection()
        structlog.configure(**logs)
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)


@pytest.fixture
def command_line(settings: Settings) -> CommandLine:
    return CommandLine(settings)


class DeadQueue:
    """The dead letters, seen from the broker's side."""

    def __init__(self, connection: pika.BlockingConnection, settings: Settings) -> None:
        self.inbox = settings.RABBITMQ_QUEUE
        self.name = f"{settings.RABBITMQ_QUEUE}.dead"
        self.channel = connection.channel()

    def declare(self, **arguments: object) -> None:
        self.channel.queue_declare(self.inbox, durable=True)
        self.channel.queue_declare(self.name, durable=True, arguments=arguments)

    def bury(self, body: bytes, reason: str) -> None:
        """As the event tap does it."""
        headers = {
            "x-sav-reason": reason,
            "x-sav-buried-at": "2026-01-05T09:00:00+00:00",
            "x-sav-routing-key": "order.issue",
            "x-shop": "7",
        }
        properties = pika.BasicProperties(message_id="m-1", headers=headers, delivery_mode=2)
        self.channel.basic_publish("", self.name, body, properties)

    def count(self, queue: str | None = None) -> int:
        answer = self.channel.queue_declare(queue or self.name, passive=True)
        return int(answer.method.message_count)

    def bodies(self, queue: str | None = None) -> list[bytes]:
        """Takes everything out."""
        return [body for _, body in self.messages(queue)]

    def messages(self, queue: str | None = None) -> list[tuple[pika.BasicProperties, bytes]]:
        taken = []
        while (got := self.channel.basic_get(queue or self.name, auto_ack=True))[0] is not None:
            taken.append((got[1], got[2]))
        return taken


@pytest.fixture
def dead_queue(settings: Settings) -> Iterator[DeadQueue]:
    with pika.BlockingConnection(parameters(settings)) as connection:
        yield DeadQueue(connection, settings)


def failed_event(number: int, *, text: str = "{}", effect: str = "handle_received_event") -> int:
    """The id of an effect that was given up; it is about an event of another service."""
    received = ReceivedEvent.create(
        dedup_key=f"{number:064}",
        name="order.issue",
        envelope=text,
        request_id="shop-7",
        received_at=GIVEN_UP_AT,
    )
    failed = DueEffect.create(
        effect=effect,
        ticket_id=DESK,
        sequence=received.id,
        due_at=GIVEN_UP_AT,
        leased_until=GIVEN_UP_AT,
        tries=10,
        last_error="ValueError",
        failed_at=GIVEN_UP_AT,
        created_at=GIVEN_UP_AT,
    )
    return int(failed.id)
