"""Events of other services: taken from `RABBITMQ_QUEUE`, written down, and only then acknowledged.

Not one of Dramatiq's own consumers: these take every message for one of their own, and some foreign
bodies stop them or make them loop.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel

from sav.actors.amqp import connect, ensure_exchange, ensure_queue
from sav.actors.foreign_envelope import DATA_OF, ForeignEvent, Poison, parse_foreign_event
from sav.models.database import connection as database_connection
from sav.operations.received_events import receive_event
from sav.settings import Settings

PREFETCH = 50
"""Messages that one worker process holds unacknowledged at most; all go back to the queue if it dies."""
LOOK_UP_SECONDS = 0.5
"""How often the tap looks whether it shall stop, when no message comes."""
SHORTEST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
"""How long it waits, after a failure of the broker or the database, before it connects again."""
STOP_TIMEOUT_SECONDS = 10.0

log = structlog.get_logger(__name__)


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
        """Finishes the message at hand, gives the others back; returns whether that came to its end."""
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
            for method, properties, body in channel.consume(
                self._topology.queue, inactivity_timeout=LOOK_UP_SECONDS
            ):
                if method is not None:
                    self._take(channel, method, properties, body)
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

    def _take(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        try:
            event = parse_foreign_event(body, message_id=properties.message_id)
        except Poison as poison:
            _bury(channel, self._topology.dead_queue, method, properties, body, reason=poison.reason)
        else:
            _receive(event)
        channel.basic_ack(method.delivery_tag)


def _receive(event: ForeignEvent) -> None:
    is_new = receive_event(
        dedup_key=event.dedup_key,
        name=event.name,
        text=event.text,
        request_id=event.request_id,
        now=datetime.now(UTC),
    )
    log.info(
        "event received" if is_new else "event received again",
        action="receive_event",
        event_name=event.name,
        request_id=event.request_id,
    )


def _bury(
    channel: BlockingChannel, dead_queue: str, method: Any, properties: Any, body: bytes, *, reason: str
) -> None:
    """Puts a message that nothing can be made of where an operator finds it; returns once it is safe."""
    origin = {
        "x-sav-reason": reason[:1000],
        "x-sav-buried-at": datetime.now(UTC).isoformat(),
        "x-sav-exchange": method.exchange,
        "x-sav-routing-key": method.routing_key,
    }
    channel.basic_publish(
        exchange="",
        routing_key=dead_queue,
        body=body,
        properties=pika.BasicProperties(
            message_id=properties.message_id,
            content_type=properties.content_type,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            headers=origin,
        ),
        mandatory=True,
    )
    log.warning("event buried", action="receive_event", reason=reason, routing_key=method.routing_key)


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
