"""The dead letters: messages of other services that nothing could be made of, kept with their reason.

Whoever reads them holds them unacknowledged, so that all that was not dealt with is in the queue again when
the reader ends, however it ends.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from sav.actors.amqp import NOT_FOUND, RESOURCE_LOCKED, connect
from sav.actors.broker_trouble import BrokerTrouble, broker_trouble
from sav.settings import Settings

ID_LENGTH = 12
"""How many hexadecimal digits name a letter: enough that two different ones are never confused."""
DELIVERIES_BEFORE_RENEWAL = 10
"""After how many readings a fresh copy takes a letter's place: RabbitMQ 4 counts, on quorum queues, what was
read and given back, and drops it the 21st time."""

OWN_HEADERS = "x-sav-"
REPLAYED_FROM = "x-sav-replayed-from"
DELIVERY_COUNT = "x-delivery-count"
_BROKERS_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


class NoDeadLetters(Exception):
    """There is no such queue: no worker has ever run here, or RABBITMQ_QUEUE is another one."""


class LettersBeingRead(BrokerTrouble):
    """Somebody else is reading the dead letters: what they hold is seen by nobody else."""

    def __init__(self) -> None:
        super().__init__("somebody else is just reading the dead letters", "Try again when they are done.")


class NowhereToGo(Exception):
    """The queue that letters are replayed to does not exist; they stay where they are."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in the dead letters. `id` names it: equal messages, buried at the same moment, share it."""

    id: str
    reason: str | None
    buried_at: str | None
    exchange: str | None
    routing_key: str | None
    body: bytes
    properties: pika.BasicProperties = field(repr=False)
    delivery_tag: int = field(repr=False)


class DeadLetters:
    """`<RABBITMQ_QUEUE>.dead`, read over one connection that lives as long as the `with` block.

    Everything in it raises `BrokerTrouble`.
    """

    def __init__(self, settings: Settings) -> None:
        self.queue = f"{settings.RABBITMQ_QUEUE}.dead"
        self.home_queue = settings.RABBITMQ_QUEUE
        self._settings = settings
        self._worn: DeadLetter | None = None

    def __enter__(self) -> Self:
        with broker_trouble():
            self._connection = connect(self._settings)
            self._channel: BlockingChannel = self._connection.channel()
            self._channel.confirm_delivery()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing gives back, in their old places, all that was read and not dealt with.
        with contextlib.suppress(Exception):
            self._renew_worn()
        with contextlib.suppress(Exception):
            self._connection.close()

    def count(self) -> int:
        """How many letters wait, apart from those that somebody is reading; raises `NoDeadLetters`."""
        with broker_trouble():
            try:
                answer = self._channel.queue_declare(self.queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
                raise NoDeadLetters from error
        return int(answer.method.message_count)

    def read(self, *, limit: int | None = None) -> Iterator[DeadLetter]:
        """Each letter once, the oldest first: those that are there now, not those that come meanwhile.

        Raises `LettersBeingRead`.
        """
        self.be_the_reader()
        waiting = self.count()
        for _ in range(waiting if limit is None else min(limit, waiting)):
            with broker_trouble():
                self._renew_worn()
                method, properties, body = self._channel.basic_get(self.queue)
            if method is None:
                return
            letter = _letter(method.delivery_tag, properties, body)
            if _is_worn(properties):
                self._worn = letter
            yield letter

    def be_the_reader(self) -> None:
        """From here on nobody else reads, until the end; raises `LettersBeingRead` when somebody does."""
        # A queue that is this connection's alone, and goes with it, however it ends.
        with broker_trouble():
            channel = self._connection.channel()
            try:
                channel.queue_declare(f"{self.queue}.reader", exclusive=True)
            except pika.exceptions.ChannelClosedByBroker as error:
                if error.reply_code == RESOURCE_LOCKED:
                    raise LettersBeingRead from None
                raise
            channel.close()

    def replay(self, letter: DeadLetter) -> None:
        """Puts a letter back into the queue it came from; raises `NowhereToGo`.

        It leaves the dead letters only after the broker has confirmed it there: if this process dies in
        between, it is in both queues.
        """
        history = {name: value for name, value in _headers(letter).items() if name.startswith(OWN_HEADERS)}
        history.pop(REPLAYED_FROM, None)
        kept = {name: value for name, value in _headers(letter).items() if not name.startswith(OWN_HEADERS)}
        with broker_trouble():
            self._move(
                letter, self.home_queue, headers={**kept, REPLAYED_FROM: {"queue": self.queue, **history}}
            )

    def discard(self, letter: DeadLetter) -> None:
        """Removes a letter for ever."""
        with broker_trouble():
            self._acknowledge(letter)

    def _renew_worn(self) -> None:
        """Puts a fresh copy of the last letter, if it needs one, at the end of the dead letters."""
        if self._worn is not None:
            self._move(self._worn, self.queue, headers=_headers(self._worn))

    def _move(self, letter: DeadLetter, queue: str, *, headers: dict[str, Any]) -> None:
        try:
            self._channel.basic_publish(
                exchange="",
                routing_key=queue,
                body=letter.body,
                properties=_fresh(letter.properties, headers),
                mandatory=True,
            )
        except pika.exceptions.UnroutableError as error:
            raise NowhereToGo from error
        self._acknowledge(letter)

    def _acknowledge(self, letter: DeadLetter) -> None:
        self._channel.basic_ack(letter.delivery_tag)
        self._worn = None


def _letter(delivery_tag: int, properties: pika.BasicProperties, body: bytes) -> DeadLetter:
    headers = properties.headers or {}
    identity = f"{properties.message_id}\n{headers.get('x-sav-buried-at')}\n".encode() + body
    return DeadLetter(
        id=hashlib.sha256(identity).hexdigest()[:ID_LENGTH],
        reason=headers.get("x-sav-reason"),
        buried_at=headers.get("x-sav-buried-at"),
        exchange=headers.get("x-sav-exchange"),
        routing_key=headers.get("x-sav-routing-key"),
        body=body,
        properties=properties,
        delivery_tag=delivery_tag,
    )


def _is_worn(properties: pika.BasicProperties) -> bool:
    deliveries = (properties.headers or {}).get(DELIVERY_COUNT, 0)
    return int(deliveries) >= DELIVERIES_BEFORE_RENEWAL


def _headers(letter: DeadLetter) -> dict[str, Any]:
    """A letter's headers without those that the broker itself writes."""
    headers = letter.properties.headers or {}
    return {name: value for name, value in headers.items() if not name.startswith(_BROKERS_HEADERS)}


def _fresh(properties: pika.BasicProperties, headers: dict[str, Any]) -> pika.BasicProperties:
    # Neither `expiration`, which would let the message vanish, nor `user_id`, which must be our own.
    return pika.BasicProperties(
        message_id=properties.message_id,
        type=properties.type,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        timestamp=properties.timestamp,
        delivery_mode=pika.DeliveryMode.Persistent.value,
        headers=headers,
    )
