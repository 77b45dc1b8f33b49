"""How many tickets a list has: from the desk's sums where these know, else counted along an index."""

from __future__ import annotations

from typing import Any

import peewee

from sav.domain.statistics import NO_CATEGORY, Kind, Span
from sav.domain.ticket_lifecycle import STATUSES
from sav.models.database import database, is_sqlite, snapshot
from sav.models.kept_sums import kept_up
from sav.models.tables import CountedTicket, Ticket, WiderCount
from sav.queries.desk_sums import sums_of_blocks
from sav.queries.statement_limit import limited_rows
from sav.queries.ticket_roads import Branch, Sight, narrowest, road
from sav.queries.ticket_search import Search

MOST_UNCOUNTED = 5_000
"""With more tickets that have changed since they were counted, an index is quicker than correcting sums."""
_SUMMED: tuple[Kind, ...] = ("status", "priority", "category", "source")


def total(sight: Sight, search: Search | None) -> int:
    """Exact. Raises `SearchTooSlow`."""
    if search is not None:
        return _found(sight, search)
    from_sums = _from_sums(sight)
    return _along_an_index([narrowest(sight)]) if from_sums is None else from_sums


def _found(sight: Sight, search: Search) -> int:
    way = road(sight, "created_at", must_know=True)
    if way.is_short and search.is_readable and not is_sqlite():
        return _along_an_index(
            [Branch(branch.source, branch.condition & search.by_reading()) for branch in way.branches]
        )
    return _along_an_index([Branch(Ticket, sight.condition & search.by_index())])


def _along_an_index(branches: list[Branch]) -> int:
    count = peewee.fn.COUNT(Ticket.id)
    return sum(
        limited_rows(Ticket.select(count).from_(branch.source).where(branch.condition))[0][0]
        for branch in branches
    )


def _from_sums(sight: Sight) -> int | None:
    """None when the sums cannot tell. Deleted tickets are in none of them."""
    columns = sight.equal.keys()
    if sight.tags or sight.ranges or sight.no_status or len(columns) > 1 or not columns <= set(_SUMMED):
        return None
    if database.in_transaction():
        # All of it has to be read from one state of the database.
        return None
    kind: Kind = next((kind for kind in _SUMMED if kind in columns), "status")
    labels = list(sight.equal.get(kind, STATUSES))
    if NO_CATEGORY in labels:
        # In the sums that is no category.
        return None
    with snapshot():
        uncounted = Ticket.select(Ticket.id).where(Ticket.uncounted)
        if not kept_up().wider or uncounted.limit(1).offset(MOST_UNCOUNTED).exists():
            return None
        sums: Any = sums_of_blocks([kind], Span()).where(WiderCount.label.in_(labels)).tuples()
        kept = sum(int(tickets) for _, _, tickets, _ in sums)
        now: int = Ticket.select().where(Ticket.uncounted, sight.condition).count()
        was: int = (
            CountedTicket.select()
            .join(Ticket, on=(Ticket.id == CountedTicket.ticket_id))
            .where(Ticket.uncounted, getattr(CountedTicket, kind).in_(labels))
            .count()
        )
    return kept + now - was
