"""Those who write while everything dies: clients of the API, and another service that publishes."""

import itertools
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import uuid4

import httpx
import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from tests.system.fleet import Admin, Agent, Caller, Customer, Document, Fleet

RETRY_SECONDS = 0.15
GIVE_UP_SECONDS = 120.0
JOIN_TIMEOUT_SECONDS = 150.0
AMQP_TIMEOUT_SECONDS = 10.0
STEPS_A_TICKET = 11
COPIES_AT_MOST = 3
FIRST_CUSTOMER, FIRST_AGENT, ADMIN = 20_001, 700_001, 900_001


class Refused(Exception):
    """An answer that nothing of what was done to the service explains."""


@dataclass
class Story:
    """What a client was promised about one ticket: its facts, and the ids of its messages."""

    ticket_id: int
    number: str
    events: list[str] = field(default_factory=lambda: ["ticket.created"])
    messages: list[int] = field(default_factory=list)
    status: str = "open"
    rating: int | None = None
    writes: int = 1


class _Workforce:
    """Threads whose first error is not lost."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def employ(self, task: Callable[[], None], *, name: str) -> None:
        self._threads.append(threading.Thread(target=self._guarded, args=(task,), name=name, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_SECONDS)

    def raise_errors(self) -> None:
        for error in self.errors:
            raise error

    def _guarded(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            self.errors.append(error)


class Clients(_Workforce):
    """`threads` clients that take `tickets` tickets through all their states.

    Whoever gets no answer, or a 503, asks again: with the same Idempotency-Key where there is one, and
    otherwise prepared to hear that it was done already.
    """

    def __init__(self, fleet: Fleet, *, tickets: int, threads: int) -> None:
        super().__init__()
        self._fleet = fleet
        self._tickets = tickets
        self._left: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(tickets):
            self._left.put(number)
        self.stories: list[Story] = []
        self.unanswered = self.unavailable = 0
        self._steps = itertools.count()
        self._steps_done = 0
        for number in range(threads):
            self.employ(lambda number=number: self._work(number), name=f"client-{number}")  # type: ignore[misc]

    @property
    def done_share(self) -> float:
        if len(self.stories) == self._tickets and self._finished == self._tickets:
            return 1.0
        return min(0.999, self._steps_done / (self._tickets * STEPS_A_TICKET))

    @property
    def _finished(self) -> int:
        return sum(story.status == "closed" and story.rating is not None for story in self.stories)

    def _work(self, number: int) -> None:
        with (
            Customer(self._fleet, FIRST_CUSTOMER + number) as customer,
            Agent(self._fleet, FIRST_AGENT + number) as agent,
            Admin(self._fleet, ADMIN) as admin,
        ):
            self._until_done(lambda: agent.get("/agents/me"))
            while not self.stopping.is_set():
                try:
                    ticket = self._left.get_nowait()
                except queue.Empty:
                    return
                self._live(ticket, customer, agent, admin)

    def _live(self, ordinal: int, customer: Customer, agent: Agent, admin: Admin) -> None:
        """Every status of the lifecycle, and every published fact that needs no waiting."""
        key = str(uuid4())
        fields = {"subject": f"Chaos {ordinal}"}
        opened = self._until_done(lambda: customer.open(fields, key=key))
        story = Story(int(opened["id"]), str(opened["ticket_number"]))
        self.stories.append(story)
        ticket = story.ticket_id
        self._say(story, customer, "Where is it?")
        self._do(story, lambda: admin.assign(ticket, agent.user_id), "assigned", "ticket.assigned")
        self._say(story, agent, "I am looking.", status="in_progress")
        waiting = {"status": "waiting_customer"}
        self._do(story, lambda: admin.call("PUT", f"/tickets/{ticket}", waiting), "waiting_customer")
        self._say(story, customer, "It was blue.", status="in_progress")
        self._do(story, lambda: agent.resolve(ticket, "Found it."), "resolved", "ticket.resolved")
        if ordinal % 2:
            self._say(story, customer, "It is another one.", status="in_progress")
            self._do(story, lambda: agent.resolve(ticket, "Sent again."), "resolved", "ticket.resolved")
        else:
            self._steps_done += 2
        self._do(story, lambda: admin.close(ticket, "Done."), "closed", "ticket.closed")
        rating = 1 + ordinal % 5
        self._do(
            story,
            lambda: customer.rate(ticket, rating, "Well."),
            "closed",
            "ticket.satisfaction.received",
        )
        story.rating = rating

    def _say(self, story: Story, author: Caller, content: str, *, status: str | None = None) -> None:
        key = str(uuid4())
        answer = self._until_done(lambda: author.reply(story.ticket_id, content, key=key))
        story.messages.append(int(answer["id"]))
        story.events.append("ticket.message.new")
        story.status = status or story.status
        story.writes += 1

    def _do(
        self, story: Story, call: Callable[[], httpx.Response], status: str, event: str | None = None
    ) -> None:
        self._until_done(call, may_be_done=True)
        story.status = status
        story.writes += 1
        if event is not None:
            story.events.append(event)

    def _until_done(self, call: Callable[[], httpx.Response], *, may_be_done: bool = False) -> Document:
        """Asks until there is a yes. A call without a key that got no yes may have been heard nevertheless:
        then the next one hears of a conflict, and what it has come to is in the reconciliation."""
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        in_doubt = False
        while time.monotonic() < give_up_at and not self.stopping.is_set():
            try:
                answer = call()
            except httpx.TransportError:
                self.unanswered += 1
                in_doubt = True
            else:
                if answer.status_code in (200, 201):
                    self._steps_done += 1
                    document: Document = answer.json()
                    return document
                if answer.status_code == 503:
                    self.unavailable += 1
                    in_doubt = True
                elif answer.status_code == 409 and in_doubt and may_be_done:
                    self._steps_done += 1
                    return {}
                elif not _is_in_flight(answer):
                    asked = f"{answer.request.method} {answer.request.url.path}"
                    raise Refused(f"{asked}: {answer.status_code} {answer.text}")
            self.stopping.wait(RETRY_SECONDS)
        raise Refused("no answer for too long")


class ForeignService(_Workforce):
    """Publishes `events` different order issues with confirms; a third of them up to three times more.

    `confirmed` holds the orders that the broker has taken. One that was not confirmed is published again,
    with the same id.
    """

    def __init__(self, settings: Mapping[str, str], *, events: int, seed: float) -> None:
        super().__init__()
        self._settings = settings
        self._events = events
        self._chance = random.Random(seed)  # noqa: S311
        self.confirmed: dict[int, int] = {}
        """Each order, and how many copies of its event were confirmed."""
        self.employ(self._publish, name="foreign-service")

    @property
    def done_share(self) -> float:
        return len(self.confirmed) / self._events if self._events else 1.0

    def _publish(self) -> None:
        orders = list(range(1, self._events + 1))
        orders += [
            order
            for order in self._chance.sample(orders, self._events // 3)
            for _ in range(self._chance.randint(1, COPIES_AT_MOST))
        ]
        # Some copies come before, some long after the first.
        self._chance.shuffle(orders)
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        while orders and not self.stopping.is_set():
            try:
                with self._channel() as channel:
                    queue = channel.queue_declare(self._settings["RABBITMQ_QUEUE"], passive=True).method
                    if not self.confirmed and not queue.consumer_count:
                        # Before a worker has ever listened, nobody keeps what is published for it.
                        raise pika.exceptions.AMQPError("nobody listens yet")
                    while orders and not self.stopping.is_set():
                        self._tell(channel, orders[-1])
                        order = orders.pop()
                        self.confirmed[order] = self.confirmed.get(order, 0) + 1
                        give_up_at = time.monotonic() + GIVE_UP_SECONDS
                        self.stopping.wait(self._chance.uniform(0, 2 * RETRY_SECONDS))
            except (pika.exceptions.AMQPError, OSError):
                if time.monotonic() > give_up_at:
                    raise
                self.stopping.wait(RETRY_SECONDS)

    def _tell(self, channel: BlockingChannel, order: int) -> None:
        data = {"order_id": order, "user_id": order, "issue_type": "chaos"}
        channel.basic_publish(
            self._settings["RABBITMQ_EXCHANGE"],
            "order.issue",
            json.dumps({"event": "order.issue", "data": data, "id": f"order-{order}"}).encode(),
            pika.BasicProperties(delivery_mode=2, content_type="application/json"),
            mandatory=True,
        )

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        nodes = [node.partition(":") for node in self._settings["RABBITMQ_HOST"].split(",")]
        connection = pika.BlockingConnection(
            [
                pika.ConnectionParameters(
                    host=host,
                    port=int(port or self._settings["RABBITMQ_PORT"]),
                    virtual_host=self._settings["RABBITMQ_VHOST"],
                    credentials=pika.PlainCredentials(
                        self._settings["RABBITMQ_USER"], self._settings["RABBITMQ_PASSWORD"]
                    ),
                    socket_timeout=AMQP_TIMEOUT_SECONDS,
                    stack_timeout=AMQP_TIMEOUT_SECONDS,
                    blocked_connection_timeout=AMQP_TIMEOUT_SECONDS,
                    heartbeat=10,
                )
                for host, _, port in nodes
            ]
        )
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            if connection.is_open:
                connection.close()


def _is_in_flight(answer: httpx.Response) -> bool:
    """The first try's transaction is not over yet: of a process that was killed, or behind a lock."""
    return answer.status_code == 409 and answer.json().get("code") == "idempotency_in_flight"
