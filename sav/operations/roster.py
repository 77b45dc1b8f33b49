"""The roster of agents: who is there, who takes tickets, and how many."""

from collections.abc import Mapping
from typing import Any

import peewee

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden, NotFound
from sav.domain.occasion import Occasion
from sav.models.database import for_update, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import Agent


def join_roster(*, occasion: Occasion, capacity: int) -> None:
    """Adds an agent who calls for the first time, not available until they say so."""
    caller = occasion.caller
    if caller.role != "agent" or Agent.select().where(Agent.user_id == caller.user_id).exists():
        return
    try:
        _insert(occasion, caller, capacity)
    except peewee.IntegrityError as error:
        # Their second request was quicker.
        if not is_duplicate(error):
            raise


@retry_deadlocks
def change_agent(
    *, occasion: Occasion, user_id: int, fields: Mapping[str, Any], default_capacity: int
) -> Agent:
    """Changes an agent's `name`, `email`, `active`, `capacity` or `categories`; adds whoever is not there."""
    if occasion.caller.role not in ("admin", "system"):
        raise Forbidden
    with transaction():
        agent = _locked(user_id) or Agent(
            user_id=user_id, capacity=default_capacity, categories=[], created_at=occasion.now
        )
        is_new = agent.updated_at is None
        for name, value in fields.items():
            setattr(agent, name, value)
        agent.updated_at = occasion.now
        agent.save(force_insert=is_new)
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
    return agent


def _locked(user_id: int) -> Agent | None:
    found: Agent | None = for_update(Agent.select().where(Agent.user_id == user_id)).first()
    return found


def _insert(occasion: Occasion, caller: Caller, capacity: int) -> None:
    Agent.insert(
        user_id=caller.user_id,
        name=caller.name,
        email=caller.email,
        capacity=capacity,
        categories=[],
        created_at=occasion.now,
        updated_at=occasion.now,
    ).execute()
