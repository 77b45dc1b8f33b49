"""The broker's side of a run: its queues, and one who listens to the exchange."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import Connection
from typing import NamedTuple

import pika
import pika.exceptions

from benchmarks.bench.bounds import EVENT_TIMEOUT_SECONDS, START_TIMEOUT_SECONDS
from benchmarks.bench.ground import Ground

POLL_SECONDS = 0.02


class Heard(NamedTuple):
    """An event: of which ticket, when it happened and when it arrived, in seconds since 1970."""

    ticket_id: int
    name: str
    happened_at: float
    arrived_at: float


class Queues:
    """What lies in queues."""

    def __init__(self, ground: Ground) -> None:
        self._connection = pika.BlockingConnection(_parameters(ground))

    def __enter__(self) -> "Queues":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def count(self, name: str) -> int:
        """How many messages nobody has taken yet; 0 for a queue that does not exist."""
        channel = self._connection.channel()
        try:
            return int(channel.queue_declare(name, passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker:
            return 0
        finally:
            if channel.is_open:
                channel.close()

    def delete(self, *names: str) -> None:
        channel = self._connection.channel()
        for name in names:
            for queue in (name, f"{name}.DQ", f"{name}.XQ"):
                channel.queue_delete(queue)
        channel.close()


class Listener:
    """A consumer as another service would write it, in a process of its own."""

    def __init__(self, pipe: "Connection[object, object]") -> None:
        self._pipe = pipe
        self._heard: list[Heard] = []

    def heard(self) -> Sequence[Heard]:
        """Everything so far, in the order of arrival."""
        self._pipe.send("more")
        self._heard += [Heard(*item) for item in self._pipe.recv()]  # type: ignore[attr-defined]
        return self._heard

    def wait_for(self, count: int) -> Sequence[Heard]:
        """Returns once so many events were heard, or when the patience is at its end."""
        give_up_at = time.monotonic() + EVENT_TIMEOUT_SECONDS
        while len(heard := self.heard()) < count and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
        return heard


@contextmanager
def listening(ground: Ground) -> Iterator[Listener]:
    """Bound before this is entered."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_listen, args=(ground.broker.url, ground.exchange, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(START_TIMEOUT_SECONDS):
            raise TimeoutError("the listener did not start")
        ours.recv()
        yield Listener(ours)
        ours.send("end")
        process.join(EVENT_TIMEOUT_SECONDS)
    finally:
        process.kill()


def _listen(url: str, exchange: str, pipe: Connection) -> None:
    connection = pika.BlockingConnection(_parameters_of(url))
    channel = connection.channel()
    channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, exchange, routing_key="#")
    heard: list[tuple[int, str, float, float]] = []

    def note(_: object, __: object, ___: object, body: bytes) -> None:
        arrived_at = time.time()
        event = json.loads(body)
        happened_at = datetime.fromisoformat(event["timestamp"]).timestamp()
        heard.append((event["data"]["ticket_id"], event["event"], happened_at, arrived_at))

    channel.basic_consume(queue, note, auto_ack=True)
    pipe.send("ready")
    while True:
        connection.process_data_events(time_limit=POLL_SECONDS)
        if pipe.poll():
            if pipe.recv() == "end":
                connection.close()
                return
            pipe.send(heard)
            heard = []


def _parameters(ground: Ground) -> pika.ConnectionParameters:
    return _parameters_of(ground.broker.url)


def _parameters_of(url: str) -> pika.ConnectionParameters:
    parameters = pika.URLParameters(url if url.count("/") > 2 else f"{url}/%2F")
    parameters.heartbeat = 0
    return parameters
