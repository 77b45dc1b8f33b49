"""What happened to a ticket, once it is committed: a line in the log, and numbers.

One place for every kind of change. What people wrote never gets here: of a fact's fields just those are told
that can hold nothing but numbers, ids, flags and words that the code itself has chosen.
"""

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import structlog
from prometheus_client import Counter

from sav.domain.events import Fact, SatisfactionReceived, TicketResolved
from sav.telemetry.metrics import (
    FIRST_RESPONSE_SECONDS,
    RESOLUTION_SECONDS,
    SATISFACTION_RATING,
    TICKET_EVENTS,
)

TOLD_CHANGES = ("status", "priority", "assigned_to")
"""The fields of a ticket whose values may be told; of the others, that they changed."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A committed fact, with from and to of the fields that it changed."""

    fact: Fact
    changes: Mapping[str, Mapping[str, Any]]
    ticket_id: int
    priority: str
    event_id: str
    sequence: int
    actor_id: int | None
    actor_role: str
    request_id: str | None
    first_response_after: timedelta | None
    """How long the ticket waited for its first answer, when this fact is that answer."""


def tell(happenings: Sequence[Happening]) -> None:
    """Never raises: what is committed is committed, and whoever did it shall hear so."""
    for happening in happenings:
        try:
            _log(happening)
            _count(happening)
        except Exception:
            log.exception("a fact could not be told", action="tell", event_id=happening.event_id)


def message_of(fact: type[Fact]) -> str:
    """A constant for each kind of fact: `ticket.status_changed` is "ticket status changed"."""
    return fact.name.replace(".", " ").replace("_", " ")


@functools.cache
def told_fields(fact: Callable[..., Fact]) -> tuple[str, ...]:
    """The fields of a fact's class whose type leaves no room for what somebody wrote."""
    hints = get_type_hints(fact)
    return tuple(name for name, hint in hints.items() if _is_harmless(hint))


def _is_harmless(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return all(_is_harmless(part) for part in get_args(hint))
    return hint in (int, float, bool, type(None)) or get_origin(hint) is Literal


def _log(happening: Happening) -> None:
    fact, changes = happening.fact, happening.changes
    said = {name: getattr(fact, name) for name in told_fields(type(fact))}  # type: ignore[arg-type]
    moved = {
        f"{name}_{end}": changes[name][end]
        for name in TOLD_CHANGES
        if name in changes
        for end in ("from", "to")
    }
    always = {
        "action": fact.name,
        "ticket_id": happening.ticket_id,
        "event_id": happening.event_id,
        "sequence": happening.sequence,
        "actor_id": happening.actor_id,
        "actor_role": happening.actor_role,
        "changed": sorted(changes),
    }
    if happening.request_id is not None:
        always["request_id"] = happening.request_id
    log.info(message_of(type(fact)), **{**said, **moved, **always})


@functools.cache
def _series(name: str) -> Counter:
    # Found again by one look: `labels` makes texts of its arguments and takes a lock.
    return TICKET_EVENTS.labels(name)


def _count(happening: Happening) -> None:
    _series(happening.fact.name).inc()
    if happening.first_response_after is not None:
        waited_seconds = happening.first_response_after.total_seconds()
        FIRST_RESPONSE_SECONDS.labels(happening.priority).observe(waited_seconds)
    match happening.fact:
        case TicketResolved(resolution_seconds=seconds):
            RESOLUTION_SECONDS.labels(happening.priority).observe(seconds)
        case SatisfactionReceived(rating=rating):
            SATISFACTION_RATING.observe(rating)
