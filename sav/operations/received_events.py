"""What other services tell us: received once, handled once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.models.database import database, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import DueEffect, ReceivedEvent
from sav.operations import hints
from sav.operations.effect_claims import DESK
from sav.operations.event_log import RELAY_GRACE


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingEvent:
    """An event as it came: `text` is its envelope, and its copies share the `dedup_key`."""

    dedup_key: str
    name: str
    text: str
    request_id: str | None


def receive_events(*, events: Sequence[IncomingEvent], now: datetime) -> set[str]:
    """Keeps events together with what they owe; returns the keys of those that had not come before.

    After it returns, their messages may be acknowledged: nothing of them lives in the broker alone any more.
    """
    firsts = {event.dedup_key: event for event in reversed(events)}
    in_order = [event for event in events if firsts[event.dedup_key] is event]
    try:
        return _receive_together(in_order, now)
    except peewee.IntegrityError as error:
        if not is_duplicate(error):
            raise
    # Somebody else has received a copy of one of them at this very moment; alone, each tells for itself.
    return {
        event.dedup_key
        for event in in_order
        if receive_event(
            dedup_key=event.dedup_key,
            name=event.name,
            text=event.text,
            request_id=event.request_id,
            now=now,
        )
    }


@retry_deadlocks
def receive_event(*, dedup_key: str, name: str, text: str, request_id: str | None, now: datetime) -> bool:
    """Keeps one event together with what it owes; False when it was received before."""
    try:
        with transaction():
            row = ReceivedEvent.create(
                dedup_key=dedup_key, name=name, envelope=text, request_id=request_id, received_at=now
            )
            DueEffect.insert(_token(row.id, now)).execute()
            database.after_commit(_hint)
    except peewee.IntegrityError as error:
        if is_duplicate(error):
            return False
        raise
    return True


@retry_deadlocks
def _receive_together(events: Sequence[IncomingEvent], now: datetime) -> set[str]:
    """One transaction for all of them; a copy that is not committed yet makes it fail as a whole."""
    with transaction():
        known = set(_ids_by_key([event.dedup_key for event in events]))
        new = [event for event in events if event.dedup_key not in known]
        if new:
            ReceivedEvent.insert_many([_row(event, now) for event in new]).execute()
            ids = _ids_by_key([event.dedup_key for event in new])
            DueEffect.insert_many([_token(ids[event.dedup_key], now) for event in new]).execute()
            database.after_commit(_hint)
    return {event.dedup_key for event in new}


def _ids_by_key(keys: Sequence[str]) -> dict[str, int]:
    query = ReceivedEvent.select(ReceivedEvent.id, ReceivedEvent.dedup_key)
    return {row.dedup_key: row.id for row in query.where(ReceivedEvent.dedup_key.in_(keys))}


def _row(event: IncomingEvent, now: datetime) -> dict[str, Any]:
    return {
        "dedup_key": event.dedup_key,
        "name": event.name,
        "envelope": event.text,
        "request_id": event.request_id,
        "received_at": now,
    }


def _token(event_id: int, now: datetime) -> dict[str, Any]:
    return {
        "effect": HANDLE_RECEIVED_EVENT,
        "ticket_id": DESK,
        "sequence": event_id,
        "due_at": now + RELAY_GRACE,
        "created_at": now,
    }


def _hint() -> None:
    hints.give({hints.Hint(HANDLE_RECEIVED_EVENT, DESK)})


def received_event(event_id: int) -> ReceivedEvent:
    """A received event by its id."""
    row: ReceivedEvent = ReceivedEvent.get_by_id(event_id)
    return row
