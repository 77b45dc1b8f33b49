"""Publishes events to the topic exchange, each confirmed by the broker."""

import contextlib
import threading
import time
from dataclasses import dataclass

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from sav.actors.amqp import HEARTBEAT_SECONDS, NOT_FOUND, connect
from sav.actors.circuit_breaker import CircuitBreaker
from sav.actors.envelope import envelope
from sav.operations.due_effects import Publication
from sav.settings import Settings
from sav.telemetry.tracing import traceparent

LONGEST_IDLE_SECONDS = HEARTBEAT_SECONDS / 2
"""A connection that was not used for longer is replaced: nobody has answered its heartbeats meanwhile."""


def _headers(publication: Publication) -> dict[str, str] | None:
    known = {"request_id": publication.request_id, "traceparent": traceparent()}
    return {name: value for name, value in known.items() if value} or None


@dataclass(slots=True)
class _Line:
    """A thread's connection and channel, and when it was last used (monotonic seconds)."""

    connection: pika.BlockingConnection
    channel: BlockingChannel
    used_at: float


class EventExchange:
    """The durable topic exchange `RABBITMQ_EXCHANGE`. Each thread has a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exchange = settings.RABBITMQ_EXCHANGE
        self._threads = threading.local()
        self._breaker = CircuitBreaker()

    @property
    def is_known_to_be_down(self) -> bool:
        """Whether publishing failed a moment ago, so that it is too early to try again."""
        return self._breaker.is_open

    def __call__(self, publication: Publication) -> None:
        """Returns once the broker has confirmed the event; raises whatever goes wrong.

        An exception does not mean that the event is not out: it may be published twice, with the same id.
        """
        try:
            self._publish_with_second_try(publication)
        except Exception:
            self._breaker.failed()
            raise
        self._breaker.succeeded()

    def release(self) -> None:
        """Closes this thread's connection."""
        line: _Line | None = getattr(self._threads, "line", None)
        self._threads.line = None
        if line is not None:
            with contextlib.suppress(Exception):
                line.connection.close()

    def _publish_with_second_try(self, publication: Publication) -> None:
        line = self._open_line()
        if line is not None:
            try:
                self._publish(line, publication)
                return
            except Exception:
                # A connection from before proves little about the broker. It goes as a whole: after a NACK
                # too, because a channel whose publish was refused once may be refused for ever.
                self.release()
        try:
            self._publish(self._new_line(), publication)
        except Exception:
            self.release()
            raise

    def _publish(self, line: _Line, publication: Publication) -> None:
        # Not mandatory: an event that nobody has bound a queue for goes nowhere, and that is no error.
        line.channel.basic_publish(
            exchange=self._exchange,
            routing_key=publication.name,
            body=envelope(publication),
            properties=pika.BasicProperties(
                message_id=publication.event_id,
                type=publication.name,
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=pika.DeliveryMode.Persistent.value,
                headers=_headers(publication),
            ),
        )
        line.used_at = time.monotonic()

    def _open_line(self) -> _Line | None:
        line: _Line | None = getattr(self._threads, "line", None)
        if line is not None and time.monotonic() - line.used_at > LONGEST_IDLE_SECONDS:
            self.release()
            return None
        return line

    def _new_line(self) -> _Line:
        connection = connect(self._settings)
        try:
            channel = self._declare(connection)
            channel.confirm_delivery()
        except Exception:
            with contextlib.suppress(Exception):
                connection.close()
            raise
        self._threads.line = _Line(connection, channel, time.monotonic())
        return self._threads.line  # type: ignore[no-any-return]

    def _declare(self, connection: pika.BlockingConnection) -> BlockingChannel:
        """A channel on which the exchange is known to exist, with whatever arguments it was made."""
        channel = connection.channel()
        try:
            channel.exchange_declare(self._exchange, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            channel = connection.channel()
            channel.exchange_declare(self._exchange, exchange_type="topic", durable=True)
        return channel
