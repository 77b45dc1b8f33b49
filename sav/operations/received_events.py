"""What other services tell us: received once, handled once."""

from datetime import datetime

import peewee

from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.models.database import database, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import DueEffect, ReceivedEvent
from sav.operations import hints
from sav.operations.effect_claims import DESK
from sav.operations.event_log import RELAY_GRACE


@retry_deadlocks
def receive_event(*, dedup_key: str, name: str, text: str, request_id: str | None, now: datetime) -> bool:
    """Keeps an event together with what it owes; False when it was received before.

    After it returns, the message may be acknowledged: nothing of it lives in the broker alone any more.
    """
    try:
        with transaction():
            row = ReceivedEvent.create(
                dedup_key=dedup_key, name=name, envelope=text, request_id=request_id, received_at=now
            )
            DueEffect.insert(
                effect=HANDLE_RECEIVED_EVENT,
                ticket_id=DESK,
                sequence=row.id,
                due_at=now + RELAY_GRACE,
                created_at=now,
            ).execute()
            database.after_commit(lambda: hints.give({hints.Hint(HANDLE_RECEIVED_EVENT, DESK)}))
    except peewee.IntegrityError as error:
        if is_duplicate(error):
            return False
        raise
    return True


def received_event(event_id: int) -> ReceivedEvent:
    """A received event by its id."""
    row: ReceivedEvent = ReceivedEvent.get_by_id(event_id)
    return row
