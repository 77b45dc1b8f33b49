"""The roster of agents: who is there, who takes tickets, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peewee

from sav.domain.effects import ASSIGN_TICKETS
from sav.domain.errors import Forbidden, NotFound
from sav.domain.occasion import Occasion
from sav.domain.sight_slots import ROSTER
from sav.models.database import for_update, is_duplicate, retry_deadlocks, transaction
from sav.models.sight_counters import advance_counters
from sav.models.tables import Agent
from sav.operations.desk_effects import owe_by_desk
from sav.operations.event_log import RELAY_GRACE

_MAY_MAKE_ROOM = frozenset({"active", "capacity", "categories"})


def join_roster(*, occasion: Occasion, capacity: int) -> None:
    """Adds an agent who calls for the first time, not available until they say so."""
    caller = occasion.caller
    if caller.role != "agent" or Agent.select().where(Agent.user_id == caller.user_id).exists():
        return
    with transaction():
        _add(occasion, user_id=caller.user_id, name=caller.name, email=caller.email, capacity=capacity)


@retry_deadlocks
def change_agent(
    *, occasion: Occasion, user_id: int, fields: Mapping[str, Any], default_capacity: int
) -> Agent:
    """Changes an agent's `name`, `email`, `active`, `capacity` or `categories`; adds whoever is not there."""
    if occasion.caller.role not in ("admin", "system"):
        raise Forbidden
    with transaction():
        agent = _locked(user_id)
        if agent is None:
            _add(occasion, user_id=user_id, name=None, email=None, capacity=default_capacity)
            agent = _for_update(user_id).get()
        for name, value in fields.items():
            setattr(agent, name, value)
        agent.updated_at = occasion.now
        agent.save(only=[*fields, "updated_at"])
        advance_counters([ROSTER])
        if not _MAY_MAKE_ROOM.isdisjoint(fields):
            _owe_assignment(occasion)
    return agent


@retry_deadlocks
def set_availability(*, occasion: Occasion, available: bool) -> Agent:
    """Says whether the caller takes new tickets now; raises `NotFound` when they are not on the roster."""
    if not occasion.caller.is_staff or occasion.caller.user_id is None:
        raise Forbidden
    with transaction():
        agent = _locked(occasion.caller.user_id)
        if agent is None:
            raise NotFound("You are not on the roster; an admin can add you.")
        agent.available = available
        agent.updated_at = occasion.now
        agent.save(only=["available", "updated_at"])
        if available:
            _owe_assignment(occasion)
    return agent


def _owe_assignment(occasion: Occasion) -> None:
    owe_by_desk(ASSIGN_TICKETS, due_at=occasion.now + RELAY_GRACE, now=occasion.now)


def _locked(user_id: int) -> Agent | None:
    found: Agent | None = _for_update(user_id).first()
    return found


def _for_update(user_id: int) -> peewee.ModelSelect[Agent]:
    return for_update(Agent.select().where(Agent.user_id == user_id))


def _add(
    occasion: Occasion, *, user_id: int | None, name: str | None, email: str | None, capacity: int
) -> None:
    """Adds an agent, unless somebody else just has: an admin, or another request of theirs."""
    try:
        Agent.insert(
            user_id=user_id,
            name=name,
            email=email,
            capacity=capacity,
            categories=[],
            created_at=occasion.now,
            updated_at=occasion.now,
        ).execute()
    except peewee.IntegrityError as error:
        if not is_duplicate(error):
            raise
    advance_counters([ROSTER])
