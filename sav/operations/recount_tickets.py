"""Counts tickets again, a day (in UTC) at a time, whatever was counted before; beside the running service.

For sums that nobody kept: after an import, or when somebody wrote to the tables by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import peewee

from sav.domain.statistics import INSTANTS, KINDS, Cell, cell_of, instant_of, marks, slot_of
from sav.domain.ticket_lifecycle import SETTLED
from sav.models.database import for_update, retry_deadlocks, transaction
from sav.models.tables import CountedTicket, DeskCount, Ticket, WiderCount
from sav.models.ticket_numbers import COUNTED_COLUMNS, NUMBER_COLUMNS, counted_numbers, current_numbers
from sav.operations.count_tickets import (
    TICKETS_A_TRANSACTION,
    Sums,
    add_to_sums,
    count_tickets,
    counted_before,
    difference,
    make_wider_sums_anew,
    take_turn,
    wider_cells,
)

_LOAD = (DeskCount.kind == "load") & (DeskCount.slot == 0)
_NOTHING = (0, 0)


@dataclass(frozen=True, slots=True)
class Recounted:
    """How many tickets were looked at, and how many of them, and of the sums, were (or are still) wrong."""

    tickets: int = 0
    wrong_tickets: int = 0
    wrong_sums: int = 0

    def __add__(self, other: Recounted) -> Recounted:
        return Recounted(
            self.tickets + other.tickets,
            self.wrong_tickets + other.wrong_tickets,
            self.wrong_sums + other.wrong_sums,
        )


def days_to_recount(*, since: date | None, until: date | None, now: datetime) -> list[date]:
    """The days from `since` to `until`, both included; those of all tickets where one is None."""
    known = [_oldest(row) for row in (Ticket, CountedTicket)]
    oldest = min([instant for instant in known if instant is not None], default=now)
    first, last = since or oldest.date(), until or now.astimezone(UTC).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def recount_tickets_of(day: date, *, repair: bool) -> Iterator[Recounted]:
    """Counts the tickets that were opened on a day, some at a time; without `repair` it only compares."""
    since, until = _bounds(day)
    last: Any = None
    while batch := _recount_batch(since, until, last, repair=repair):
        recounted, last = batch
        yield recounted
    yield _forget_the_vanished(since, until, repair=repair)


@retry_deadlocks
def recount_sums_of(day: date, *, repair: bool) -> Recounted:
    """Makes the sums of a day anew from what each ticket was counted as."""
    since, until = _bounds(day)
    first, behind = slot_of(since), slot_of(until)
    with transaction():
        if repair:
            take_turn()
        expected = _sums_at(since, until)
        kinds = [kind for kind in KINDS if kind != "load"]
        here = DeskCount.kind.in_(kinds) & (DeskCount.slot >= first) & (DeskCount.slot < behind)
        return _repair(expected, _kept_sums(here), repair=repair)


@retry_deadlocks
def recount_load(*, repair: bool) -> Recounted:
    """Makes the agents' present load anew."""
    with transaction():
        if repair:
            take_turn()
        loads: Any = (
            CountedTicket.select(CountedTicket.assigned_to, peewee.fn.COUNT(CountedTicket.ticket_id))
            .where(CountedTicket.assigned_to.is_null(False), CountedTicket.status.not_in(list(SETTLED)))
            .group_by(CountedTicket.assigned_to)
            .tuples()
        )
        expected = {Cell("load", 0, str(agent_id)): (tickets, 0) for agent_id, tickets in loads}
        return _repair(expected, _kept_sums(_LOAD), repair=repair)


@retry_deadlocks
def recount_wider_sums(*, repair: bool) -> Recounted:
    """Makes the sums over more time anew from the others; for the end, as everything before changes both."""
    with transaction():
        if repair:
            take_turn()
        wrong = len({row[:-2] for row in _wider_sums() ^ _expected_wider_sums()})
        if repair and wrong:
            make_wider_sums_anew()
        return Recounted(wrong_sums=wrong)


def _wider_sums() -> set[tuple[Any, ...]]:
    kept: Any = WiderCount.select().where(WiderCount.width > 0).tuples()
    return {tuple(row) for row in kept if row[-2] or row[-1]}


def _expected_wider_sums() -> set[tuple[Any, ...]]:
    tickets: Counter[tuple[Any, ...]] = Counter()
    micros: Counter[tuple[Any, ...]] = Counter()
    for row in DeskCount.select().where(DeskCount.slot >= 0).iterator():
        for key in wider_cells(Cell(row.kind, row.slot, row.label)):
            tickets[key] += row.tickets
            micros[key] += row.micros
    return {(*key, count, micros[key]) for key, count in tickets.items() if count or micros[key]}


def _oldest(row: type[Ticket] | type[CountedTicket]) -> datetime | None:
    oldest: datetime | None = row.select(row.created_at).order_by(row.created_at).limit(1).scalar()
    return oldest


def _bounds(day: date) -> tuple[datetime, datetime]:
    since = datetime.combine(day, time.min, UTC)
    return since, since + timedelta(days=1)


@retry_deadlocks
def _recount_batch(
    since: datetime, until: datetime, last: Any, *, repair: bool
) -> tuple[Recounted, Any] | None:
    query = Ticket.select(*NUMBER_COLUMNS).where(Ticket.created_at >= since, Ticket.created_at < until)
    if last is not None:
        row_id, created_at = last[:2]
        later = (Ticket.created_at > created_at) | (Ticket.id > row_id)
        query = query.where(Ticket.created_at >= created_at, later)
    query = query.order_by(Ticket.created_at, Ticket.id).limit(TICKETS_A_TRANSACTION)
    with transaction():
        if repair:
            take_turn()
            # Whoever is writing to one of them marks it: the next hour counts it.
            query = for_update(query, skip_locked=True)
        tickets = list(query.tuples())
        if not tickets:
            return None
        wrong = count_tickets(tickets) if repair else _wrong(tickets)
        return Recounted(len(tickets), wrong), tickets[-1]


def _wrong(tickets: Sequence[Any]) -> int:
    counted = counted_before(row[0] for row in tickets)
    return sum(current_numbers(row) != counted.get(row[0]) for row in tickets)


@retry_deadlocks
def _forget_the_vanished(since: datetime, until: datetime, *, repair: bool) -> Recounted:
    """Tickets are deleted by a mark; a row that is gone was taken away by hand."""
    with transaction():
        if repair:
            take_turn()
        ids = [
            row.ticket_id
            for row in CountedTicket.select(CountedTicket.ticket_id)
            .join(Ticket, peewee.JOIN.LEFT_OUTER, on=(Ticket.id == CountedTicket.ticket_id))
            .where(CountedTicket.created_at >= since, CountedTicket.created_at < until, Ticket.id.is_null())
        ]
        if ids and repair:
            add_to_sums(difference(counted_before(ids).values(), []))
            CountedTicket.delete().where(CountedTicket.ticket_id.in_(ids)).execute()
        return Recounted(wrong_tickets=len(ids))


def _sums_at(since: datetime, until: datetime) -> Sums:
    """What counted tickets leave in the slots of a span, by whichever of their instants lies in it."""
    tickets: Counter[Cell] = Counter()
    micros: Counter[Cell] = Counter()
    for instant in INSTANTS:
        column = getattr(CountedTicket, instant)
        rows: Any = CountedTicket.select(*COUNTED_COLUMNS).where(column >= since, column < until).tuples()
        for row in rows.iterator():
            for mark in marks(counted_numbers(row)):
                if mark.at is not None and instant_of(mark.kind) == instant:
                    tickets[cell_of(mark)] += 1
                    micros[cell_of(mark)] += mark.micros
    return {cell: (tickets[cell], micros[cell]) for cell in tickets}


def _kept_sums(condition: Any) -> dict[Cell, tuple[int, int]]:
    rows = DeskCount.select().where(condition)
    return {Cell(row.kind, row.slot, row.label): (row.tickets, row.micros) for row in rows}


def _repair(expected: Sums, kept: Sums, *, repair: bool) -> Recounted:
    wrong = {
        cell: (should[0] - found[0], should[1] - found[1])
        for cell in {*expected, *kept}
        if (should := expected.get(cell, _NOTHING)) != (found := kept.get(cell, _NOTHING))
    }
    if repair:
        add_to_sums(wrong)
    return Recounted(wrong_sums=len(wrong))
