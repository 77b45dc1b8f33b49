"""The kept sums of a span: wide ones as far as they fit into it, and narrower ones for the rest of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import peewee

from sav.domain.statistics import (
    BLOCK,
    DAY,
    HOUR,
    KINDS,
    PER_DAY,
    QUARTER,
    Calendar,
    Kind,
    Span,
    Tally,
    edges,
    slot_of,
    whole_slots,
)
from sav.models.database import database, is_sqlite
from sav.models.tables import DeskCount, WiderCount

BY_DAY = [kind for kind in KINDS if kind not in PER_DAY and kind != "load"]
"""What is summed by the day and by the block of days."""


_DAYS = (
    "SELECT ? AS day, ? AS length, kind, (slot - ?) - (slot - ?) % ? AS behind, SUM(tickets) FROM {source} "
    "kind IN ('opened', 'resolved', 'closed') AND slot >= ? AND slot < ? GROUP BY kind, behind"
)


def add_sums(tally: Tally, whole: Span, *, wider: bool) -> None:
    """Adds the sums of whole days, and what is so now."""
    blocks = whole_slots(whole, BLOCK)
    parts = [_summed(DeskCount, (DeskCount.kind == "load") & (DeskCount.slot == 0))]
    if wider and not blocks.is_empty:
        parts.append(sums_of_blocks(BY_DAY, blocks))
    for days in edges(whole, blocks) if wider else [whole]:
        parts.append(_summed(DeskCount, DeskCount.kind.in_(BY_DAY), *_in_slots(DeskCount, days)))
    query: Any = reduce(lambda left, right: left.union_all(right), parts)
    for kind, label, tickets, micros in query.tuples():
        tally.add_sum(kind, label, tickets=int(tickets), micros=int(micros))


def sums_of_blocks(kinds: Sequence[Kind], blocks: Span) -> Any:
    """A query: the wider sums of these kinds as (kind, label, tickets, micros)."""
    width = WiderCount.width == BLOCK // QUARTER
    return _summed(WiderCount, WiderCount.kind.in_(kinds), width, *_in_slots(WiderCount, blocks))


def _summed(row: type[DeskCount] | type[WiderCount], *conditions: Any) -> Any:
    tickets, micros = peewee.fn.SUM(row.tickets), peewee.fn.SUM(row.micros)
    return row.select(row.kind, row.label, tickets, micros).where(*conditions).group_by(row.kind, row.label)


def _in_slots(row: type[DeskCount] | type[WiderCount], whole: Span) -> list[Any]:
    since = [row.slot >= slot_of(whole.since)] if whole.since else []
    return since + ([row.slot < slot_of(whole.until)] if whole.until else [])


def add_days(tally: Tally, calendar: Calendar, whole: Span, *, wider: bool) -> None:
    """Adds what happened on each day: a part of the statement for each run of days of one length."""
    parts: list[str] = []
    values: list[Any] = []
    for first, many, length in calendar.runs():
        start, end = slot_of(calendar.starts[first]), slot_of(calendar.starts[first + many])
        since = max(start, slot_of(whole.since)) if whole.since else start
        until = min(end, slot_of(whole.until)) if whole.until else end
        day = length // QUARTER
        widths = [width // QUARTER for width in (DAY, HOUR) if wider] + [1]
        fitting = next(width for width in widths if start % width == day % width == 0)
        for width, part_since, part_until in _parts(fitting, since, until):
            source = "wider_counts WHERE width = ? AND" if width > 1 else "desk_counts WHERE"
            # Not a division, which each database rounds in its own way.
            parts.append(_DAYS.replace("{source}", source))
            values += [first, day, start, start, day, *[width] * (width > 1), part_since, part_until]
    if parts:
        statement = " UNION ALL ".join(parts)
        # The sign of a remainder is doubled where the driver's own signs begin with it.
        statement = statement if is_sqlite() else statement.replace("%", "%%").replace("?", "%s")
        for first, day, kind, behind, tickets in database.execute_sql(statement, values).fetchall():
            tally.add_day(kind, first + behind // day, int(tickets))


def _parts(width: int, since: int, until: int) -> Iterator[tuple[int, int, int]]:
    """Slots from `since` to `until`: those of a width in the middle, and quarters of an hour around them."""
    first, last = since + -since % width, until - until % width
    if first >= last:
        first = last = until
    for part_width, part_since, part_until in ((1, since, first), (width, first, last), (1, last, until)):
        if part_since < part_until:
            yield part_width, part_since, part_until
