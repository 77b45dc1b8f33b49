"""Publishes events to the topic exchange, many at once, each confirmed by the broker."""

import threading
import time
from collections.abc import Sequence

import pika
import pika.exceptions

from sav.actors.amqp import HEARTBEAT_SECONDS
from sav.actors.circuit_breaker import CircuitBreaker
from sav.actors.confirmed_line import CONFIRM_TIMEOUT_SECONDS, ConfirmedLine, Message, NotConfirmed
from sav.actors.envelope import Outgoing, envelope
from sav.settings import Settings

WAVE_SECONDS = CONFIRM_TIMEOUT_SECONDS
"""How long one call may take with all that it sends again, but for the opening of a line: its caller's lease
goes on running meanwhile."""
LONGEST_IDLE_SECONDS = HEARTBEAT_SECONDS / 2
"""A connection that was not used for longer is replaced: nobody has answered its heartbeats meanwhile."""


class EventExchange:
    """The durable topic exchange `RABBITMQ_EXCHANGE`. Each thread has a line of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = threading.local()
        self._breaker = CircuitBreaker()

    @property
    def is_known_to_be_down(self) -> bool:
        """Whether publishing failed a moment ago, so that it is too early to try again."""
        return self._breaker.is_open

    def __call__(self, events: Sequence[Outgoing]) -> list[BaseException | None]:
        """For each event None once the broker has confirmed it, or else why it may not be out.

        Raises when nothing could be sent. An event that is not known to be out may be so all the same: it
        may be published twice, with the same id.
        """
        stop_at = time.monotonic() + WAVE_SECONDS
        messages = [_message(event) for event in events]
        try:
            unsure = self._send(messages)
        except Exception:
            self._breaker.failed()
            raise
        return self._send_again(messages, sorted(unsure), stop_at=stop_at)

    def release(self) -> None:
        """Closes this thread's line."""
        line: ConfirmedLine | None = getattr(self._threads, "line", None)
        self._threads.line = None
        if line is not None:
            line.close()

    def _send_again(
        self, messages: Sequence[Message], places: Sequence[int], *, stop_at: float
    ) -> list[BaseException | None]:
        """Each alone: a line from before proves little about the broker, and one event that the broker
        refuses takes the others on its channel with it."""
        troubles: list[BaseException | None] = [None] * len(messages)
        for done, place in enumerate(places):
            trouble = self._send_alone(messages[place], stop_at=stop_at)
            troubles[place] = trouble
            if trouble is not None and not isinstance(trouble, pika.exceptions.ChannelClosedByBroker):
                # Not this event's fault: so it would be with all that follow.
                self._breaker.failed()
                for other in places[done:]:
                    troubles[other] = trouble
                return troubles
        self._breaker.succeeded()
        return troubles

    def _send_alone(self, message: Message, *, stop_at: float) -> BaseException | None:
        left_seconds = stop_at - time.monotonic()
        if left_seconds <= 0:
            return NotConfirmed()
        try:
            return self._send([message], timeout_seconds=left_seconds).get(0)
        except Exception as error:
            return error

    def _send(
        self, messages: Sequence[Message], *, timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS
    ) -> dict[int, BaseException]:
        line = self._line()
        try:
            troubles = line.send(messages, timeout_seconds=timeout_seconds)
        except BaseException:
            self.release()
            raise
        if troubles:
            self.release()
        self._threads.used_at = time.monotonic()
        return troubles

    def _line(self) -> ConfirmedLine:
        line: ConfirmedLine | None = getattr(self._threads, "line", None)
        if line is not None and time.monotonic() - self._threads.used_at <= LONGEST_IDLE_SECONDS:
            return line
        self.release()
        self._threads.line = ConfirmedLine(self._settings, exchange=self._settings.RABBITMQ_EXCHANGE)
        return self._threads.line  # type: ignore[no-any-return]


def _message(event: Outgoing) -> Message:
    publication = event.publication
    about = {"request_id": publication.request_id, "traceparent": event.traceparent}
    return Message(
        routing_key=publication.name,
        body=envelope(publication),
        properties=pika.BasicProperties(
            message_id=publication.event_id,
            type=publication.name,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            headers={name: value for name, value in about.items() if value} or None,
        ),
    )
