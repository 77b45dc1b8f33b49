"""The numbers of a dashboard, as far as the caller may see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden
from sav.domain.statistics import (
    DURATIONS,
    AgentNumbers,
    Calendar,
    Duration,
    Span,
    Spread,
    Statistics,
    Tally,
    TicketNumbers,
    days_of,
    micros_between,
    spread,
    statistics_of,
    value_at,
)
from sav.models.database import snapshot
from sav.models.tables import Agent, Ticket

ROWS_A_BATCH = 5_000
"""How many tickets are held in memory at a time."""

_COLUMNS = (
    Ticket.id,
    Ticket.created_at,
    Ticket.status,
    Ticket.priority,
    Ticket.category,
    Ticket.source,
    Ticket.assigned_to,
    Ticket.satisfaction_rating,
    Ticket.escalated_at,
    Ticket.reopen_count,
    Ticket.first_response_at,
    Ticket.resolved_at,
    Ticket.closed_at,
)


def read_statistics(*, caller: Caller, span: Span, zone: ZoneInfo, now: datetime) -> Statistics:
    """Customers: their own tickets. Agents: the desk, and their own work. Admins: the desk, and everybody's.

    Everything is read from one state of the database.
    """
    with snapshot():
        condition = [Ticket.deleted_at.is_null(), *_sight(caller)]
        calendar = _calendar(condition, span, zone, now)
        tally = Tally(span, calendar)
        for ticket in _tickets(condition):
            tally.put(ticket)
        return statistics_of(tally, calendar, spreads=_spreads(tally), agents=_agents(caller, tally))


def _sight(caller: Caller) -> list[Any]:
    if caller.role == "guest":
        # Nobody's tickets are the guests', not this guest's.
        raise Forbidden
    return [] if caller.is_staff else [Ticket.user_id == caller.user_id]


def _calendar(condition: list[Any], span: Span, zone: ZoneInfo, now: datetime) -> Calendar:
    created = Ticket.select(Ticket.created_at).where(*condition).limit(1)
    oldest = created.order_by(Ticket.created_at).scalar()
    newest = created.order_by(Ticket.created_at.desc()).scalar()
    return days_of(span, zone, first=min(oldest or now, now), last=max(newest or now, now))


def _tickets(condition: list[Any]) -> Iterator[TicketNumbers]:
    query = Ticket.select(*_COLUMNS).where(*condition).order_by(Ticket.created_at, Ticket.id)
    batch: list[Any] = list(query.limit(ROWS_A_BATCH).tuples())
    while batch:
        for row in batch:
            yield _numbers(*row)
        batch = list(query.where(*_behind(batch[-1])).limit(ROWS_A_BATCH).tuples())


def _behind(row: Any) -> tuple[Any, ...]:
    row_id, created_at = row[:2]
    # The first condition alone is what an index can use.
    return Ticket.created_at >= created_at, (Ticket.created_at > created_at) | (Ticket.id > row_id)


def _numbers(
    _id: int,
    created_at: datetime,
    status: str,
    priority: str,
    category: str | None,
    source: str,
    assigned_to: int | None,
    rating: int | None,
    escalated_at: datetime | None,
    reopen_count: int,
    first_response_at: datetime | None,
    resolved_at: datetime | None,
    closed_at: datetime | None,
) -> TicketNumbers:
    return TicketNumbers(
        status=status,
        priority=priority,
        category=category,
        source=source,
        assigned_to=assigned_to,
        rating=rating,
        escalated=escalated_at is not None,
        reopened=reopen_count > 0,
        created_at=created_at,
        resolved_at=resolved_at,
        closed_at=closed_at,
        first_response_micros=micros_between(created_at, first_response_at),
        resolution_micros=micros_between(created_at, resolved_at),
    )


def _spreads(tally: Tally) -> dict[Duration, Spread]:
    return {kind: _spread(tally, kind) for kind in DURATIONS}


def _spread(tally: Tally, kind: Duration) -> Spread:
    put_in, taken_out = sorted(tally.put_in[kind]), tally.taken_out[kind]
    value = partial(value_at, stored=lambda offset, limit: (), put_in=put_in, taken_out=taken_out)
    return spread(count=tally.counts[kind, ""], micros=tally.micros[kind], value=value)


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
