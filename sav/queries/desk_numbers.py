"""How many tickets there are and who works on them: what monitoring asks every minute, of any desk's size.

Each statement reads an index alone, or just the rows of tickets that are being worked on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import peewee

from sav.domain.events import TicketDeleted
from sav.domain.ticket_lifecycle import PRIORITIES, STATUSES, WORKED_ON, Priority, Status
from sav.models.tables import Agent, Event, Ticket

AGENTS_AT_MOST = 1000
"""Each is a series of its own."""


@dataclass(frozen=True, slots=True)
class AgentLoad:
    """How many unsettled tickets an active agent has, and may have."""

    agent_id: int
    load: int
    capacity: int
    available: bool


@dataclass(frozen=True, slots=True)
class DeskNumbers:
    """Tickets that exist by status and priority, and the active agents' loads."""

    tickets: dict[tuple[Status, Priority], int]
    agents: list[AgentLoad]


def desk_numbers() -> DeskNumbers:
    """Reads all of them; at a million tickets it takes some hundred milliseconds, so not in a request."""
    return DeskNumbers(tickets=_tickets(), agents=_agents())


def _tickets() -> dict[tuple[Status, Priority], int]:
    # Without `deleted_at` the index on status and priority suffices. The few that were deleted are found by
    # their facts, and taken off.
    counts: dict[tuple[Status, Priority], int] = dict.fromkeys(
        ((status, priority) for status in STATUSES for priority in PRIORITIES), 0
    )
    for place, count in _by_place(Ticket.select()):
        counts[place] += count
    deleted = Event.select(Event.ticket_id).where(Event.name == TicketDeleted.name)
    for place, count in _by_place(Ticket.select().where(Ticket.id.in_(deleted))):
        counts[place] = max(0, counts[place] - count)
    return counts


def _by_place(tickets: Any) -> list[tuple[tuple[Status, Priority], int]]:
    query = tickets.select(Ticket.status, Ticket.priority_rank, peewee.fn.COUNT(peewee.SQL("*")))
    # Ranks count from 1, in the order of the priorities.
    return [
        ((status, PRIORITIES[rank - 1]), count)
        for status, rank, count in query.group_by(Ticket.status, Ticket.priority_rank).tuples()
    ]


def _agents() -> list[AgentLoad]:
    agents = list(Agent.select().where(Agent.active).order_by(Agent.user_id).limit(AGENTS_AT_MOST))
    rows: Iterable[Any] = (
        Ticket.select(Ticket.assigned_to, peewee.fn.COUNT(peewee.SQL("*")))
        .where(
            Ticket.status.in_(sorted(WORKED_ON)),
            Ticket.assigned_to.in_([agent.user_id for agent in agents]),
            Ticket.deleted_at.is_null(),
        )
        .group_by(Ticket.assigned_to)
        .tuples()
    )
    loads: dict[int, int] = dict(rows)
    return [
        AgentLoad(agent.user_id, loads.get(agent.user_id, 0), agent.capacity, agent.available)
        for agent in agents
    ]
