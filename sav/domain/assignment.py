"""Whom the desk gives a ticket to, and why not to the others."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Reason = Literal["least_loaded", "least_recently_assigned"]
Exclusion = Literal["inactive", "unavailable", "full", "other_categories"]

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An agent of the roster; `load` counts the tickets in their hands that are not settled.

    Without categories an agent takes everything; with some, only tickets of these.
    """

    agent_id: int
    active: bool
    available: bool
    capacity: int
    load: int
    categories: frozenset[str]
    last_assigned_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who gets the ticket (None: nobody can take it now), and what was looked at to find that out."""

    agent_id: int | None
    reason: Reason | None
    loads: Mapping[int, int]
    """Of those who could have taken it."""
    excluded: Mapping[int, Exclusion]
    """Of the others, what spoke against them first."""


def choose_agent(candidates: Iterable[Candidate], *, category: str | None) -> Choice:
    """The least loaded of those who can take it; of several, whoever has waited longest for a ticket."""
    excluded: dict[int, Exclusion] = {}
    fitting: list[Candidate] = []
    for candidate in candidates:
        problem = exclusion(candidate, category=category)
        if problem is None:
            fitting.append(candidate)
        else:
            excluded[candidate.agent_id] = problem
    loads = {candidate.agent_id: candidate.load for candidate in fitting}
    if not fitting:
        return Choice(agent_id=None, reason=None, loads=loads, excluded=excluded)
    chosen = min(fitting, key=_turn)
    is_alone = sum(load == chosen.load for load in loads.values()) == 1
    reason: Reason = "least_loaded" if is_alone else "least_recently_assigned"
    return Choice(agent_id=chosen.agent_id, reason=reason, loads=loads, excluded=excluded)


def exclusion(candidate: Candidate, *, category: str | None) -> Exclusion | None:
    """Why this agent cannot take a ticket of this category now; None when they can."""
    if not candidate.active:
        return "inactive"
    if not candidate.available:
        return "unavailable"
    if not has_room(candidate):
        return "full"
    if candidate.categories and category not in candidate.categories:
        return "other_categories"
    return None


def has_room(candidate: Candidate) -> bool:
    return candidate.active and candidate.available and candidate.load < candidate.capacity


def served_categories(candidates: Iterable[Candidate]) -> Set[str] | None:
    """The categories that somebody with room takes tickets of; None when somebody takes any."""
    served: set[str] = set()
    for candidate in candidates:
        if not has_room(candidate):
            continue
        if not candidate.categories:
            return None
        served |= candidate.categories
    return served


def _turn(candidate: Candidate) -> tuple[int, datetime, int]:
    return candidate.load, candidate.last_assigned_at or _NEVER, candidate.agent_id
