"""The numbers of a dashboard, as far as the caller may see them.

A customer's are counted from their tickets. The desk's are the sums that are kept of all tickets that were
counted, corrected by the few that have changed since: each of these is taken out as it was counted, and put
in as it is. Everything is read from one state of the database, and so is exact at any time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import reduce
from itertools import accumulate
from operator import or_
from typing import Any
from zoneinfo import ZoneInfo

import peewee

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden
from sav.domain.statistics import (
    DAY,
    DURATIONS,
    INSTANTS,
    QUARTER,
    AgentNumbers,
    Calendar,
    Duration,
    Span,
    Spread,
    Statistics,
    Tally,
    Values,
    corrected,
    days_of,
    edges,
    instant_of,
    marks,
    spread,
    statistics_of,
    whole_slots,
    width_of,
)
from sav.models.database import snapshot
from sav.models.kept_sums import kept_up
from sav.models.tables import Agent, CountedTicket, Ticket
from sav.models.ticket_numbers import (
    COUNTED_COLUMNS,
    NUMBER_COLUMNS,
    counted_numbers,
    current_numbers,
)
from sav.queries.desk_sums import add_days, add_sums

FEW_VALUES = 500
"""Durations of so many tickets are read and sorted; those of more are walked along, up to the rank."""
ROWS_A_BATCH = 2_000
"""How many tickets are held in memory at a time."""

_DURATION_COLUMNS: dict[Duration, peewee.Field] = {
    "first_response": CountedTicket.first_response_micros,
    "resolution": CountedTicket.resolution_micros,
}


def read_statistics(*, caller: Caller, span: Span, zone: ZoneInfo, now: datetime) -> Statistics:
    """Customers get their own tickets', agents the desk's and their own work, admins everybody's."""
    with snapshot():
        calendar = _calendar(caller, span, zone, now)
        tally = Tally(span, calendar)
        spreads = _count_desk(tally, calendar, span) if caller.is_staff else _count_own(tally, caller)
        return statistics_of(tally, calendar, spreads=spreads, agents=_agents(caller, tally))


def _calendar(caller: Caller, span: Span, zone: ZoneInfo, now: datetime) -> Calendar:
    created = Ticket.select(Ticket.created_at).where(*_own(caller)).limit(1)
    oldest = created.order_by(Ticket.created_at).scalar()
    newest = created.order_by(Ticket.created_at.desc()).scalar()
    return days_of(span, zone, first=min(oldest or now, now), last=max(newest or now, now))


def _own(caller: Caller) -> list[Any]:
    if caller.role == "guest":
        # Nobody's tickets are the guests', not this guest's.
        raise Forbidden
    own = [] if caller.is_staff else [Ticket.user_id == caller.user_id]
    return [Ticket.deleted_at.is_null(), *own]


# --- A customer's tickets ---------------------------------------------------------------------------------


def _count_own(tally: Tally, caller: Caller) -> dict[Duration, Spread]:
    for row in _tickets(_own(caller)):
        tally.put(current_numbers(row))
    return {kind: _spread(tally, kind, lambda rank, many: ()) for kind in DURATIONS}


def _tickets(conditions: list[Any]) -> Iterator[Any]:
    query = Ticket.select(*NUMBER_COLUMNS).where(*conditions).order_by(Ticket.created_at, Ticket.id)
    batch = list(query.limit(ROWS_A_BATCH).tuples())
    yield from batch
    while len(batch) == ROWS_A_BATCH:
        batch = list(query.where(*_behind(batch[-1])).limit(ROWS_A_BATCH).tuples())
        yield from batch


def _behind(last: Any) -> tuple[Any, ...]:
    row_id, created_at = last[:2]
    # The first condition alone is what an index can use.
    return Ticket.created_at >= created_at, (Ticket.created_at > created_at) | (Ticket.id > row_id)


# --- The desk ---------------------------------------------------------------------------------------------


def _count_desk(tally: Tally, calendar: Calendar, span: Span) -> dict[Duration, Spread]:
    kept = kept_up()
    add_sums(tally, whole_slots(span, DAY), wider=kept.wider)
    add_days(tally, calendar, whole_slots(span, QUARTER), wider=kept.wider)
    _add_edges(tally, span)
    counted: dict[Duration, Values] = {
        kind: _counted_values(kind, span, tally.counts[kind, ""], tally.buckets(kind) if kept.buckets else [])
        for kind in DURATIONS
    }
    _correct(tally)
    return {kind: _spread(tally, kind, counted[kind]) for kind in DURATIONS}


def _add_edges(tally: Tally, span: Span) -> None:
    """What lies in the span, but in no whole slot of it: ticket by ticket."""
    parts = {width: edges(span, whole_slots(span, width)) for width in (DAY, QUARTER)}
    if not parts[DAY]:
        return
    for instant in INSTANTS:
        column = getattr(CountedTicket, instant)
        rows: Any = CountedTicket.select(*COUNTED_COLUMNS).where(_within(column, parts[DAY])).tuples()
        for row in rows.iterator():
            for mark in marks(counted_numbers(row)):
                beside = parts[width_of(mark.kind)] if instant_of(mark.kind) == instant else ()
                if mark.at is not None and any(part.holds(mark.at) for part in beside):
                    tally.add(mark)


def _within(column: peewee.Field, parts: Sequence[Span]) -> Any:
    return reduce(or_, [(column >= part.since) & (column < part.until) for part in parts])


def _correct(tally: Tally) -> None:
    """Tickets that have changed since they were counted."""
    query = (
        Ticket.select(*NUMBER_COLUMNS, *COUNTED_COLUMNS)
        .join(CountedTicket, peewee.JOIN.LEFT_OUTER, on=(CountedTicket.ticket_id == Ticket.id))
        .where(Ticket.uncounted)
        .order_by(Ticket.id)
        .limit(ROWS_A_BATCH)
        .tuples()
    )
    batch: list[Any] = list(query)
    while batch:
        for row in batch:
            was = counted_numbers(row[len(NUMBER_COLUMNS) :])
            is_now = current_numbers(row[: len(NUMBER_COLUMNS)])
            if was != is_now:
                # Most changes, such as an answer, change no number.
                tally.take(was)
                tally.put(is_now)
        batch = list(query.where(Ticket.id > batch[-1][0])) if len(batch) == ROWS_A_BATCH else []


def _counted_values(kind: Duration, span: Span, count: int, buckets: Sequence[tuple[int, int]]) -> Values:
    """The durations of the counted tickets of a span, in order, from the beginning of a rank's bucket."""
    column = _DURATION_COLUMNS[kind]
    query = CountedTicket.select(column).where(column.is_null(False))
    if span.since:
        query = query.where(CountedTicket.created_at >= span.since)
    if span.until:
        query = query.where(CountedTicket.created_at < span.until)

    buckets = buckets or [(0, count)]
    ranks = [0, *accumulate(within for _, within in buckets)]
    few: list[int] = []

    def values(rank: int, many: int) -> Sequence[int]:
        many = min(many, count - rank)
        if many <= 0:
            return ()
        if count <= FEW_VALUES:
            rows: Any = query.tuples()
            few[:] = few or sorted(value for (value,) in rows)
            return few[rank : rank + many]
        place = bisect_right(ranks, rank) - 1
        least, before = buckets[place][0], ranks[place]
        rising: Any = query.where(column >= least).order_by(column).offset(rank - before).limit(many).tuples()
        return [value for (value,) in rising]

    return values


def _spread(tally: Tally, kind: Duration, stored: Values) -> Spread:
    values = corrected(stored, put_in=tally.put_in[kind], taken_out=tally.taken_out[kind])
    return spread(count=tally.counts[kind, ""], micros=tally.micros[kind], values=values)


# --- The agents -------------------------------------------------------------------------------------------


def _agents(caller: Caller, tally: Tally) -> list[AgentNumbers]:
    """Everybody's work to admins, to agents their own, to customers none."""
    if not caller.is_staff:
        return []
    roster = Agent.select(Agent.user_id, Agent.name, Agent.capacity)
    if caller.role == "agent":
        roster = roster.where(Agent.user_id == caller.user_id)
    known = {agent.user_id: agent for agent in roster}
    at_work = {
        int(label) for (kind, label), n in tally.counts.items() if kind in ("load", "resolved_by") and n > 0
    }
    shown = known.keys() | (at_work & {caller.user_id} if caller.role == "agent" else at_work)
    return [_agent(user_id, known.get(user_id), tally) for user_id in sorted(shown)]


def _agent(user_id: int, agent: Agent | None, tally: Tally) -> AgentNumbers:
    return AgentNumbers(
        agent_id=user_id,
        name=agent.name if agent else None,
        load=tally.counts["load", str(user_id)],
        capacity=agent.capacity if agent else None,
        resolved=tally.counts["resolved_by", str(user_id)],
    )
