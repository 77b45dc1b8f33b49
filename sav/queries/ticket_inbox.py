"""Lists of tickets: what a caller may see, filtered and searched, in an order that an index serves."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any, Literal

import peewee

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden
from sav.domain.ticket_lifecycle import STATUSES, Priority, Source, Status
from sav.models.database import is_sqlite
from sav.models.prepared import InFull
from sav.models.tables import SHOWN_OF_TICKETS, Ticket
from sav.queries.pages import Page, PageRequest, decode_cursor, encode_cursor
from sav.queries.statement_limit import SearchTooSlow, limited_rows
from sav.queries.ticket_roads import Branch, Road, Sight, SortColumn, road
from sav.queries.ticket_search import Search
from sav.queries.ticket_totals import total as ticket_total

Order = Literal["-created_at", "created_at", "-updated_at", "updated_at", "-priority"]

SAMPLE = 400
"""A search first looks at so many tickets in the order of the list: a common word fills the page."""
RARE = 8
"""A word that is in no more of these may be left to the full-text index."""
WIDER_SAMPLE = 3_000
"""By so many it is estimated what the index would find, and how far one would have to read instead."""
PAGE_COST = 35
"""A page of the table, which mostly comes from the disk, costs as much as looking through so many texts."""
FEWEST_APART = 8
"""Rows that lie further apart than so many tickets, a quarter of a page, may each cost a page."""
FIRST_TRY_SECONDS = 1.5
"""The road that looks quicker is gone for so long, then the other one. On a busy server all takes longer."""
ESTIMATE_SECONDS = 0.5
"""How long it may take to say which road looks quicker; after that it is the index."""
SHORTEST_SECONDS = 0.01
"""What a part of a search is given at least when the parts before it took all the time there was."""

_SORT_COLUMNS: dict[Order, tuple[SortColumn, type]] = {
    "-created_at": ("created_at", datetime),
    "created_at": ("created_at", datetime),
    "-updated_at": ("updated_at", datetime),
    "updated_at": ("updated_at", datetime),
    "-priority": ("priority_rank", int),
}
_IN_FULL = InFull(Ticket, SHOWN_OF_TICKETS)
"""Only the rows of the page are read in full, not all that were passed over to find them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFilter:
    """Each tuple means "one of these"; empty tuples and None mean "any"."""

    status: Sequence[Status] = ()
    priority: Sequence[Priority] = ()
    category: Sequence[str] = ()
    source: Sequence[Source] = ()
    tag: Sequence[str] = ()
    assigned_to: int | Literal["none"] | None = None
    user_id: int | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    text: str | None = None


def list_tickets(*, caller: Caller, wanted: TicketFilter, order: Order, page: PageRequest) -> Page[Ticket]:
    """One page of the tickets in the caller's sight; raises `InvalidCursor`, `SearchTooSlow`."""
    shelf = _Shelf(order, page)
    sights = [sight for sight in _sights(caller, wanted) if not sight.is_empty]
    search = Search(wanted.text) if wanted.text else None
    rows = shelf.found(sights, search) if search else shelf.listed(sights)
    total = sum(ticket_total(sight, search) for sight in sights) if page.include_total else None
    more, rows = len(rows) > page.per_page, rows[: page.per_page]
    return Page(rows, page.per_page, shelf.cursor_behind(rows[-1]) if more else None, total)


def _sights(caller: Caller, wanted: TicketFilter) -> list[Sight]:
    everything = _wanted_sight(wanted)
    match caller.role:
        case "admin" | "system":
            return [everything]
        case "agent":
            # Two sets that do not overlap. Each is read by its own index, because OR over both
            # would be read by none.
            settled = [status for status in STATUSES if status != "open"]
            own = everything.narrowed("assigned_to", [caller.user_id])
            own = own.narrowed("status", settled) if wanted.status else own.without_status("open")
            return [everything.narrowed("status", ["open"]), own]
        case "customer":
            return [everything.narrowed("user_id", [caller.user_id])]
        case "guest":
            # A guest knows one ticket by its number, and finds no others.
            raise Forbidden


def _wanted_sight(wanted: TicketFilter) -> Sight:
    equal: dict[str, tuple[Any, ...]] = {
        column: tuple(dict.fromkeys(values))
        for column, values in (
            ("status", wanted.status),
            ("priority", wanted.priority),
            ("category", wanted.category),
            ("source", wanted.source),
        )
        if values
    }
    if wanted.assigned_to is not None:
        equal["assigned_to"] = (None if wanted.assigned_to == "none" else wanted.assigned_to,)
    if wanted.user_id is not None:
        equal["user_id"] = (wanted.user_id,)
    ranges: dict[SortColumn, tuple[datetime | None, datetime | None]] = {}
    if wanted.created_from or wanted.created_to:
        ranges["created_at"] = (wanted.created_from, wanted.created_to)
    if wanted.updated_from:
        ranges["updated_at"] = (wanted.updated_from, None)
    return Sight(equal=equal, tags=tuple(dict.fromkeys(wanted.tag)), ranges=ranges)


class _Shelf:
    """One order of the tickets, and the part of it that makes a page."""

    def __init__(self, order: Order, page: PageRequest) -> None:
        self._order, self._page = order, page
        self._column, key_type = _SORT_COLUMNS[order]
        self._field = getattr(Ticket, self._column)
        self._descending = order.startswith("-")
        self._behind: Any = None
        if page.cursor:
            self._behind = self._rows_behind(*decode_cursor(page.cursor, order=order, of_type=key_type))
        # One row more than asked for tells whether there is a next page.
        self._reach = page.offset + page.per_page + 1

    def listed(self, sights: Sequence[Sight]) -> list[Ticket]:
        """What is in these sights; one statement, or two when the page ends among the oldest of them."""
        branches = [branch for sight in sights for branch in road(sight, self._column).branches]
        if self._order == "-created_at":
            # The oldest come last, and are mostly not needed.
            newest = self._first_of([branch for branch in branches if not branch.is_oldest])
            if len(newest) > self._page.per_page or not any(branch.is_oldest for branch in branches):
                return newest
        return self._first_of(branches)

    def _first_of(self, branches: Sequence[Branch]) -> list[Ticket]:
        if not branches:
            return []
        if len(branches) == 1:
            # Nothing is kept of what is passed over.
            one = self._keys(branches[0]).limit(self._page.per_page + 1).offset(self._page.offset)
            return self._in_order(_IN_FULL.of(one))
        # SQLite takes no LIMIT inside a UNION, unless it stands in a table of its own.
        tables = [self._keys(branch).alias(f"part{number}") for number, branch in enumerate(branches)]
        parts: list[Any] = [Ticket.select(table.c.id, table.c.sort_key).from_(table) for table in tables]
        chosen: Any = reduce(lambda left, right: left.union_all(right), parts)
        chosen = chosen.order_by(*self._order_by(peewee.SQL("sort_key"), peewee.SQL("id")))
        chosen = chosen.limit(self._page.per_page + 1).offset(self._page.offset)
        return self._in_order(_IN_FULL.of(chosen))

    def _in_order(self, rows: list[Ticket]) -> list[Ticket]:
        """A page. Sorted here: MariaDB would write the tickets' texts into a table on its disk first."""
        return sorted(rows, key=self._place, reverse=self._descending)

    def _place(self, ticket: Ticket) -> tuple[Any, int]:
        return getattr(ticket, self._column), ticket.id

    def found(self, sights: Sequence[Sight], search: Search) -> list[Ticket]:
        """What is in these sights and fits the search."""
        keys = [key for sight in sights for key in self._found_in(sight, search)]
        keys.sort(reverse=self._descending)
        ids = [ticket_id for _, ticket_id in keys[self._page.offset : self._reach]]
        if not ids:
            return []
        return self._in_order(_IN_FULL.of(Ticket.select(Ticket.id).where(Ticket.id.in_(ids))))

    def _found_in(self, sight: Sight, search: Search) -> list[tuple[Any, int]]:
        way = road(sight, self._column, must_know=True)
        if is_sqlite() or not search.is_readable:
            return self._matching(sight, search, search.indexed)
        if way.is_short or not search.indexed:
            return self._reading(way.branches, search)
        found: list[tuple[Any, int]] = []
        for branch in way.branches:
            sample = self._sample(branch, search)
            hits = [(key, ticket_id) for key, ticket_id, *fits in sample if all(fits)]
            hits.sort(reverse=self._descending)
            if len(hits) < self._reach:
                seen = [sum(row[3 + place] for row in sample) for place in range(len(search.words))]
                rare = [w for w, times in zip(search.words, seen, strict=True) if times <= RARE]
                return self._by_the_quicker(sight, way, branch, search, rare)
            found += hits[: self._reach]
        return found

    def _by_the_quicker(
        self, sight: Sight, way: Road, branch: Branch, search: Search, rare: Sequence[str]
    ) -> list[tuple[Any, int]]:
        """By the index or by reading, whichever looks quicker; when it is not, by the other one."""
        rare = [word for word in rare if word in search.indexed]
        if not rare:
            # Words that are many each, and few together: the index would not be quicker.
            return self._reading(way.branches, search)
        if not self._lies_together(branch):
            return self._matching(sight, search, rare)
        if self._is_read_quicker(self._lasting(sight, branch), search, rare, branches=len(way.branches)):
            with suppress(SearchTooSlow):
                return self._reading(way.branches, search, seconds=FIRST_TRY_SECONDS)
            return self._matching(sight, search, rare)
        with suppress(SearchTooSlow):
            return self._matching(sight, search, rare, seconds=FIRST_TRY_SECONDS)
        return self._reading(way.branches, search)

    @staticmethod
    def _lasting(sight: Sight, branch: Branch) -> Branch:
        if branch.begins is None:
            # All that is known of it is its condition.
            return branch
        return replace(branch, condition=sight.in_the_long_run.condition)

    def _lies_together(self, branch: Branch) -> bool:
        """Whether few pages of the table have its first rows; only the index is read for that."""
        if branch.begins is None:
            return False
        some = self._keys(Branch(branch.source, branch.begins)).limit(SAMPLE).alias("some_rows")
        many, least, most = (of(some.c.id) for of in (peewee.fn.COUNT, peewee.fn.MIN, peewee.fn.MAX))
        try:
            ((rows, first, last),) = limited_rows(
                Ticket.select(many, least, most).from_(some), seconds=ESTIMATE_SECONDS
            )
        except SearchTooSlow:
            return False
        return bool(rows == 0 or last - first <= rows * FEWEST_APART)

    def _is_read_quicker(self, branch: Branch, search: Search, rare: Sequence[str], *, branches: int) -> bool:
        """The index reads the page of every ticket that has the words; reading ends with a full page."""
        sample = self._looked_at(branch, search, WIDER_SAMPLE)
        fits = reduce(and_, [getattr(sample.c, f"fits{number}") for number in range(1 + len(search.words))])
        flags = [getattr(sample.c, f"fits{1 + search.words.index(word)}") for word in rare]
        ids, total = sample.c.id, peewee.fn.SUM
        every = Ticket.select(peewee.fn.MAX(Ticket.id))
        sums = Ticket.select(peewee.fn.COUNT(ids), every, total(fits), *map(total, flags)).from_(sample)
        try:
            ((rows, last, hits, *seen),) = limited_rows(sums, seconds=ESTIMATE_SECONDS)
        except SearchTooSlow:
            return False
        if rows < WIDER_SAMPLE:
            # There are no more.
            return True
        by_index = max(1, int(min(seen))) / rows * last * PAGE_COST
        by_reading = self._reach / max(1, int(hits)) * rows * branches
        return bool(by_reading < by_index)

    def _sample(self, branch: Branch, search: Search) -> list[Any]:
        """The sort key and the id of the branch's first rows, and what fits: the filters, and each word."""
        sample = self._looked_at(branch, search, SAMPLE)
        flags = [getattr(sample.c, f"fits{number}") for number in range(1 + len(search.words))]
        any_word = reduce(or_, flags[1:])
        return limited_rows(
            Ticket.select(sample.c.sort_key, sample.c.id, *flags).from_(sample).where(any_word)
        )

    def _looked_at(self, branch: Branch, search: Search, many: int) -> Any:
        """A table: the branch's first rows, whether they fit or not."""
        words = [search.word_by_reading(word) for word in search.words]
        columns = [test.alias(f"fits{number}") for number, test in enumerate([branch.condition, *words])]
        # What the index does not serve is no condition here, or a rare tag would make the sample endless.
        begins = branch.condition if branch.begins is None else branch.begins
        return self._keys(Branch(branch.source, begins), *columns).limit(many).alias("sample")

    def _matching(
        self, sight: Sight, search: Search, words: Sequence[str], *, seconds: float | None = None
    ) -> list[tuple[Any, int]]:
        branch = Branch(Ticket, sight.condition & search.by_index(words))
        return [(key, ticket_id) for ticket_id, key in limited_rows(self._keys(branch), seconds=seconds)]

    def _reading(
        self, branches: Sequence[Branch], search: Search, *, seconds: float | None = None
    ) -> list[tuple[Any, int]]:
        texts = search.by_reading()
        queries = [self._keys(Branch(branch.source, branch.condition & texts)) for branch in branches]
        found: list[tuple[Any, int]] = []
        began = time.monotonic()
        for query in queries:
            # A try ends for all its parts at once; where nothing else is left to try, each has its time.
            left = seconds and max(SHORTEST_SECONDS, seconds - (time.monotonic() - began))
            found += [(key, ticket_id) for ticket_id, key in limited_rows(query, seconds=left)]
        return found

    def _keys(self, branch: Branch, *more: Any) -> Any:
        """The first rows of a branch that may come onto the page: id, sort key, and more."""
        query = Ticket.select(Ticket.id, self._field.alias("sort_key"), *more).from_(branch.source)
        conditions = [part for part in (branch.condition, self._behind) if part is not None]
        query = query.where(*conditions) if conditions else query
        return query.order_by(*self._order_by(self._field)).limit(self._reach)

    def _order_by(self, field: Any, row_id: Any = Ticket.id) -> tuple[Any, Any]:
        if self._descending:
            return field.desc(), row_id.desc()
        return field.asc(), row_id.asc()

    def _rows_behind(self, key: Any, row_id: int) -> Any:
        field = self._field
        if self._descending:
            return (field < key) | ((field == key) & (Ticket.id < row_id))
        return (field > key) | ((field == key) & (Ticket.id > row_id))

    def cursor_behind(self, ticket: Ticket) -> str:
        return encode_cursor(self._order, *self._place(ticket))
