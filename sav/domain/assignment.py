"""Whom the desk gives a ticket to, and why not to the others."""

from collections.abc import Iterable, Mapping
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
    """Of those who could have taken it, in the order in which they would."""
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
    fitting.sort(key=_turn)
    loads = {candidate.agent_id: candidate.load for candidate in fitting}
    if not fitting:
        return Choice(agent_id=None, reason=None, loads=loads, excluded=excluded)
    chosen = fitting[0]
    is_alone = len(fitting) == 1 or fitting[1].load != chosen.load
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


def _turn(candidate: Candidate) -> tuple[int, datetime, int]:
    return candidate.load, candidate.last_assigned_at or _NEVER, candidate.agent_id
