"""Dramatiq's broker: RabbitMQ, with confirms, short timeouts, and no middleware that is not named here."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import dramatiq
import pika.exceptions
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.common import dq_name, xq_name
from dramatiq.middleware import Middleware, ShutdownNotifications, TimeLimit

from sav.actors.amqp import NOT_FOUND, connection_options
from sav.actors.middleware import DatabaseConnection, LogContext
from sav.operations.hints import Bundle
from sav.settings import Settings

TIME_LIMIT_MILLISECONDS = 5 * 60 * 1000
"""An effect that takes longer is interrupted: RabbitMQ redelivers after 15 or 30 minutes."""


def effects_queue(settings: Settings) -> str:
    """The queue of the hints that workers follow."""
    return f"{settings.RABBITMQ_QUEUE}.effects"


def rabbitmq_broker(settings: Settings, *, middleware: Sequence[Middleware] = ()) -> dramatiq.Broker:
    """A broker that is connected to nothing yet; each thread that uses it opens a connection of its own."""
    return _Broker(
        queue_type=settings.RABBITMQ_QUEUE_TYPE,
        confirm_delivery=True,
        # No retries: a message is only a hint, and what is tried again, when and how often, says its token.
        middleware=[
            TimeLimit(time_limit=TIME_LIMIT_MILLISECONDS),
            ShutdownNotifications(),
            LogContext(),
            DatabaseConnection(),
            *middleware,
        ],
        parameters=connection_options(settings),
    )


class HintDispatcher:
    """Hands hints to the workers, over a connection that belongs to the calling thread."""

    def __init__(self, broker: dramatiq.Broker, *, queue_name: str) -> None:
        self._broker = broker
        self._queue_name = queue_name

    def __call__(self, bundle: Bundle) -> None:
        """Returns once the broker has confirmed the message; raises whatever goes wrong, within seconds."""
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=self._queue_name,
            actor_name=bundle.effect,
            args=(bundle.ticket_ids,),
            kwargs={},
            options={},
        )
        try:
            # Opened first: enqueue() would wait for an absent broker not once but several times.
            _ = self._broker.connection  # type: ignore[attr-defined]
            self._broker.enqueue(message)
        except Exception:
            self.release()
            raise

    def release(self) -> None:
        """Closes this thread's connection: one that nobody uses answers no heartbeats."""
        with contextlib.suppress(Exception):
            del self._broker.connection  # type: ignore[attr-defined]


class _Broker(RabbitmqBroker):
    """Uses queues as they are: one that was declared with other arguments would refuse ours for ever."""

    def __init__(self, *, queue_type: str, **options: Any) -> None:
        super().__init__(**options)
        self._queue_type = queue_type

    def _declare_queue(self, queue_name: str) -> Any:
        # The delayed and the dead queue beside it stay classic: they are declared, and nothing uses them.
        arguments = self._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
        return self._existing(queue_name) or self.channel.queue_declare(
            queue=queue_name, durable=True, arguments={**arguments, "x-queue-type": self._queue_type}
        )

    def _declare_dq_queue(self, name: str) -> Any:
        return self._unused(dq_name(name), lambda: super(_Broker, self)._declare_dq_queue(name))  # type: ignore[no-untyped-call]

    def _declare_xq_queue(self, name: str) -> Any:
        return self._unused(xq_name(name), lambda: super(_Broker, self)._declare_xq_queue(name))  # type: ignore[no-untyped-call]

    def _unused(self, queue_name: str, declare: Callable[[], Any]) -> Any:
        """A queue that nothing uses: when its node of the cluster is dead, that must hold up nobody."""
        return self._existing(queue_name) or self._unless_not_found(declare)

    def _existing(self, queue_name: str) -> Any:
        """The answer of a queue that exists, else None."""
        return self._unless_not_found(lambda: self.channel.queue_declare(queue=queue_name, passive=True))

    def _unless_not_found(self, declare: Callable[[], Any]) -> Any:
        """What declaring gives; None for a queue that is not there, or whose node is dead."""
        try:
            return declare()
        except pika.exceptions.ChannelClosedByBroker as error:
            # The question costs the channel when the answer is no.
            del self.channel
            if error.reply_code != NOT_FOUND:
                raise
            return None
