"""Callers who write without a pause while things break, and the reconciliation afterwards.

Each follows the same small story over and over: a customer opens a ticket, replies, an admin resolves it,
the customer replies again. Whoever gets no answer asks again, as a careful client does: with the same
Idempotency-Key where there is one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import uuid4

import httpx

from tests.servers.ports import wait_until
from tests.system.conftest import Site
from tests.system.fleet import EVENTS_TIMEOUT_SECONDS, Admin, Customer, Document, ExchangeListener

PAUSE_SECONDS = 0.08
"""Between two writes: a stream that a busy machine keeps up with, and that can be checked row by row."""
RETRY_SECONDS = 0.1
GIVE_UP_SECONDS = 60.0
JOIN_TIMEOUT_SECONDS = 90.0

PUBLISHED = frozenset(
    {
        "ticket.created",
        "ticket.assigned",
        "ticket.resolved",
        "ticket.closed",
        "ticket.message.new",
        "ticket.escalated",
        "ticket.satisfaction.received",
    }
)


@dataclass(frozen=True)
class Answered:
    """An answer: when it was asked for (`time.monotonic`), how long it took, and what it was."""

    asked_at: float
    seconds: float
    status: int


@dataclass
class Acknowledged:
    """What one writer was promised: its tickets, and the messages of each."""

    messages: dict[int, list[int]] = field(default_factory=dict)
    resolved: set[int] = field(default_factory=set)


class Writers:
    """`count` threads that write from the beginning of the block to its end."""

    def __init__(
        self, site: Site, *, count: int = 3, keep_alive: bool = True, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._site = site
        self._pause_seconds = pause_seconds
        self._keep_alive = keep_alive
        self._stopping = threading.Event()
        self.user_ids = [site.someone_new() for _ in range(count)]
        self.promises = [Acknowledged() for _ in range(count)]
        self.answers: list[Answered] = []
        self.unanswered: list[str] = []
        """What happened to requests that got no answer: the names of the client's errors."""
        self.failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=item, name=f"writer-{number}", daemon=True)
            for number, item in enumerate(zip(self.user_ids, self.promises, strict=True))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)
        if error is None and self.failures:
            raise self.failures[0]

    @property
    def ticket_ids(self) -> list[int]:
        """The tickets that were acknowledged so far."""
        return [ticket_id for promise in self.promises for ticket_id in list(promise.messages)]

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def seconds_between(self, start: float, end: float) -> list[float]:
        """How long the answers took that were asked for in this time."""
        return [answer.seconds for answer in self.answers if start <= answer.asked_at < end]

    def wait_for_tickets(self, count: int, *, timeout_seconds: float = GIVE_UP_SECONDS) -> None:
        """Returns once there are `count` more tickets than now."""
        enough = len(self.ticket_ids) + count
        wait_until(
            lambda: len(self.ticket_ids) >= enough or bool(self.failures),
            timeout_seconds=timeout_seconds,
            what=f"{count} more tickets",
        )

    def _run(self, user_id: int, promise: Acknowledged) -> None:
        admin_id = user_id + 1_000_000
        with (
            Customer(self._site.fleet, user_id, keep_alive=self._keep_alive) as customer,
            Admin(self._site.fleet, admin_id, keep_alive=self._keep_alive) as admin,
        ):
            try:
                while not self._stopping.is_set():
                    self._tell_story(customer, admin, promise)
            except BaseException as error:
                self.failures.append(error)

    def _tell_story(self, customer: Customer, admin: Admin, promise: Acknowledged) -> None:
        key = str(uuid4())
        ticket_id = int(self._write(lambda: customer.open(key=key))["id"])
        promise.messages[ticket_id] = []
        self._reply(customer, ticket_id, promise)
        # Nothing tells a repeated resolution from somebody else's, but nobody else is here.
        self._write(lambda: admin.resolve(ticket_id, "Sent again"), when_repeated=(409,))
        promise.resolved.add(ticket_id)
        self._reply(customer, ticket_id, promise)

    def _reply(self, customer: Customer, ticket_id: int, promise: Acknowledged) -> None:
        key = str(uuid4())
        message = self._write(lambda: customer.reply(ticket_id, "Any news?", key=key))
        promise.messages[ticket_id].append(int(message["id"]))

    def _write(self, call: Callable[[], httpx.Response], *, when_repeated: Sequence[int] = ()) -> Document:
        """Writes until there is an answer; fails when that is neither 200 nor 201."""
        self._stopping.wait(self._pause_seconds)
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        acceptable = {200, 201}
        while True:
            asked_at = time.monotonic()
            try:
                answer = call()
            except httpx.TransportError as error:
                assert time.monotonic() < give_up_at, "no answer"
                self.unanswered.append(type(error).__name__)
                acceptable.update(when_repeated)
                time.sleep(RETRY_SECONDS)
                continue
            self.answers.append(Answered(asked_at, time.monotonic() - asked_at, answer.status_code))
            document: Document = answer.json()
            if document.get("code") == "idempotency_in_flight" and time.monotonic() < give_up_at:
                # The transaction of the process that was killed has not been rolled back yet.
                time.sleep(RETRY_SECONDS)
                continue
            assert answer.status_code in acceptable, f"{answer.status_code}: {answer.text}"
            return document


def assert_nothing_is_lost_or_doubled(writers: Writers, admin: Admin) -> None:
    """What was acknowledged is there, and nothing else: a repeated request has written once."""
    for user_id, promise in zip(writers.user_ids, writers.promises, strict=True):
        rows = admin.all_rows(f"/tickets?user_id={user_id}")
        assert sorted(row["id"] for row in rows) == sorted(promise.messages)
        for ticket_id, message_ids in promise.messages.items():
            ticket = admin.ticket(ticket_id)
            assert [message["id"] for message in ticket["messages"]] == message_ids
            assert ticket["resolution_notes"] == ("Sent again" if ticket_id in promise.resolved else None)


def assert_all_events_are_out(
    listener: ExchangeListener,
    admin: Admin,
    ticket_ids: Sequence[int],
    *,
    timeout_seconds: float = EVENTS_TIMEOUT_SECONDS,
) -> float:
    """Every fact that leaves the service has left it, once or with the same id again, in each ticket's order.

    Returns for how many seconds it had to wait for the last one.
    """
    assert ticket_ids
    facts = {ticket_id: _published_facts(admin, ticket_id) for ticket_id in ticket_ids}
    number = sum(map(len, facts.values()))
    started_at = time.monotonic()
    wait_until(
        lambda: len(_event_ids(listener, facts)) >= number,
        timeout_seconds=timeout_seconds,
        what=f"the {number} events of {len(facts)} tickets",
    )
    seconds = time.monotonic() - started_at
    for ticket_id, expected in facts.items():
        events = [delivery.event for delivery in listener.stream(ticket_id)]
        out = [(event["event"], event["data"], event["request_id"]) for event in events]
        assert out == expected, f"ticket {ticket_id}: {out} are out, and not {expected}"
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    return seconds


def _published_facts(admin: Admin, ticket_id: int) -> list[tuple[str, Document, str]]:
    history = admin.history(ticket_id)
    assert [row["sequence"] for row in history] == list(range(1, len(history) + 1))
    return [(row["event"], row["data"], row["request_id"]) for row in history if row["event"] in PUBLISHED]


def _event_ids(listener: ExchangeListener, tickets: dict[int, list[tuple[str, Document, str]]]) -> set[str]:
    return {item.event["id"] for item in listener.deliveries if item.ticket_id in tickets}
