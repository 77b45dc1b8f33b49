"""Gives open tickets to agents who have room: the desk's own hand, beside those of people."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

import peewee

from sav.domain.assignment import Candidate, Choice, choose_agent
from sav.domain.caller import SYSTEM
from sav.domain.occasion import Occasion
from sav.domain.ticket_lifecycle import PRIORITIES, WORKED_ON
from sav.models.database import database, for_update, is_sqlite, retry_deadlocks, transaction
from sav.models.prepared import Prepared
from sav.models.tables import Agent, Ticket
from sav.operations.assign_ticket import take
from sav.operations.event_log import last_request_ids
from sav.operations.ticket_change import TicketChange, locked_tickets, save_changes

ASSIGNMENTS_A_DRAIN = 200
"""How many tickets one call gives out at most, so that a lease suffices."""
ASSIGNMENTS_A_TRANSACTION = 50
"""How many share one reading of the roster: few enough to keep nobody waiting for their rows."""
LOADS_TOLD = 5
"""Of how many agents the history tells what they had in hand: of whoever was chosen, and of the next ones."""

# A status at a time: so each is one short range of the index, however many tickets an agent ever had.
_LOAD = " + ".join(
    "(SELECT COUNT(*) FROM support_tickets t WHERE t.assigned_to = a.user_id "  # noqa: S608 - all of it is ours
    f"AND t.status = '{status}' AND t.deleted_at IS NULL)"
    for status in sorted(WORKED_ON)
)
_ROOM = f"""
    SELECT categories, SUM(room) FROM (
        SELECT a.categories AS categories, a.capacity - ({_LOAD}) AS room
        FROM agents a WHERE a.active AND a.available
    ) AS rooms WHERE room > 0 GROUP BY categories
"""  # noqa: S608 - all of it is ours
_LOADS = f"SELECT a.user_id, {_LOAD} FROM agents a WHERE a.active AND a.available"  # noqa: S608
_ROSTER = Prepared(
    lambda: for_update(
        Agent.select(
            Agent.user_id,
            Agent.active,
            Agent.available,
            Agent.capacity,
            Agent.categories,
            Agent.last_assigned_at,
        ).order_by(Agent.user_id)
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentRules:
    """The settings that decide what the desk assigns by itself."""

    enabled: bool = True
    except_categories: frozenset[str] = frozenset()

    def cover(self, category: str | None) -> bool:
        return self.enabled and category not in self.except_categories


@dataclass(frozen=True, slots=True)
class Room:
    """How many more tickets the agents who are there can take, and of which categories (None: of any)."""

    tickets: int
    categories: frozenset[str] | None


def assign_open_tickets(*, rules: AssignmentRules, clock: Callable[[], datetime]) -> bool:
    """Gives out tickets, the next in the queue first, until nobody has room or nothing is left to give.

    Many in a transaction, each with its own time: who was assigned least recently counts. Returns False
    when it has stopped before that, after `ASSIGNMENTS_A_DRAIN`. Any number of callers may work at the same
    time: they meet at the next tickets, whose rows only one has.
    """
    if not rules.enabled:
        return True
    unfit: set[int] = set()
    left, room = ASSIGNMENTS_A_DRAIN, room_now()
    while left:
        limit = min(left, ASSIGNMENTS_A_TRANSACTION)
        ticket_ids, is_all = next_in_queue(room, rules=rules, leaving_out=unfit, limit=limit)
        # Whoever had room for one of these has none any more; those behind it may be for somebody else.
        still_open, room_left = _assign(ticket_ids, rules=rules, clock=clock)
        unfit |= still_open
        if is_all:
            return True
        left -= len(ticket_ids)
        # As it was under lock. Whoever has more by now owes it to the desk to look again.
        room = room_left or room
    return False


def next_in_queue(
    room: Room,
    *,
    rules: AssignmentRules,
    leaving_out: Collection[int] = (),
    limit: int = ASSIGNMENTS_A_TRANSACTION,
) -> tuple[list[int], bool]:
    """The tickets that are given out next, as many as there is room for: one read, whatever the backlog.

    And whether these are all. Urgent tickets that have escalated come first, then each priority in its turn,
    within it the oldest.
    """
    served = None if room.categories is None else room.categories - rules.except_categories
    if not room.tickets or served == frozenset():
        return [], True
    wanted = min(limit, room.tickets)
    found = _open_tickets(served, rules.except_categories, leaving_out, wanted + 1)
    return found[:wanted], len(found) <= wanted


def locked_roster() -> dict[int, Candidate]:
    """All agents with what they have in hand, locked until the commit, so that nobody is overfilled.

    Everybody locks tickets before agents, and agents in the order of their ids. What is in hand is counted
    after the lock, and of those alone who are there.
    """
    agents = _ROSTER.rows()
    loads: dict[int, int] = dict(database.execute_sql(_LOADS).fetchall())
    return {
        agent.user_id: Candidate(
            agent_id=agent.user_id,
            active=agent.active,
            available=agent.available,
            capacity=agent.capacity,
            load=loads.get(agent.user_id, 0),
            categories=frozenset(agent.categories),
            last_assigned_at=agent.last_assigned_at,
        )
        for agent in agents
    }


def give_to_chosen(change: TicketChange, choice: Choice, *, reason: str) -> None:
    """Assigns the ticket to the agent who was chosen; the history keeps why, and why not to the others.

    The roster is left to the caller: `note_assigned`.
    """
    if choice.agent_id is None:
        raise ValueError("nobody was chosen")
    change.note("assignment", before=None, after=_why(choice))
    take(change, choice.agent_id, reason=reason)


def note_assigned(times: Mapping[int, datetime]) -> None:
    """When these agents got their last ticket; their rows are locked already."""
    if not times:
        return
    field = Agent.last_assigned_at
    cases = [(agent_id, field.db_value(moment)) for agent_id, moment in times.items()]
    Agent.update({field: peewee.Case(Agent.user_id, cases)}).where(Agent.user_id.in_(list(times))).execute()


@retry_deadlocks
def _assign(
    ticket_ids: Sequence[int], *, rules: AssignmentRules, clock: Callable[[], datetime]
) -> tuple[set[int], Room | None]:
    """Gives out these tickets in their order; returns those that still wait, and that nobody can take, and
    the room that is left, when it was looked at."""
    unfit: set[int] = set()
    if not ticket_ids:
        return unfit, None
    with transaction():
        # Without those that were deleted, taken or moved at this very moment.
        tickets = [ticket for ticket in _in_order(ticket_ids) if _waits(ticket, rules)]
        if not tickets:
            return unfit, None
        roster = locked_roster()
        request_ids = last_request_ids(tickets)
        changes: list[TicketChange] = []
        times: dict[int, datetime] = {}
        for ticket in tickets:
            choice = choose_agent(roster.values(), category=ticket.category)
            if choice.agent_id is None or choice.reason is None:
                unfit.add(ticket.id)
                continue
            change = TicketChange(ticket, Occasion(SYSTEM, clock(), request_ids.get(ticket.id)))
            give_to_chosen(change, choice, reason=choice.reason)
            changes.append(change)
            chosen, now = roster[choice.agent_id], change.occasion.now
            roster[choice.agent_id] = replace(chosen, load=chosen.load + 1, last_assigned_at=now)
            times[choice.agent_id] = now
        save_changes(changes)
        note_assigned(times)
    return unfit, _room_of(roster.values())


def _in_order(ticket_ids: Sequence[int]) -> list[Ticket]:
    found = locked_tickets(ticket_ids)
    return [found[ticket_id] for ticket_id in ticket_ids if ticket_id in found]


def _waits(ticket: Ticket, rules: AssignmentRules) -> bool:
    return ticket.status == "open" and rules.cover(ticket.category)


def _why(choice: Choice) -> dict[str, Any]:
    """A few numbers, however long the roster: the loads of the first in turn, and how many were left out."""
    return {
        "loads": {str(agent_id): load for agent_id, load in islice(choice.loads.items(), LOADS_TOLD)},
        "candidates": len(choice.loads),
        "excluded": dict(sorted(Counter(choice.excluded.values()).items())),
    }


def room_now() -> Room:
    """How much there is at the moment, before anybody is locked."""
    rows = database.execute_sql(_ROOM).fetchall()
    kinds = [frozenset[str](Agent.categories.python_value(text)) for text, _ in rows]
    return _room_for(kinds, sum(int(room) for _, room in rows))


def _room_of(roster: Collection[Candidate]) -> Room:
    free = [one for one in roster if one.active and one.available and one.load < one.capacity]
    return _room_for([one.categories for one in free], sum(one.capacity - one.load for one in free))


def _room_for(kinds: Sequence[frozenset[str]], tickets: int) -> Room:
    takes_any = not all(kinds)
    return Room(tickets, None if takes_any else frozenset[str]().union(*kinds))


def _open_tickets(
    served: Collection[str] | None,
    excepted: Collection[str],
    leaving_out: Collection[int],
    limit: int,
) -> list[int]:
    conditions, values = ["status = 'open'", "deleted_at IS NULL"], list[Any]()
    if served is not None:
        conditions.append(f"category IN ({_marks(served)})")
        values += sorted(served)
    if excepted:
        conditions.append(f"(category IS NULL OR category NOT IN ({_marks(excepted)}))")
        values += sorted(excepted)
    if leaving_out:
        conditions.append(f"id NOT IN ({_marks(leaving_out)})")
        values += sorted(leaving_out)
    # In SQL, because the index has to be named: by itself the server walks the primary key, past every
    # ticket that was ever closed.
    index = "INDEXED BY support_tickets_assignment_queue" if is_sqlite() else "FORCE INDEX (assignment_queue)"
    ranks = range(len(PRIORITIES), 0, -1)
    steps = [
        f"priority_rank = {len(PRIORITIES)} AND escalated_at IS NOT NULL",
        *(f"priority_rank = {rank}" for rank in ranks),
    ]
    parts = [
        f"SELECT * FROM (SELECT {place} AS place, id FROM support_tickets {index} "  # noqa: S608 - no input
        f"WHERE {' AND '.join([*conditions, step])} ORDER BY id LIMIT {limit:d}) AS step_{place}"
        for place, step in enumerate(steps)
    ]
    rows = database.execute_sql(" UNION ALL ".join(parts), values * len(steps)).fetchall()
    # An escalated one is found a second time, with its priority.
    return list(dict.fromkeys(int(ticket_id) for _, ticket_id in sorted(rows)))[:limit]


def _marks(values: Collection[Any]) -> str:
    return ", ".join(["?" if is_sqlite() else "%s"] * len(values))
