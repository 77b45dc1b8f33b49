"""Gives open tickets to agents who have room: the desk's own hand, beside those of people."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from sav.domain.assignment import Candidate, Choice, choose_agent, served_categories
from sav.domain.caller import SYSTEM
from sav.domain.errors import NotFound
from sav.domain.occasion import Occasion
from sav.domain.ticket_lifecycle import PRIORITIES, WORKED_ON
from sav.models.database import database, for_update, is_sqlite, retry_deadlocks
from sav.models.tables import Agent, Ticket
from sav.operations.assign_ticket import take
from sav.operations.event_log import last_request_id
from sav.operations.ticket_change import TicketChange, change_ticket

ASSIGNMENTS_A_DRAIN = 200
"""How many tickets one call gives out at most, so that a lease suffices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentRules:
    """The settings that decide what the desk assigns by itself."""

    enabled: bool = True
    except_categories: frozenset[str] = frozenset()

    def cover(self, category: str | None) -> bool:
        return self.enabled and category not in self.except_categories


def assign_open_tickets(*, rules: AssignmentRules, clock: Callable[[], datetime]) -> bool:
    """Gives out tickets, the next in the queue first, until nobody has room or nothing is left to give.

    One transaction a ticket, each with its own time: who was assigned least recently counts. Returns False
    when it has stopped before that, after `ASSIGNMENTS_A_DRAIN`. Any number of callers may work at the same
    time: they meet at the next ticket, whose row only one has.
    """
    unfit: set[int] = set()
    for _ in range(ASSIGNMENTS_A_DRAIN):
        ticket_id = next_in_queue(rules=rules, leaving_out=unfit)
        if ticket_id is None:
            return True
        if not _assign(ticket_id, rules=rules, now=clock()):
            # Whoever had room for it has none any more; those behind it may be for somebody else.
            unfit.add(ticket_id)
    return False


def next_in_queue(*, rules: AssignmentRules, leaving_out: Collection[int] = ()) -> int | None:
    """The ticket that is given out next, if somebody has room for it: a few reads, whatever the backlog.

    Urgent tickets that have escalated come first, then each priority in its turn, within it the oldest.
    """
    if not rules.enabled:
        return None
    agents = candidates(Agent.select().where(Agent.active, Agent.available))
    served = served_categories(agents)
    if served is not None and not served - rules.except_categories:
        return None
    steps = [(len(PRIORITIES), True), *((rank, False) for rank in range(len(PRIORITIES), 0, -1))]
    for rank, escalated in steps:
        found = _first_open(rank, escalated, served, rules.except_categories, leaving_out)
        if found is not None:
            return found
    return None


def candidates(agents: Iterable[Agent]) -> list[Candidate]:
    """Agents with what they have in hand, counted by index."""
    rows = list(agents)
    loads = _loads([agent.user_id for agent in rows])
    return [
        Candidate(
            agent_id=agent.user_id,
            active=agent.active,
            available=agent.available,
            capacity=agent.capacity,
            load=loads.get(agent.user_id, 0),
            categories=frozenset(agent.categories),
            last_assigned_at=agent.last_assigned_at,
        )
        for agent in rows
    ]


def choose_for(change: TicketChange) -> Choice:
    """Who takes this ticket now. The roster stays locked until the commit, so that nobody is overfilled.

    Everybody locks a ticket before agents, and agents in the order of their ids.
    """
    roster = for_update(Agent.select().order_by(Agent.user_id))
    return choose_agent(candidates(roster), category=change.ticket.category)


def give_to_chosen(change: TicketChange, choice: Choice, *, reason: str) -> None:
    """Assigns the ticket to the agent who was chosen; the history keeps why, and why not to the others."""
    if choice.agent_id is None:
        raise ValueError("nobody was chosen")
    why = {"loads": _by_id(choice.loads), "excluded": _by_id(choice.excluded)}
    change.note("assignment", before=None, after=why)
    take(change, choice.agent_id, reason=reason)
    Agent.update(last_assigned_at=change.occasion.now).where(Agent.user_id == choice.agent_id).execute()


@retry_deadlocks
def _assign(ticket_id: int, *, rules: AssignmentRules, now: datetime) -> bool:
    """Returns False when the ticket still waits, and nobody can take it."""
    try:
        occasion = Occasion(SYSTEM, now, last_request_id(ticket_id))
        with change_ticket(ticket_id, occasion=occasion) as change:
            if change.ticket.status != "open" or not rules.cover(change.ticket.category):
                return True
            choice = choose_for(change)
            if choice.agent_id is None or choice.reason is None:
                return False
            give_to_chosen(change, choice, reason=choice.reason)
    except NotFound:
        # Deleted at this very moment.
        return True
    return True


def _loads(agent_ids: Collection[int]) -> dict[int, int]:
    if not agent_ids:
        return {}
    query = (
        Ticket.select(Ticket.assigned_to, peewee.fn.COUNT(Ticket.id))
        .where(
            Ticket.assigned_to.in_(list(agent_ids)),
            Ticket.status.in_(sorted(WORKED_ON)),
            Ticket.deleted_at.is_null(),
        )
        .group_by(Ticket.assigned_to)
    )
    rows: Any = query.tuples()
    return dict(rows)


def _first_open(
    rank: int,
    escalated: bool,
    served: Collection[str] | None,
    excepted: Collection[str],
    leaving_out: Collection[int],
) -> int | None:
    # In SQL, because the index has to be named: by itself the server walks the primary key, past every
    # ticket that was ever closed.
    conditions = ["status = 'open'", "deleted_at IS NULL", f"priority_rank = {rank:d}"]
    values: list[Any] = []
    if escalated:
        conditions.append("escalated_at IS NOT NULL")
    if served is not None:
        conditions.append(f"category IN ({_marks(served)})")
        values += sorted(served)
    if excepted:
        conditions.append(f"(category IS NULL OR category NOT IN ({_marks(excepted)}))")
        values += sorted(excepted)
    if leaving_out:
        conditions.append(f"id NOT IN ({_marks(leaving_out)})")
        values += sorted(leaving_out)
    index = "INDEXED BY support_tickets_assignment_queue" if is_sqlite() else "FORCE INDEX (assignment_queue)"
    row = database.execute_sql(
        f"SELECT id FROM support_tickets {index} WHERE {' AND '.join(conditions)} "  # noqa: S608 - no input
        "ORDER BY id LIMIT 1",
        values,
    ).fetchone()
    return None if row is None else int(row[0])


def _marks(values: Collection[Any]) -> str:
    return ", ".join(["?" if is_sqlite() else "%s"] * len(values))


def _by_id(values: Any) -> dict[str, Any]:
    return {str(agent_id): value for agent_id, value in sorted(values.items())}
