"""A line to the broker on which many messages are on their way at once, each confirmed.

pika's blocking channel waits for each confirm before it takes the next message; here all are sent, and then
all confirms are waited for.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pika
import pika.exceptions
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorPhaseErrorBase,
)
from pika.channel import Channel

from sav.actors.amqp import HEARTBEAT_SECONDS, NOT_FOUND, connection_options
from sav.settings import Settings

CONFIRM_TIMEOUT_SECONDS = float(HEARTBEAT_SECONDS)
"""How long the broker may take to confirm all that is on its way, or to answer anything else."""
CLOSE_TIMEOUT_SECONDS = 2.0


class NotConfirmed(Exception):
    """The broker took too long to say that it has a message: it may have it or not."""


class Nacked(Exception):
    """The broker could not take a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published, and under which name."""

    routing_key: str
    body: bytes
    properties: pika.BasicProperties


class ConfirmedLine:
    """One connection and one channel to a topic exchange, for one thread.

    Everything happens while that thread waits in one of the methods: no heartbeat is answered in between.
    """

    def __init__(self, settings: Settings, *, exchange: str) -> None:
        """Connects to the first node that answers; raises what goes wrong."""
        self._exchange = exchange
        self._closed_because: BaseException | None = None
        self._sent = 0
        self._on_their_way: set[int] = set()
        self._nacked: set[int] = set()
        self._ioloop = IOLoop()
        self._ioloop.activate_poller()
        self._connection: Any = None
        self._is_closing = False
        try:
            self._connection = self._connect(settings)
            self._channel = self._with_exchange()
            self._ask(lambda answer: self._channel.confirm_delivery(self._confirmed, callback=answer))
        except BaseException:
            self.close()
            raise

    def send(
        self, messages: Sequence[Message], *, timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS
    ) -> dict[int, BaseException]:
        """Publishes in order; returns once all are confirmed, or when that cannot be hoped for any more.

        By its place, why a message may not be out; the line is of no more use then: a channel whose publish
        was refused once may be refused for ever.
        """
        first_tag = self._sent + 1
        with contextlib.suppress(pika.exceptions.AMQPError):
            for message in messages:
                self._publish(message)
        self._wait(lambda: not self._on_their_way, timeout_seconds=timeout_seconds)
        unsure = self._closed_because or NotConfirmed()
        troubles: dict[int, BaseException] = {}
        for place in range(len(messages)):
            tag = first_tag + place
            if tag in self._nacked:
                troubles[place] = Nacked()
            elif tag in self._on_their_way or tag > self._sent:
                troubles[place] = unsure
        return troubles

    def close(self) -> None:
        """Lets go of the connection, politely if the broker answers."""
        # A channel that is closed leaves its connection open; and closing that begins with the channel.
        self._closed_because, self._is_closing = None, True
        with contextlib.suppress(Exception):
            if self._connection is not None and self._connection.is_open:
                self._connection.close()
                self._wait(lambda: self._connection.is_closed, timeout_seconds=CLOSE_TIMEOUT_SECONDS)
        self._ioloop.close()

    @property
    def is_closed(self) -> bool:
        """Whether the broker has let go of the connection, too."""
        return self._connection is None or bool(self._connection.is_closed)

    def _publish(self, message: Message) -> None:
        # Not mandatory: an event that nobody has bound a queue for goes nowhere, and that is no error.
        self._channel.basic_publish(self._exchange, message.routing_key, message.body, message.properties)
        self._sent += 1
        self._on_their_way.add(self._sent)

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        tags = {method.delivery_tag}
        if method.multiple:
            tags = {tag for tag in self._on_their_way if tag <= method.delivery_tag}
        self._on_their_way -= tags
        if isinstance(method, pika.spec.Basic.Nack):
            self._nacked |= tags

    def _connect(self, settings: Settings) -> Any:
        parameters = [pika.ConnectionParameters(**options) for options in connection_options(settings)]
        (result,) = self._ask(
            lambda answer: pika.SelectConnection.create_connection(
                parameters, on_done=answer, custom_ioloop=self._ioloop
            ),
            # The parameters bound it, for each node.
            timeout_seconds=None,
        )
        if isinstance(result, AMQPConnectionWorkflowFailed):
            # What pika has wrapped says more: of the last node, in the phase it came to.
            last = result.exceptions[-1]
            raise last.exception if isinstance(last, AMQPConnectorPhaseErrorBase) else last
        if isinstance(result, BaseException):
            raise result
        result.add_on_close_callback(self._note_close)
        return result

    def _with_exchange(self) -> Channel:
        """A channel on which the exchange is known to exist, with whatever arguments it was made."""
        channel = self._open_channel()
        try:
            self._ask(lambda answer: channel.exchange_declare(self._exchange, passive=True, callback=answer))
        except pika.exceptions.ChannelClosedByBroker as error:
            # The question costs the channel when the answer is no.
            if error.reply_code != NOT_FOUND:
                raise
            self._closed_because = None
            channel = self._open_channel()
            self._ask(
                lambda answer: channel.exchange_declare(
                    self._exchange, exchange_type="topic", durable=True, callback=answer
                )
            )
        return channel

    def _open_channel(self) -> Channel:
        (channel,) = self._ask(lambda answer: self._connection.channel(on_open_callback=answer))
        channel.add_on_close_callback(self._note_close)
        return channel

    def _note_close(self, _closed: object, reason: BaseException) -> None:
        if self._is_closing:
            return
        # The channel's reason is the first, and says more than the connection's.
        self._closed_because = self._closed_because or reason

    def _ask(
        self,
        question: Callable[[Callable[..., None]], object],
        *,
        timeout_seconds: float | None = CONFIRM_TIMEOUT_SECONDS,
    ) -> tuple[Any, ...]:
        """Asks the broker with a callback for its answer; returns what that is called with."""
        answers: list[tuple[Any, ...]] = []
        question(lambda *answer: answers.append(answer))
        self._wait(lambda: bool(answers), timeout_seconds=timeout_seconds)
        if not answers:
            raise self._closed_because or NotConfirmed()
        return answers[0]

    def _wait(
        self, is_done: Callable[[], bool], *, timeout_seconds: float | None = CONFIRM_TIMEOUT_SECONDS
    ) -> None:
        """Lets the line work until that is so, or it is closed, or the time is up."""
        times_up: list[bool] = []
        timer = None
        if timeout_seconds is not None:
            timer = self._ioloop.call_later(timeout_seconds, lambda: times_up.append(True))
        while not (is_done() or self._closed_because or times_up):
            self._ioloop.poll()
            self._ioloop.process_timeouts()
        if timer is not None:
            self._ioloop.remove_timeout(timer)
