"""What is there on RabbitMQ, and whether it is as the service needs it; changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pika.exceptions
from dramatiq.common import xq_name
from pika.adapters.blocking_connection import BlockingChannel

from sav.actors.amqp import NOT_FOUND, connect
from sav.actors.broker import effects_queue
from sav.actors.broker_trouble import broker_trouble
from sav.settings import Settings

PRECONDITION_FAILED = 406
"""The reply code for something that exists, but not as it is asked for."""
TYPE_DIFFERS = "inequivalent arg 'type'"


@dataclass(frozen=True, slots=True)
class Place:
    """A queue or an exchange: whether it exists, and how it differs from what the service would make."""

    exists: bool
    difference: str | None = None
    messages: int = 0
    consumers: int = 0


class BrokerExamination:
    """One connection that lives as long as the `with` block; everything in it raises `BrokerTrouble`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Self:
        with broker_trouble():
            self._connection = connect(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()

    @property
    def version(self) -> str:
        """What the broker says it is."""
        return str(self._connection._impl.server_properties.get("version", "unknown"))

    def deliver_to_itself(self) -> None:
        """Publishes a message into a queue of its own, with a confirm, and takes it out again."""
        with broker_trouble():
            channel = self._connection.channel()
            channel.confirm_delivery()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.basic_publish(exchange="", routing_key=queue, body=b"?", mandatory=True)
            channel.basic_get(queue, auto_ack=True)
            channel.queue_delete(queue)
            channel.close()

    def exchange(self, name: str) -> Place:
        """Looks at a topic exchange."""
        with broker_trouble():
            if self._refusal(lambda channel: channel.exchange_declare(name, passive=True)):
                return Place(exists=False)
            # It exists, so asking for it once more makes nothing; it is refused if it is another one.
            return Place(
                exists=True,
                difference=self._refusal(
                    lambda channel: channel.exchange_declare(name, exchange_type="topic", durable=True)
                ),
            )

    def inbox(self) -> Place:
        """The queue of events from other services."""
        return self._queue(self._settings.RABBITMQ_QUEUE, {})

    def dead_letters(self) -> Place:
        """The queue of what nothing could be made of."""
        return self._queue(f"{self._settings.RABBITMQ_QUEUE}.dead", {})

    def effects(self) -> Place:
        """The queue that the workers take hints from."""
        name = effects_queue(self._settings)
        return self._queue(name, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": xq_name(name)})

    def _queue(self, name: str, arguments: Mapping[str, str]) -> Place:
        seen: dict[str, Any] = {}

        def look(channel: BlockingChannel) -> None:
            seen["answer"] = channel.queue_declare(name, passive=True).method

        expected = {**arguments, "x-queue-type": self._settings.RABBITMQ_QUEUE_TYPE}
        with broker_trouble():
            if self._refusal(look):
                return Place(exists=False)
            difference = self._refusal(
                lambda channel: channel.queue_declare(name, durable=True, arguments=expected)
            )
        answer = seen["answer"]
        return Place(
            exists=True,
            difference=difference,
            messages=answer.message_count,
            consumers=answer.consumer_count,
        )

    def _refusal(self, ask: Callable[[BlockingChannel], object]) -> str | None:
        """What the broker has against it, if it says that there is no such thing, or another one."""
        channel = self._connection.channel()
        try:
            ask(channel)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code not in (NOT_FOUND, PRECONDITION_FAILED):
                raise
            return str(error.reply_text)
        channel.close()
        return None
