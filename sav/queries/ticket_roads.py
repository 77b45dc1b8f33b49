"""Which index a list of tickets is read by.

A list is filtered and sorted at once, and an index serves the order only behind columns that are equal. So
there are two roads. Either the rows are read in the wanted order until the page is full: quick when many
rows fit. Or all rows that one filter leaves are read and sorted: quick when these are few. The optimisers
of the servers guess between them, and guess wrong by a factor of thousands when a table has a million rows;
here it is looked up (`is_few`), and the index is named in the statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any, Literal

import peewee
from cachetools import TTLCache

from sav.domain.ticket_lifecycle import STATUSES
from sav.models.database import is_sqlite
from sav.models.tables import Ticket, TicketTag

SortColumn = Literal["created_at", "updated_at", "priority_rank"]
FEW = 2_000
"""So many rows are read and sorted rather than looked for along an order."""
FEW_IN_SPAN = 20_000
"""The same for spans of time: their tickets may all stand at the other end of the order."""
MOST_BRANCHES = 8
"""Values of one filter that are each read by the index on their own, and merged."""
ESTIMATE_SECONDS = 300
"""How long it is believed that a filter leaves few rows, or many: an old answer costs time, never rows."""
ESTIMATES_KEPT = 10_000

_estimates: TTLCache[Any, bool] = TTLCache(ESTIMATES_KEPT, ESTIMATE_SECONDS)

_ORDER_INDEX: dict[SortColumn, str] = {
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

    def without_status(self, status: str) -> Sight:
        """The part of it in which the status is another one."""
        return replace(self, no_status=status)

    @property
    def is_empty(self) -> bool:
        return not all(self.equal.values())

    @property
    def condition(self) -> Any:
        """The whole set, for a road that reads its rows in whatever way."""
        conditions = [Ticket.deleted_at.is_null()]
        conditions += [_one_of(column, values) for column, values in self.equal.items()]
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
        _by_person(sight, order, must_know)
        or _by_few(sight, order, must_know)
        or Road(list(_along_the_order(sight, order)), is_short=False)
    )


def forget_estimates() -> None:
    """For whoever puts very many rows, or another database, under a running process."""
    _estimates.clear()


def _by_person(sight: Sight, order: SortColumn, must_know: bool) -> Road | None:
    """Nobody's tickets are so many that it could matter by which other index they are read."""
    if "user_id" in sight.equal:
        return Road(list(_branches(sight, "user_id", order)), must_know and _is_few(sight, "user_id"))
    if None in sight.equal.get("assigned_to", (None,)):
        return None
    if _IN_HAND.issuperset(sight.equal.get("status", ("closed",))):
        return Road([Branch(_Along("assignee_load"), sight.condition)], is_short=True)
    return Road(list(_branches(sight, "assigned_to", order)), must_know and _is_few(sight, "assigned_to"))


def _by_few(sight: Sight, order: SortColumn, must_know: bool) -> Road | None:
    columns = _by_expected_rows(sight)
    ranges = [column for column in _RANGED if column in sight.ranges and column != order]
    served = not columns or (len(columns) == 1 and _serves(columns[0], order))
    if served and not (ranges or sight.tags or must_know):
        return None
    if sight.tags and _is_few(sight, "tag"):
        return Road([_tagged(sight)], is_short=True)
    for column in columns:
        if _is_few(sight, column):
            return Road(list(_branches(sight, column, order)), is_short=True)
    for ranged in _RANGED:
        if ranged in sight.ranges and ranged != order and _is_few(sight, ranged):
            return Road([Branch(_Along(_ORDER_INDEX[ranged]), sight.condition)], is_short=True)
    return None


def _along_the_order(sight: Sight, order: SortColumn) -> Iterator[Branch]:
    for column in _by_expected_rows(sight):
        if _serves(column, order) and len(sight.equal[column]) <= MOST_BRANCHES:
            yield from _branches(sight, column, order)
            return
    bounds = _between(order, *sight.ranges.get(order, (None, None)))
    yield Branch(_Along(_ORDER_INDEX[order]), sight.condition, reduce(and_, bounds) if bounds else None)


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
    source = peewee.Join(table, Ticket, "STRAIGHT_JOIN", on=(Ticket.id == table.c.ticket_id))
    return Branch(source, replace(sight, tags=()).condition)


def _serves(column: str, order: SortColumn) -> bool:
    return order in _INDEXED[column][1]


def _index(column: str, order: SortColumn) -> str:
    name, orders = _INDEXED[column]
    if (column, order) == ("status", "priority_rank"):
        # What gives out open tickets in order also lists those of any status.
        return "assignment_queue"
    return f"{name}_{_SUFFIX[order if order in orders else orders[0]]}"


def _is_few(sight: Sight, name: str) -> bool:
    """Whether one filter alone leaves few rows, deleted ones among them."""
    limit = FEW
    if name == "tag":
        values: Any = sight.tags
        found = TicketTag.select(peewee.SQL("1")).where(TicketTag.tag.in_(values))
    elif name in sight.equal:
        values = sight.equal[name]
        found = _counted(_index(name, "created_at"), [_one_of(name, values)])
    else:
        column: Any = name
        values, limit = sight.ranges[column], FEW_IN_SPAN
        found = _counted(_ORDER_INDEX[column], _between(column, *values))
    key = (name, *values)
    if key not in _estimates:
        _estimates[key] = not list(found.limit(1).offset(limit).tuples())
    return _estimates[key]


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
