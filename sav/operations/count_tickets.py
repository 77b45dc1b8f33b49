"""Counts tickets into the desk's numbers, each exactly once and as it is now.

Every change marks its ticket as uncounted, in its own transaction. Counting takes what the ticket was counted
as out of the sums, puts in what it is, and takes the mark away, in one transaction too. So whatever is read
in between is exact: the sums, corrected by the tickets that are still marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import peewee

from sav.domain.statistics import (
    BLOCK,
    BUCKET_DIGITS,
    BUCKETED,
    DAY,
    KINDS,
    QUARTER,
    Cell,
    TicketNumbers,
    cell_of,
    marks,
    slot_of,
    start_of_slot,
    wider_widths,
)
from sav.models.database import database, for_update, is_sqlite, retry_deadlocks, transaction
from sav.models.kept_sums import BUCKETS_TURN, TURN, kept_up
from sav.models.tables import CountedTicket, DeskCount, Ticket, WiderCount
from sav.models.ticket_numbers import (
    COUNTED_COLUMNS,
    COUNTED_NAMES,
    NUMBER_COLUMNS,
    counted_numbers,
    current_numbers,
)

TICKETS_A_TRANSACTION = 500
"""How many tickets are counted at a time: few enough to hold up no write to one of them."""
TICKETS_A_TURN = 5_000
"""How many one turn of a worker counts, well within its lease; another turn counts the rest."""
CELLS_A_STATEMENT = 1_000
_SERVER = " ON DUPLICATE KEY UPDATE tickets = tickets + VALUES(tickets), micros = micros + VALUES(micros)"
_SQLITE = (
    " ON CONFLICT ({key}) DO UPDATE SET "
    "tickets = tickets + excluded.tickets, micros = micros + excluded.micros"
)

# What `slot_of` and `bucket_of` say, for the many tickets of a desk at once.
_DAY_AND_BUCKET = (
    f"DATEDIFF(created_at, '1970-01-01') * {DAY // QUARTER}",
    f"CONCAT(LEFT({{micros}}, {BUCKET_DIGITS}), REPEAT('0', LENGTH({{micros}}) - {BUCKET_DIGITS}))",
)
_DAY_AND_BUCKET_SQLITE = (
    f"CAST(julianday(date(created_at)) - julianday('1970-01-01') AS INTEGER) * {DAY // QUARTER}",
    f"substr({{micros}}, 1, {BUCKET_DIGITS}) || "
    f"substr('{'0' * 20}', 1, max(0, length({{micros}}) - {BUCKET_DIGITS}))",
)

Sums = Mapping[Cell, tuple[int, int]]
"""How many tickets, and how many microseconds, for each cell."""


@retry_deadlocks
def count_changed_tickets(*, limit: int = TICKETS_A_TRANSACTION) -> int:
    """Counts up to `limit` tickets that have changed; returns how many. Leaves out those being written."""
    with transaction():
        take_turn()
        changed = Ticket.select(*NUMBER_COLUMNS).where(Ticket.uncounted).order_by(Ticket.id).limit(limit)
        tickets = list(for_update(changed, skip_locked=True).tuples())
        count_tickets(tickets)
    return len(tickets)


def count_for_a_while(*, tickets: int = TICKETS_A_TURN) -> bool:
    """Counts what has changed, up to so many tickets; returns whether nothing is left to count."""
    counted, batch = 0, TICKETS_A_TRANSACTION
    while batch == TICKETS_A_TRANSACTION and counted < tickets:
        batch = count_changed_tickets()
        counted += batch
    return batch < TICKETS_A_TRANSACTION


def take_turn() -> None:
    """In the caller's transaction: waits until nobody else changes sums; sees to it that all are right.

    Turns are counted beside each kind of sums: older versions of this program do not change all of them.
    """
    add_to_sums({TURN: (1, 0), BUCKETS_TURN: (1, 0)})
    kept = kept_up()
    if not kept.buckets:
        make_buckets_anew()
    if not (kept.buckets and kept.wider):
        make_wider_sums_anew()


def count_tickets(tickets: Sequence[Any]) -> int:
    """Counts these (`NUMBER_COLUMNS` of rows that the caller has locked); returns how many were wrong."""
    if not tickets:
        return 0
    after = {row[0]: current_numbers(row) for row in tickets}
    before = counted_before(after)
    wrong = [ticket_id for ticket_id in after if before.get(ticket_id) != after[ticket_id]]
    if wrong:
        _replace({ticket_id: after[ticket_id] for ticket_id in wrong})
        add_to_sums(difference(map(before.get, wrong), map(after.get, wrong)))
    Ticket.update(uncounted=False).where(Ticket.id.in_(list(after)), Ticket.uncounted).execute()
    return len(wrong)


def counted_before(ticket_ids: Iterable[int]) -> dict[int, TicketNumbers | None]:
    """What these tickets were counted as, those that were."""
    query = CountedTicket.select(*COUNTED_COLUMNS).where(CountedTicket.ticket_id.in_(list(ticket_ids)))
    rows: Any = query.tuples()
    return {row[0]: counted_numbers(row) for row in rows}


def add_to_sums(sums: Sums) -> None:
    """Adds to the sums and to the wider ones, in the caller's transaction, which has the turn."""
    # In one order for all, lest two of them wait for each other.
    rows: list[tuple[Any, ...]] = [(*cell, *values) for cell, values in sorted(sums.items()) if any(values)]
    _add("desk_counts", "kind, slot, label", rows)
    wider: Counter[tuple[str, int, int, str]] = Counter()
    micros: Counter[tuple[str, int, int, str]] = Counter()
    for cell, values in sums.items():
        for key in wider_cells(cell):
            wider[key] += values[0]
            micros[key] += values[1]
    rows = [(*key, tickets, micros[key]) for key, tickets in sorted(wider.items()) if tickets or micros[key]]
    _add("wider_counts", "kind, width, slot, label", rows)


def wider_cells(cell: Cell) -> Iterator[tuple[str, int, int, str]]:
    """The wider sums that a sum is part of: kind, width in quarters of an hour, slot and label."""
    if cell == TURN:
        yield cell.kind, 0, cell.slot, cell.label
    for width in wider_widths(cell.kind):
        slot = slot_of(start_of_slot(cell.slot), width)
        yield cell.kind, width // QUARTER, slot, cell.label


def _add(table: str, key: str, rows: Sequence[tuple[Any, ...]]) -> None:
    sign = "?" if is_sqlite() else "%s"
    on_conflict = _SQLITE.format(key=key) if is_sqlite() else _SERVER
    rest = iter(rows)
    while some := list(islice(rest, CELLS_A_STATEMENT)):
        places = ", ".join([f"({', '.join([sign] * len(some[0]))})"] * len(some))
        statement = f"INSERT INTO {table} ({key}, tickets, micros) VALUES {places}{on_conflict}"  # noqa: S608
        database.execute_sql(statement, [value for row in some for value in row])


def make_buckets_anew() -> None:
    """The sums of durations by their size, from what each ticket was counted as; as below."""
    for kind in BUCKETED.values():
        DeskCount.delete().where(DeskCount.kind == kind).execute()
    created = CountedTicket.created_at
    ends: Any = CountedTicket.select(peewee.fn.MIN(created), peewee.fn.MAX(created)).tuples()
    oldest, newest = ends[0]
    since = oldest and start_of_slot(slot_of(oldest, DAY))
    while since and since <= newest:
        # As much at a time as no statement's time limit could break off.
        _make_buckets(since, since + BLOCK)
        since += BLOCK
    turns = DeskCount.select(DeskCount.tickets).where(
        DeskCount.kind == TURN.kind, DeskCount.slot == TURN.slot
    )
    DeskCount.update(tickets=turns.scalar()).where(
        DeskCount.kind == BUCKETS_TURN.kind, DeskCount.slot == BUCKETS_TURN.slot
    ).execute()


def _make_buckets(since: datetime, until: datetime) -> None:
    """Those of whole days."""
    day, bucket = _DAY_AND_BUCKET_SQLITE if is_sqlite() else _DAY_AND_BUCKET
    sign = "?" if is_sqlite() else "%s"
    for kind, bucketed in BUCKETED.items():
        micros = f"{kind}_micros"
        database.execute_sql(
            "INSERT INTO desk_counts (kind, slot, label, tickets, micros) "  # noqa: S608
            f"SELECT '{bucketed}', slot, label, COUNT(*), 0 FROM (SELECT {day} AS slot, "
            f"{bucket.format(micros=micros)} AS label FROM counted_tickets WHERE {micros} IS NOT NULL "
            f"AND created_at >= {sign} AND created_at < {sign}) AS marks GROUP BY slot, label",
            [CountedTicket.created_at.db_value(instant) for instant in (since, until)],
        )


def make_wider_sums_anew() -> None:
    """From the sums, in the caller's transaction, which has the turn."""
    WiderCount.delete().where(WiderCount.slot != TURN.slot).execute()
    for kind in KINDS:
        for width in wider_widths(kind):
            # The remainder in plain SQL, because each database has its own division.
            statement = (
                "INSERT INTO wider_counts (kind, width, slot, label, tickets, micros) "
                "SELECT kind, ?, slot - slot % ? AS wider_slot, label, SUM(tickets), SUM(micros) "
                "FROM desk_counts WHERE kind = ? AND slot >= 0 GROUP BY kind, wider_slot, label"
            )
            statement = statement if is_sqlite() else statement.replace("%", "%%").replace("?", "%s")
            quarters = width // QUARTER
            database.execute_sql(statement, (quarters, quarters, kind))
    turns = DeskCount.select(DeskCount.tickets).where(
        DeskCount.kind == TURN.kind, DeskCount.slot == TURN.slot
    )
    WiderCount.update(tickets=turns).where(
        WiderCount.kind == TURN.kind, WiderCount.slot == TURN.slot
    ).execute()


def difference(out: Iterable[TicketNumbers | None], put_in: Iterable[TicketNumbers | None]) -> Sums:
    """What to add to the sums when these tickets are taken out, and those put in."""
    tickets: Counter[Cell] = Counter()
    micros: Counter[Cell] = Counter()
    for sign, numbers in ((-1, out), (+1, put_in)):
        for ticket in numbers:
            for mark in marks(ticket):
                cell = cell_of(mark)
                tickets[cell] += sign
                micros[cell] += sign * mark.micros
    return {cell: (tickets[cell], micros[cell]) for cell in tickets}


def _replace(numbers: Mapping[int, TicketNumbers | None]) -> None:
    CountedTicket.delete().where(CountedTicket.ticket_id.in_(list(numbers))).execute()
    rows = [
        {"ticket_id": ticket_id, **{name: getattr(of, name) for name in COUNTED_NAMES}}
        for ticket_id, of in numbers.items()
        if of is not None
    ]
    if rows:
        CountedTicket.insert_many(rows).execute()
