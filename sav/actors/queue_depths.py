"""How much waits in the queues, and who consumes it."""

import contextlib
from collections.abc import Iterator

import pika.exceptions

from sav.actors.amqp import NOT_FOUND, connect
from sav.actors.broker import effects_queue
from sav.settings import Settings
from sav.telemetry.metrics import QUEUE_CONSUMERS, QUEUE_MESSAGES
from sav.telemetry.parts import Sample


class QueueDepths:
    """Asks the broker on a connection of its own; takes seconds before a silent one, so not in a request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues = {
            "inbox": settings.RABBITMQ_QUEUE,
            "dead_letters": f"{settings.RABBITMQ_QUEUE}.dead",
            "effects": effects_queue(settings),
        }

    def __call__(self) -> list[Sample]:
        """Raises whatever goes wrong; a queue that does not exist yet is left out."""
        connection = connect(self._settings)
        try:
            return [
                sample for name, queue in self._queues.items() for sample in _look(connection, name, queue)
            ]
        finally:
            with contextlib.suppress(Exception):
                connection.close()


def _look(connection: pika.BlockingConnection, name: str, queue: str) -> Iterator[Sample]:
    channel = connection.channel()
    try:
        answer = channel.queue_declare(queue, passive=True).method
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return
    channel.close()
    yield Sample(QUEUE_MESSAGES, answer.message_count, {"queue": name})
    yield Sample(QUEUE_CONSUMERS, answer.consumer_count, {"queue": name})
