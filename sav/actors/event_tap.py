"""Events of other services: taken from `RABBITMQ_QUEUE`, written down, and only then acknowledged.

Not one of Dramatiq's own consumers: these take every message for one of their own, and some foreign
bodies stop them or make them loop.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel

from sav.actors.amqp import connect, ensure_exchange, ensure_queue
from sav.actors.foreign_envelope import DATA_OF, ForeignEvent, Poison, parse_foreign_event
from sav.models.database import connection as database_connection
from sav.operations.received_events import IncomingEvent, receive_events
from sav.settings import Settings

PREFETCH = 50
"""Messages that one worker process holds unacknowledged at most; all go back to the queue if it dies."""
BATCH_BYTES = 1_048_576
"""How much is written down in one transaction, at least one event: one statement has a size limit too."""
LOOK_UP_SECONDS = 0.5
"""How often the tap looks whether it shall stop, when no message comes."""
SHORTEST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
"""How long it waits, after a failure of the broker or the database, before it connects again."""
STOP_TIMEOUT_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Letter:
    """A message that was delivered and not acknowledged yet."""

    method: Any
    properties: Any
    body: bytes


class EventTap:
    """One consumer thread. Any number of processes may have one; each message goes to one of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topology = _Topology(settings)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-tap", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> bool:
        """Finishes what is at hand, gives the others back; returns whether that came to its end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause_seconds = SHORTEST_PAUSE_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._consume_until_stopped()
            except Exception as error:
                # Whatever was not acknowledged comes again, to us or to another process.
                log.warning(
                    "the event tap is interrupted", action="receive_event", error=type(error).__name__
                )
                if time.monotonic() - started > LONGEST_PAUSE_SECONDS:
                    pause_seconds = SHORTEST_PAUSE_SECONDS
                self._stopping.wait(pause_seconds)
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _consume_until_stopped(self) -> None:
        with self._channel() as channel, database_connection():
            channel.basic_qos(prefetch_count=PREFETCH)
            batch: list[_Letter] = []
            for method, properties, body in channel.consume(
                self._topology.queue, inactivity_timeout=LOOK_UP_SECONDS
            ):
                if method is not None:
                    batch.append(_Letter(method, properties, body))
                # All that has arrived is taken at once; nothing waits for more to come.
                if batch and (not channel.get_waiting_message_count() or _is_full(batch)):
                    self._take(channel, batch)
                    batch = []
                if self._stopping.is_set():
                    return

    @contextlib.contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        amqp = connect(self._settings)
        try:
            yield self._topology.declare(amqp)
        finally:
            with contextlib.suppress(Exception):
                amqp.close()

    def _take(self, channel: BlockingChannel, batch: Sequence[_Letter]) -> None:
        events: list[ForeignEvent] = []
        last_tag = 0
        for letter in batch:
            try:
                events.append(parse_foreign_event(letter.body, message_id=letter.properties.message_id))
                last_tag = letter.method.delivery_tag
            except Poison as poison:
                _bury(channel, self._topology.dead_queue, letter, reason=poison.reason)
                channel.basic_ack(letter.method.delivery_tag)
        if events:
            _receive(events)
            # The poison among them is acknowledged already.
            channel.basic_ack(last_tag, multiple=True)


def _is_full(batch: Sequence[_Letter]) -> bool:
    return len(batch) >= PREFETCH or sum(len(letter.body) for letter in batch) >= BATCH_BYTES


def _receive(events: Sequence[ForeignEvent]) -> None:
    incoming = [
        IncomingEvent(
            dedup_key=event.dedup_key, name=event.name, text=event.text, request_id=event.request_id
        )
        for event in events
    ]
    new = receive_events(events=incoming, now=datetime.now(UTC))
    for event in events:
        log.info(
            "event received" if event.dedup_key in new else "event received again",
            action="receive_event",
            event_name=event.name,
            request_id=event.request_id,
        )
        # What follows with the same key is its copy.
        new.discard(event.dedup_key)


def _bury(channel: BlockingChannel, dead_queue: str, letter: _Letter, *, reason: str) -> None:
    """Puts a message that nothing can be made of where an operator finds it; returns once it is safe."""
    origin = {
        "x-sav-reason": reason[:1000],
        "x-sav-buried-at": datetime.now(UTC).isoformat(),
        "x-sav-exchange": letter.method.exchange,
        "x-sav-routing-key": letter.method.routing_key,
    }
    channel.basic_publish(
        exchange="",
        routing_key=dead_queue,
        body=letter.body,
        properties=pika.BasicProperties(
            message_id=letter.properties.message_id,
            content_type=letter.properties.content_type,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            headers=origin,
        ),
        mandatory=True,
    )
    log.warning("event buried", action="receive_event", reason=reason, routing_key=letter.method.routing_key)


class _Topology:
    """The queue, its dead letters, and the exchanges that feed it: used as they are, made when missing."""

    def __init__(self, settings: Settings) -> None:
        self.queue = settings.RABBITMQ_QUEUE
        self.dead_queue = f"{settings.RABBITMQ_QUEUE}.dead"
        self._exchanges = (settings.RABBITMQ_EXCHANGE, *settings.RABBITMQ_CONSUME_EXCHANGES)
        self._queue_type = settings.RABBITMQ_QUEUE_TYPE

    def declare(self, amqp: pika.BlockingConnection) -> BlockingChannel:
        """A channel with confirms on which everything is known to exist."""
        for exchange in self._exchanges:
            ensure_exchange(amqp, exchange)
        for queue in (self.queue, self.dead_queue):
            ensure_queue(amqp, queue, queue_type=self._queue_type)
        channel = amqp.channel()
        for exchange in self._exchanges:
            for name in DATA_OF:
                channel.queue_bind(self.queue, exchange, routing_key=name)
        channel.confirm_delivery()
        return channel
