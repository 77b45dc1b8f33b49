"""A list has the same tickets in the same order by whichever index it is read, and its total is theirs."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from sav.domain.caller import Caller
from sav.domain.ticket_lifecycle import PRIORITIES, STATUSES
from sav.models.database import is_sqlite, transaction
from sav.models.tables import Ticket, TicketTag
from sav.operations.count_tickets import count_for_a_while
from sav.queries import ticket_roads, ticket_totals
from sav.queries.pages import PageRequest
from sav.queries.ticket_inbox import Order, TicketFilter, list_tickets
from tests.factories.tickets import make_ticket

FIRST = datetime(2025, 10, 25, tzinfo=UTC)
DAYS = 160
CALLERS = (Caller(99, "admin"), Caller(7, "agent"), Caller(1, "customer"))
CATEGORIES = ("order", "Order", None)
PER_PAGE = 7


def day(number: float) -> datetime:
    return FIRST + timedelta(days=number)


# 31 October, midnight: a span that begins or ends with a month, and ones that lie across some.
SPANS: list[dict[str, datetime]] = [
    {},
    {"created_from": day(7), "created_to": day(37)},
    {"created_from": day(7.5), "created_to": day(99.25)},
    {"created_from": day(40), "created_to": day(40.5)},
    {"created_from": day(90), "created_to": day(30)},  # Nothing.
    {"created_to": day(68)},
    {"created_from": day(100)},
    {"updated_from": day(66)},
    {"updated_from": day(-1)},
    {"updated_from": day(10_000)},
    {"created_from": day(20), "created_to": day(110), "updated_from": day(80)},
    {"created_to": day(40), "updated_from": day(80)},
]
FILTERS: list[dict[str, Any]] = [
    {},
    {"status": ["open"]},
    {"status": ["closed", "open"]},
    {"priority": ["low"]},
    {"priority": ["urgent", "low"]},
    {"category": ["order"]},
    {"tag": ["vip"]},
    {"assigned_to": 7},
    {"assigned_to": "none"},
    {"status": ["open", "assigned"], "priority": ["normal"], "tag": ["vip", "gift"]},
]


@pytest.fixture
def shelf(empty_database: dict[str, str]) -> list[Ticket]:
    """Tickets over half a year, that were changed soon, late, or never."""
    with transaction():
        for number in range(240):
            make_one(random.Random(number), at=day(int(number * DAYS / 240)))
    return list(Ticket.select())


def make_one(dice: random.Random, *, at: datetime) -> None:
    ticket = make_ticket(
        dice.choice(STATUSES),
        user_id=dice.choice([1, 2]),
        assigned_to=dice.choice([7, 8, None]),
        priority=dice.choice(PRIORITIES),
        category=dice.choice(CATEGORIES),
        at=at,
        updated_at=at + timedelta(days=dice.choice([0, 0, 1, 30, 90])),
        deleted_at=at if dice.random() < 0.1 else None,
    )
    for tag in dice.sample(["vip", "gift", "b2b"], dice.randrange(3)):
        TicketTag.create(ticket_id=ticket.id, tag=tag)


def test_every_road_shows_the_same(shelf: list[Ticket], monkeypatch: pytest.MonkeyPatch) -> None:
    tagged = {(row.ticket_id, row.tag) for row in TicketTag.select()}
    for few in (2_000,) if is_sqlite() else (12, -1):
        # By how many there are, this or that; or there are never few.
        monkeypatch.setattr(ticket_roads, "FEW", few)
        ticket_roads.forget_estimates()
        for number, span in enumerate(SPANS):
            for place, wanted in enumerate(FILTERS):
                # Each with each order and caller, though not all with all.
                order: Order = get_args(Order)[(number + place) % 5]
                caller = CALLERS[(number + 2 * place + few) % 3]
                asked = {**span, **wanted}
                expected = [t.id for t in in_order(shelf, order) if fits(t, caller, asked, tagged)]
                assert shown(caller, asked, order) == expected, (few, caller, asked, order)


@pytest.mark.parametrize("most_uncounted", [5_000, 0])
def test_totals_are_exact(shelf: list[Ticket], monkeypatch: pytest.MonkeyPatch, most_uncounted: int) -> None:
    monkeypatch.setattr(ticket_totals, "MOST_UNCOUNTED", most_uncounted)
    tagged = {(row.ticket_id, row.tag) for row in TicketTag.select()}
    for change in (nothing, count_all, change_some):
        change()
        tickets = list(Ticket.select())
        asks = [*FILTERS, *SPANS, {"source": ["web"]}, {"category": ["order", "Order"]}]
        for number, asked in enumerate(asks):
            caller = CALLERS[number % 5 % 3]
            page = PageRequest(per_page=1, include_total=True)
            found = list_tickets(caller=caller, wanted=TicketFilter(**asked), order="-created_at", page=page)
            assert found.total == sum(fits(t, caller, asked, tagged) for t in tickets), (change, asked)


def nothing() -> None:
    pass


def count_all() -> None:
    assert count_for_a_while()


def change_some() -> None:
    Ticket.update(status="closed", category="Order", uncounted=True).where(Ticket.id % 9 == 0).execute()
    Ticket.update(deleted_at=FIRST, uncounted=True).where(Ticket.id % 11 == 0).execute()


def shown(caller: Caller, asked: dict[str, Any], order: Order) -> list[int]:
    ids: list[int] = []
    cursor = None
    while True:
        page = list_tickets(
            caller=caller,
            wanted=TicketFilter(**asked),
            order=order,
            page=PageRequest(per_page=PER_PAGE if not cursor else 100, cursor=cursor),
        )
        ids += [ticket.id for ticket in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return ids


def in_order(tickets: list[Ticket], order: Order) -> list[Ticket]:
    keys: dict[str, Callable[[Ticket], Any]] = {
        "created_at": lambda t: t.created_at,
        "updated_at": lambda t: t.updated_at,
        "priority": lambda t: PRIORITIES.index(t.priority),
    }
    key = keys[order.lstrip("-")]
    return sorted(tickets, key=lambda t: (key(t), t.id), reverse=order.startswith("-"))


def fits(ticket: Ticket, caller: Caller, asked: dict[str, Any], tagged: set[tuple[int, str]]) -> bool:
    seen = {
        "admin": True,
        "agent": ticket.status == "open" or ticket.assigned_to == caller.user_id,
        "customer": ticket.user_id == caller.user_id,
    }
    assigned_to = asked.get("assigned_to")
    return (
        seen[caller.role]
        and ticket.deleted_at is None
        and all(
            getattr(ticket, name) in asked.get(name, [getattr(ticket, name)])
            for name in ("status", "priority", "category", "source")
        )
        and (assigned_to is None or ticket.assigned_to == (None if assigned_to == "none" else assigned_to))
        and ("tag" not in asked or any((ticket.id, tag) in tagged for tag in asked["tag"]))
        and asked.get("created_from", FIRST) <= ticket.created_at <= asked.get("created_to", day(10_000))
        and asked.get("updated_from", FIRST) <= ticket.updated_at
    )
