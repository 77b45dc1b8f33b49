"""Which index a list of tickets is read by.

A list is filtered and sorted at once, and an index serves the order only behind columns that are equal. So
there are two roads. Either the rows are read in the wanted order until the page is full: quick when many
rows fit. Or all rows that one filter leaves are read and sorted: quick when these are few. The optimisers
of the servers guess between them, and guess wrong by a factor of thousands when a table has a million rows;
here it is looked up (`_is_few`), and the index is named in the statement.

A span of time that is sorted by another column is a road of its own: each month of it has its tickets in
each order, and the first of every month are merged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_
from typing import Any, Literal

import peewee
from cachetools import TTLCache

from sav.domain.ticket_lifecycle import PRIORITIES, STATUSES
from sav.models.database import database, is_sqlite
from sav.models.tables import Ticket, TicketTag

SortColumn = Literal["created_at", "updated_at", "priority_rank"]
FEW = 2_000
"""So many rows are read and sorted rather than looked for along an order."""
MOST_MONTHS = 61
"""Months of a span that are each read on their own: five years. A longer one is most of what there is."""
SHORT = timedelta(days=2)
"""What a span has of a month, when it is no longer than this, is read whole and sorted."""
MOST_BRANCHES = 8
"""Values of one filter that are each read by the index on their own, and merged."""
ESTIMATE_SECONDS = 300
"""How long it is believed that a filter leaves so many rows: an old answer costs time, never rows."""
ESTIMATES_KEPT = 10_000

_estimates: TTLCache[Any, int] = TTLCache(ESTIMATES_KEPT, ESTIMATE_SECONDS)
_at_the_estimates = threading.Lock()
"""Such a cache is not made for several threads: an entry may end between two looks at it."""

_ORDER_INDEX: dict[str, str] = {
    "created_at": "created",
    "updated_at": "updated",
    "priority_rank": "priority_rank",
}
_EVERY_ORDER: tuple[SortColumn, ...] = ("created_at", "updated_at", "priority_rank")
# By column: the beginning of its indexes' names, and the orders that they go on with. The first column that
# a list is filtered by, in this order, leaves the fewest rows as a rule.
_INDEXED: dict[str, tuple[str, tuple[SortColumn, ...]]] = {
    "user_id": ("owner", _EVERY_ORDER),
    "status": ("status", _EVERY_ORDER),
    "assigned_to": ("assignee", _EVERY_ORDER),
    "category": ("category", ("created_at",)),
    "source": ("source", ("created_at",)),
    "priority": ("priority", ("created_at",)),
}
_SUFFIX: dict[SortColumn, str] = {
    "created_at": "created",
    "updated_at": "updated",
    "priority_rank": "priority",
}
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
_RANGED: tuple[SortColumn, ...] = ("created_at", "updated_at")
# What an agent has in hand at a time is little, whatever they have settled in years.
_IN_HAND = frozenset(STATUSES) - {"resolved", "closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A set of tickets: `equal` has for a column the values it may have, `ranges` its bounds."""

    equal: dict[str, tuple[Any, ...]]
    tags: tuple[str, ...] = ()
    ranges: dict[SortColumn, tuple[datetime | None, datetime | None]]
    no_status: str | None = None

    def narrowed(self, column: str, values: Sequence[Any]) -> Sight:
        """The part of it in which the column has one of these values."""
        if column in self.equal:
            values = [value for value in self.equal[column] if value in values]
        return replace(self, equal={**self.equal, column: tuple(dict.fromkeys(values))})

    def created(self, since: datetime | None, until: datetime | None) -> Sight:
        """The same with another span of `created_at`, both ends included."""
        return replace(self, ranges={**self.ranges, "created_at": (since, until)})

    def without_status(self, status: str) -> Sight:
        """The part of it in which the status is another one."""
        return replace(self, no_status=status)

    @property
    def in_the_long_run(self) -> Sight:
        """What it comes to when tickets are old: nearly all of them are closed then."""
        if "closed" not in self.equal.get("status", ()):
            return self
        return replace(self, equal={name: of for name, of in self.equal.items() if name != "status"})

    @property
    def is_empty(self) -> bool:
        return not all(self.equal.values())

    @property
    def condition(self) -> Any:
        """The whole set, for a road that reads its rows in whatever way."""
        conditions = [Ticket.deleted_at.is_null()]
        conditions += [_one_of(column, values) for column, values in self.equal.items()]
        if "priority" in self.equal:
            # The same again, for the indexes that are in the order of priorities.
            ranks = [PRIORITIES.index(priority) + 1 for priority in self.equal["priority"]]
            conditions.append(_one_of("priority_rank", ranks))
        for column, (start, end) in self.ranges.items():
            conditions += _between(column, start, end)
        if self.no_status:
            conditions.append(Ticket.status != self.no_status)
        if self.tags:
            conditions.append(_is_tagged(self.tags))
        return reduce(and_, conditions)


@dataclass(frozen=True, slots=True)
class Branch:
    """A statement's FROM and WHERE. `begins` is the part of the condition that hardly costs rows."""

    source: Any
    condition: Any
    begins: Any = None
    is_oldest: bool = False
    """Whether all that it has was created before anything of the branches without this mark."""


@dataclass(frozen=True, slots=True)
class Road:
    """The branches that together read a sight; `is_short` when they pass over few rows in all."""

    branches: Sequence[Branch]
    is_short: bool


class _Along(peewee.Node):
    """The table of tickets, read by a given index."""

    def __init__(self, index: str) -> None:
        self._index = index

    def __sql__(self, ctx: Any) -> Any:
        return ctx.sql(Ticket).literal(f" FORCE INDEX ({self._index})")


def road(sight: Sight, order: SortColumn, *, must_know: bool = False) -> Road:
    """How to read a sight in an order. `must_know` when it matters whether the road is short."""
    if is_sqlite():
        # Its planner breaks off at a hint that it cannot follow, and its tables are small.
        return Road([Branch(Ticket, sight.condition)], is_short=True)
    return (
        _in_hand(sight)
        or _by_few(sight, order, must_know)
        or _by_person(sight, order)
        or _by_span(sight, order)
        or Road(list(_along_the_order(sight, order)), is_short=False)
    )


def narrowest(sight: Sight) -> Branch:
    """A whole sight by one index, in whatever order: to count it."""
    if is_sqlite():
        return Branch(Ticket, sight.condition)
    names = ["tag"] * bool(sight.tags) + _by_expected_rows(sight)
    names += [ranged for ranged in _RANGED if ranged in sight.ranges]
    _, _, name = min(
        [(_rows_of(sight, name), number, name) for number, name in enumerate(names)],
        default=(0, 0, "created_at"),
    )
    if name == "tag":
        return _tagged(sight)
    if name == "assigned_to" and sight.equal.keys() <= {"assigned_to", "status"} and not sight.ranges:
        # It knows their states, too.
        return Branch(_Along("assignee_load"), sight.condition)
    return Branch(_Along(_ORDER_INDEX.get(name) or _index(name, "created_at")), sight.condition)


def forget_estimates() -> None:
    """For whoever puts very many rows, or another database, under a running process."""
    with _at_the_estimates:
        _estimates.clear()


def _in_hand(sight: Sight) -> Road | None:
    """What an agent has in hand at a time is little, whatever they have settled in years."""
    if None in sight.equal.get("assigned_to", (None,)):
        return None
    if not _IN_HAND.issuperset(sight.equal.get("status", ("closed",))):
        return None
    return Road([Branch(_Along("assignee_load"), sight.condition)], is_short=True)


def _by_few(sight: Sight, order: SortColumn, must_know: bool) -> Road | None:
    """What the filter that leaves the fewest rows leaves, if these are few."""
    columns = _by_expected_rows(sight)
    names = ["tag"] * bool(sight.tags) + columns
    names += [ranged for ranged in _RANGED if ranged in sight.ranges and ranged != order]
    if len(names) == len(columns) <= 1 and all(_serves(name, order) for name in names) and not must_know:
        # An index has just these rows, in the wanted order.
        return None
    rows, name = min([(_rows_of(sight, name), name) for name in names], default=(FEW + 1, ""))
    if rows > FEW:
        return None
    if name == "tag":
        return Road([_tagged(sight)], is_short=True)
    if name in sight.equal:
        # Within a span it was counted in the span.
        through = "created_at" if "created_at" in sight.ranges else order
        return Road(list(_branches(sight, name, through)), is_short=True)
    ranged = "created" if name == "created_at" else "updated"
    return Road([Branch(_Along(ranged), sight.condition)], is_short=True)


def _by_person(sight: Sight, order: SortColumn) -> Road | None:
    """Nobody's tickets are so many that it could matter by which index they are read."""
    for column in ("user_id", "assigned_to"):
        if None not in sight.equal.get(column, (None,)):
            return Road(list(_branches(sight, column, order)), is_short=False)
    return None


def _by_span(sight: Sight, order: SortColumn) -> Road | None:
    """Spans of a time that the list is not sorted by."""
    if any(_serves(column, order) for column in _by_expected_rows(sight) if not _is_most(sight, column)):
        return None
    if "updated_at" in sight.ranges and order != "updated_at":
        branches = _since_an_update(sight, order)
    elif "created_at" in sight.ranges and order != "created_at":
        branches = _by_month(sight, order)
    else:
        return None
    return Road(branches, is_short=False) if branches is not None else None


def _since_an_update(sight: Sight, order: SortColumn) -> list[Branch] | None:
    """What was opened since then too, in its order; and what is older, which is what was still worked on."""
    changed_since = sight.ranges["updated_at"][0] or _BEFORE_ALL
    since, until = sight.ranges.get("created_at", (None, None))
    just_before = changed_since - timedelta(microseconds=1)
    older = sight.created(since, min(until or just_before, just_before))
    newer = sight.created(max(since or changed_since, changed_since), until)
    months = _months(older)
    branches = list(_along_the_order(newer, order)) if order == "created_at" else _by_month(newer, order)
    if months is None or branches is None:
        return None
    if months:
        in_months = _month().in_([_number(month) for month in months])
        branches.append(Branch(_Along("month_updated"), in_months & older.condition, is_oldest=True))
    return branches


def _by_month(sight: Sight, order: SortColumn) -> list[Branch] | None:
    """Each month of a span in the wanted order; None when they are too many."""
    months = _months(sight)
    return None if months is None else [_part_of_month(sight, month, order) for month in months]


def _part_of_month(sight: Sight, month: datetime, order: SortColumn) -> Branch:
    since, until = sight.ranges["created_at"]
    first, last = max(since or month, month), min(until or _next(month), _next(month))
    bounds = _between("created_at", since, until) + _between(order, *sight.ranges.get(order, (None, None)))
    if last - first <= SHORT:
        part = sight.created(first, min(last, _next(month) - timedelta(microseconds=1)))
        return Branch(
            _Along("created"),
            part.condition,
            reduce(and_, [Ticket.deleted_at.is_null(), *_between("created_at", first, last)]),
        )
    here = reduce(and_, [_month() == _number(month), Ticket.deleted_at.is_null(), *bounds])
    index = "month_updated" if order == "updated_at" else "month_priority"
    return Branch(_Along(index), (_month() == _number(month)) & sight.condition, here)


def _months(sight: Sight) -> list[datetime] | None:
    """The beginnings of the months that tickets of a span were opened in; None when they are too many."""
    since, until = sight.ranges["created_at"]
    oldest, newest = Ticket.select(
        peewee.fn.MIN(Ticket.created_at), peewee.fn.MAX(Ticket.created_at)
    ).tuples()[0]
    if oldest is None:
        return []
    first, last = max(since or oldest, oldest), min(until or newest, newest)
    months: list[datetime] = []
    month = first.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month <= last and len(months) <= MOST_MONTHS:
        months.append(month)
        month = _next(month)
    return months if len(months) <= MOST_MONTHS else None


def _next(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)


def _number(month: datetime) -> int:
    """As the database numbers the months."""
    return month.year * 100 + month.month


def _month() -> Any:
    # Kept by the servers alone, and by no row of ours.
    return peewee.SQL("created_month")


def _is_most(sight: Sight, column: str) -> bool:
    return column == "status" and "closed" in sight.equal["status"]


def _along_the_order(sight: Sight, order: SortColumn) -> Iterator[Branch]:
    for column in _by_expected_rows(sight):
        if _serves(column, order) and len(sight.equal[column]) <= MOST_BRANCHES:
            yield from _branches(sight, column, order)
            return
    bounds = _between(order, *sight.ranges.get(order, (None, None)))
    # Without the first of these the index would not be in order: it has the deletion before the id.
    begins = reduce(and_, [Ticket.deleted_at.is_null(), *bounds])
    yield Branch(_Along(_ORDER_INDEX[order]), sight.condition, begins)


def _by_expected_rows(sight: Sight) -> list[str]:
    """The columns that the sight is filtered by, the one that leaves the fewest rows first, as a rule."""
    columns = [column for column in _INDEXED if column in sight.equal]
    if "closed" in sight.equal.get("status", ()):
        # In the long run nearly all are.
        columns.sort(key=lambda column: column == "status")
    return columns


def _branches(sight: Sight, column: str, order: SortColumn) -> Iterator[Branch]:
    source, bounds = _Along(_index(column, order)), _between(order, *sight.ranges.get(order, (None, None)))
    if not _serves(column, order) or len(sight.equal[column]) > MOST_BRANCHES:
        yield Branch(source, sight.condition)
        return
    for value in sight.equal[column]:
        # One value a branch, so that its part of the index is in the wanted order.
        begins = reduce(and_, [Ticket.deleted_at.is_null(), _one_of(column, [value]), *bounds])
        yield Branch(source, sight.narrowed(column, [value]).condition, begins)


def _tagged(sight: Sight) -> Branch:
    tagged = TicketTag.select(TicketTag.ticket_id).where(TicketTag.tag.in_(sight.tags)).distinct()
    table = tagged.alias("tagged")
    source = peewee.Join(table, _Along("PRIMARY"), "STRAIGHT_JOIN", on=(Ticket.id == table.c.ticket_id))
    return Branch(source, replace(sight, tags=()).condition)


def _serves(column: str, order: SortColumn) -> bool:
    return order in _INDEXED[column][1]


def _index(column: str, order: SortColumn) -> str:
    name, orders = _INDEXED[column]
    if (column, order) == ("status", "priority_rank"):
        # What gives out open tickets in order also lists those of any status.
        return "assignment_queue"
    return f"{name}_{_SUFFIX[order if order in orders else orders[0]]}"


def _rows_of(sight: Sight, name: str) -> int:
    """How many rows one filter leaves within the span, deleted ones among them; many are `FEW + 1`."""
    span = sight.ranges.get("created_at", (None, None))
    if name in sight.equal:
        key: tuple[Any, ...] = (name, *sight.equal[name], *span)
        found = _counted(
            _index(name, "created_at"), [_one_of(name, sight.equal[name]), *_between("created_at", *span)]
        )
    elif name == "tag":
        key = (name, *sight.tags)
        found = TicketTag.select(peewee.SQL("1")).where(TicketTag.tag.in_(sight.tags))
    else:
        column: Any = name
        key = (name, *sight.ranges[column])
        found = _counted(_ORDER_INDEX[column], _between(column, *sight.ranges[column]))
    with _at_the_estimates:
        estimate = _estimates.get(key)
    if estimate is None:
        some = found.limit(FEW + 1).alias("some_rows")
        estimate = peewee.Select([some], [peewee.fn.COUNT(peewee.SQL("*"))]).scalar(database)
        with _at_the_estimates:
            _estimates[key] = estimate
    return estimate


def _counted(index: str, conditions: list[Any]) -> Any:
    return Ticket.select(peewee.SQL("1")).from_(_Along(index)).where(*conditions)


def _one_of(column: str, values: Sequence[Any]) -> Any:
    field = getattr(Ticket, column)
    if len(values) > 1:
        given = [value for value in values if value is not None]
        return field.in_(given) | field.is_null() if len(given) < len(values) else field.in_(given)
    return field.is_null() if values[0] is None else field == values[0]


def _between(column: str, start: datetime | None, end: datetime | None) -> list[Any]:
    field: Any = getattr(Ticket, column)
    return [field >= start] * (start is not None) + [field <= end] * (end is not None)


def _is_tagged(tags: Sequence[str]) -> Any:
    tagged = TicketTag.select(TicketTag.ticket_id).where(
        TicketTag.ticket_id == Ticket.id, TicketTag.tag.in_(tags)
    )
    # A comparison, not IN or EXISTS: those are rewritten to begin with all tickets that have the tag.
    return tagged.limit(1) == Ticket.id
