"""The effects that were given up: what an operator looks at before deciding about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.models.tables import DueEffect, Event, ReceivedEvent

DESK = 0
"""The `ticket_id` of an effect that no single ticket owes."""


@dataclass(frozen=True, slots=True)
class FailedEffect:
    """An effect that waits for an operator; `ticket_id` is None when the desk as a whole owes it."""

    id: int
    effect: str
    ticket_id: int | None
    sequence: int
    tries: int
    last_error: str | None
    failed_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that an effect is owed for; `text` is what another service sent, and may be personal."""

    what: str
    event_name: str
    event_id: str | None
    request_id: str | None
    occurred_at: datetime
    text: str | None


def list_failed_effects(*, effect: str | None, after_id: int, limit: int) -> Sequence[FailedEffect]:
    """Up to `limit` of them behind an id, in the order of their ids; of one kind or of all."""
    query = DueEffect.select().where(DueEffect.failed_at.is_null(False), DueEffect.id > after_id)
    if effect is not None:
        query = query.where(DueEffect.effect == effect)
    return [_failed_effect(row) for row in query.order_by(DueEffect.id).limit(limit)]


def count_failed_effects(*, effect: str | None) -> int:
    """How many there are, of one kind or of all."""
    query = DueEffect.select().where(DueEffect.failed_at.is_null(False))
    return int((query if effect is None else query.where(DueEffect.effect == effect)).count())


def failed_effect(effect_id: int) -> FailedEffect | None:
    """One of them; None when it does not exist, or has not failed."""
    row = DueEffect.get_or_none(DueEffect.id == effect_id, DueEffect.failed_at.is_null(False))
    return None if row is None else _failed_effect(row)


def cause_of(failed: FailedEffect) -> Cause | None:
    """What a failed effect is about; None for what the clock owes, and for what was deleted since."""
    if failed.ticket_id is not None:
        return _ticket_event(failed.ticket_id, failed.sequence)
    if failed.effect == HANDLE_RECEIVED_EVENT:
        return _received_event(failed.sequence)
    return None


def _failed_effect(row: DueEffect) -> FailedEffect:
    return FailedEffect(
        id=row.id,
        effect=row.effect,
        ticket_id=None if row.ticket_id == DESK else row.ticket_id,
        sequence=row.sequence,
        tries=row.tries,
        last_error=row.last_error,
        failed_at=row.failed_at,
        created_at=row.created_at,
    )


def _ticket_event(ticket_id: int, sequence: int) -> Cause | None:
    event: Event | None = Event.get_or_none(Event.ticket_id == ticket_id, Event.sequence == sequence)
    if event is None:
        return None
    return Cause(
        what=f"event {sequence} of ticket {ticket_id}",
        event_name=event.name,
        event_id=event.event_id,
        request_id=event.request_id,
        occurred_at=event.occurred_at,
        text=None,
    )


def _received_event(received_id: int) -> Cause | None:
    received: ReceivedEvent | None = ReceivedEvent.get_or_none(ReceivedEvent.id == received_id)
    if received is None:
        return None
    return Cause(
        what=f"received event {received_id}",
        event_name=received.name,
        event_id=None,
        request_id=received.request_id,
        occurred_at=received.received_at,
        text=received.envelope,
    )
