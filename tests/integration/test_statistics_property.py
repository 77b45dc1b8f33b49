"""The numbers of a dashboard are those of a recount, whatever has happened to the tickets."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sav.domain.caller import SYSTEM, Caller, Role
from sav.domain.errors import SavError
from sav.domain.events import TicketEscalated
from sav.domain.occasion import Occasion
from sav.domain.statistics import Span
from sav.http.statistics_documents import statistics_document
from sav.models.tables import Agent, Ticket
from sav.operations.assign_ticket import assign_ticket
from sav.operations.converse import reply_to_ticket
from sav.operations.count_tickets import count_changed_tickets
from sav.operations.edit_ticket import delete_ticket, edit_ticket
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.operations.settle_ticket import close_ticket, rate_ticket, resolve_ticket
from sav.operations.ticket_change import change_ticket
from sav.queries import statistics
from sav.queries.statistics import read_statistics
from tests.factories.agents import make_agent
from tests.integration.statistics_oracle import recount
from tests.plugins.desk import empty_tables

CUSTOMERS, AGENTS, ADMIN = (1, 2), (7, 8), 99
RULES = DeskRules("TICKET", "urgent")
# The hours before clocks change, months end and a year ends.
BEGINNINGS = [
    datetime(2026, 3, 28, 20, 7, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 21, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 8, 3, 0, tzinfo=UTC),
    datetime(2026, 11, 1, 2, 45, tzinfo=UTC),
    datetime(2026, 4, 4, 11, 0, tzinfo=UTC),
    datetime(2026, 10, 3, 12, 29, 59, tzinfo=UTC),
    datetime(2026, 2, 28, 18, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 9, 15, tzinfo=UTC),
]
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@dataclass
class History:
    """The life of a desk through its real operations, at a time that only goes forward."""

    now: datetime
    tickets: list[Ticket] = field(default_factory=list)

    def do(self, step: "Step") -> None:
        self.now += step.pause
        with suppress(SavError, IndexError):
            STEPS[step.name](self, step)

    def ticket(self, step: "Step") -> Ticket:
        return self.tickets[step.which % len(self.tickets)] if self.tickets else self.tickets[0]

    def by(self, role: Role, user_id: int) -> Occasion:
        return Occasion(Caller(user_id, role), self.now, "history")

    def open(self, step: "Step") -> None:
        new = NewTicket(
            subject="Lost",
            description="It never came.",
            priority=step.priority,
            category=step.category,
            source=step.source,
            user_id=CUSTOMERS[step.which % 2] if step.which % 5 else None,
            contact_email="guest@example.com",
        )
        self.tickets.append(open_ticket(occasion=self.by("admin", ADMIN), new=new, rules=RULES))

    def assign(self, step: "Step") -> None:
        ticket = self.ticket(step)
        assign_ticket(occasion=self.by("admin", ADMIN), ticket_id=ticket.id, agent_id=AGENTS[step.other % 2])

    def answer(self, step: "Step") -> None:
        reply_to_ticket(occasion=self.by("admin", ADMIN), ticket_id=self.ticket(step).id, content="Here.")

    def ask(self, step: "Step") -> None:
        ticket = self.ticket(step)
        reply_to_ticket(
            occasion=self.by("customer", ticket.user_id or 0), ticket_id=ticket.id, content="Where?"
        )

    def resolve(self, step: "Step") -> None:
        # An admin who resolves an open ticket takes it, and is on no roster.
        resolve_ticket(occasion=self.by("admin", ADMIN), ticket_id=self.ticket(step).id, resolution="Done.")

    def close(self, step: "Step") -> None:
        close_ticket(occasion=self.by("admin", ADMIN), ticket_id=self.ticket(step).id)

    def rate(self, step: "Step") -> None:
        ticket = self.ticket(step)
        rate_ticket(
            occasion=self.by("customer", ticket.user_id or 0), ticket_id=ticket.id, rating=1 + step.other % 5
        )

    def edit(self, step: "Step") -> None:
        edit_ticket(
            occasion=self.by("admin", ADMIN),
            ticket_id=self.ticket(step).id,
            fields={"priority": step.priority, "category": step.category},
            customer_maximum_priority="urgent",
        )

    def unassign(self, step: "Step") -> None:
        edit_ticket(
            occasion=self.by("admin", ADMIN),
            ticket_id=self.ticket(step).id,
            fields={"status": "open"},
            customer_maximum_priority="urgent",
        )

    def escalate(self, step: "Step") -> None:
        with change_ticket(self.ticket(step).id, occasion=Occasion(SYSTEM, self.now)) as change:
            change.set(escalated_at=self.now)
            change.record(TicketEscalated(priority="urgent", reason="no_first_response", waited_seconds=1))

    def delete(self, step: "Step") -> None:
        if step.other % 3 == 0:
            delete_ticket(occasion=self.by("admin", ADMIN), ticket_id=self.ticket(step).id)

    def count(self, step: "Step") -> None:
        # Not always all of them: what is left is read as it is.
        count_changed_tickets(limit=1 + step.other % 4)


STEPS: dict[str, Callable[[History, "Step"], None]] = {
    "open": History.open,
    "assign": History.assign,
    "answer": History.answer,
    "ask": History.ask,
    "resolve": History.resolve,
    "close": History.close,
    "rate": History.rate,
    "edit": History.edit,
    "unassign": History.unassign,
    "escalate": History.escalate,
    "delete": History.delete,
    "count": History.count,
}


@dataclass(frozen=True)
class Step:
    """One thing that is tried; what the rules forbid is not done."""

    name: str
    pause: timedelta
    which: int
    other: int
    priority: Any
    category: str | None
    source: Any


def steps() -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        # More tickets than anything else, and enough resolved ones that some come back.
        name=st.sampled_from(["open", "open", "open", "resolve", "ask", "count", *STEPS]),
        pause=st.one_of(
            st.timedeltas(timedelta(0), timedelta(hours=2)),
            st.sampled_from([timedelta(0), timedelta(minutes=15), timedelta(days=1, microseconds=1)]),
        ),
        which=st.integers(0, 20),
        other=st.integers(0, 20),
        priority=st.sampled_from(["low", "normal", "high", "urgent"]),
        category=st.sampled_from([None, "order", "Order", "livraison très longue"]),
        source=st.sampled_from(["web", "email", "phone", "chat"]),
    )


def callers() -> list[Caller]:
    return [
        *(Caller(user_id, "customer") for user_id in (*CUSTOMERS, 3)),
        *(Caller(user_id, "agent") for user_id in (*AGENTS, 9)),
        Caller(ADMIN, "admin"),
    ]


def are_a_recount(callers: Sequence[Caller], spans: Sequence[Span], *, zone: ZoneInfo, now: datetime) -> None:
    tickets, roster = list(Ticket.select().dicts()), list(Agent.select().dicts())
    for caller, span in itertools.product(callers, spans):
        numbers = read_statistics(caller=caller, span=span, zone=zone, now=now)
        expected = _expected(tickets, roster, caller, span, zone, now)
        assert statistics_document(numbers) == expected, (caller, span, zone)


def _expected(tickets: Any, roster: Any, caller: Caller, span: Span, zone: ZoneInfo, now: datetime) -> Any:
    return recount(
        tickets,
        roster,
        role=caller.role,
        user_id=caller.user_id or 0,
        since=span.since,
        until=span.until,
        zone=zone,
        now=now,
    )


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    beginning=st.sampled_from(BEGINNINGS),
    life=st.lists(steps(), min_size=5, max_size=40),
    zone=st.sampled_from(ZONES),
    few=st.sampled_from([0, 500]),
    cuts=st.tuples(*[st.timedeltas(timedelta(hours=-6), timedelta(days=3))] * 2),
)
@pytest.mark.timeout(300)
def test_numbers_are_those_of_a_recount(
    empty_database: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    beginning: datetime,
    life: list[Step],
    zone: str,
    few: int,
    cuts: tuple[timedelta, timedelta],
) -> None:
    empty_tables()
    # Percentiles of few durations and of many are found in two ways.
    monkeypatch.setattr(statistics, "FEW_VALUES", few)
    for agent_id in AGENTS:
        make_agent(agent_id)
    history = History(beginning)
    for step in life:
        history.do(step)
    low, high = (beginning + cut for cut in sorted(cuts))
    spans = [Span(), Span(low, None), Span(None, high), Span(low, high + timedelta(microseconds=1))]
    are_a_recount([Caller(ADMIN, "admin")], spans, zone=ZoneInfo(zone), now=history.now)
    while count_changed_tickets(limit=3):
        pass
    are_a_recount([Caller(ADMIN, "admin")], spans, zone=ZoneInfo(zone), now=history.now)
    are_a_recount(callers(), spans[-1:], zone=ZoneInfo(zone), now=history.now)
