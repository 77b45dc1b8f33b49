"""Publishes events of the log again, as they were published the first time."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Self

import pika
import pika.exceptions

from sav.actors.amqp import NOT_FOUND, connect
from sav.actors.broker_trouble import broker_trouble
from sav.actors.envelope import envelope
from sav.operations.due_effects import Publication
from sav.queries.event_replay import PublishedEvent
from sav.settings import Settings

REPLAYED = "x-sav-replayed"
"""The header that tells a copy from the original."""


class NoSuchTarget(Exception):
    """The exchange or queue that events are replayed to does not exist."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where copies go: to everybody who listens to an exchange, or into one queue."""

    name: str
    is_queue: bool

    def __str__(self) -> str:
        return f"{'queue' if self.is_queue else 'exchange'} {self.name}"


class EventReplay:
    """One connection that lives as long as the `with` block; everything in it raises `BrokerTrouble`."""

    def __init__(self, settings: Settings, target: Target) -> None:
        self._target = target
        self._settings = settings

    def __enter__(self) -> Self:
        with broker_trouble():
            self._connection = connect(self._settings)
            self._require_target()
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()

    def __call__(self, event: PublishedEvent) -> None:
        """Returns once the broker has confirmed the copy; raises `NoSuchTarget` when a queue has gone."""
        exchange, routing_key = (
            ("", self._target.name) if self._target.is_queue else (self._target.name, event.name)
        )
        with broker_trouble():
            try:
                self._channel.basic_publish(
                    exchange=exchange,
                    routing_key=routing_key,
                    body=envelope(_publication(event)),
                    properties=_properties(event),
                    # On an exchange nobody need listen; a queue must be there.
                    mandatory=self._target.is_queue,
                )
            except pika.exceptions.UnroutableError as error:
                raise NoSuchTarget(str(self._target)) from error

    def pause(self, seconds: float) -> None:
        """Waits, and answers the broker's heartbeats meanwhile."""
        with broker_trouble():
            self._connection.sleep(seconds)

    def _require_target(self) -> None:
        channel = self._connection.channel()
        try:
            if self._target.is_queue:
                channel.queue_declare(self._target.name, passive=True)
            else:
                channel.exchange_declare(self._target.name, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            raise NoSuchTarget(str(self._target)) from error
        channel.close()


def _publication(event: PublishedEvent) -> Publication:
    # The envelope asks for nothing that concerns the token, which is long gone.
    return Publication(
        token_id=0,
        ticket_id=event.data["ticket_id"],
        event_id=event.event_id,
        name=event.name,
        published_sequence=event.published_sequence,
        data=event.data,
        request_id=event.request_id,
        occurred_at=event.occurred_at,
        tries=0,
    )


def _properties(event: PublishedEvent) -> pika.BasicProperties:
    request_id = {"request_id": event.request_id} if event.request_id else {}
    return pika.BasicProperties(
        message_id=event.event_id,
        type=event.name,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=pika.DeliveryMode.Persistent.value,
        headers={**request_id, REPLAYED: True},
    )
