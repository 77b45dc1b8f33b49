"""Effects that the desk owes as a whole: many tokens may ask for the same, and then it is done once."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sav.models.database import database, retry_deadlocks, transaction
from sav.models.tables import DueEffect
from sav.operations import hints
from sav.operations.effect_claims import DESK, Claim

SEQUENCE_BITS = 62
"""So many are random in a token that only says "look again": no two meet, nor one and a slot's number."""


def desk_token(effect: str, *, due_at: datetime, now: datetime) -> dict[str, Any]:
    """The row that owes an effect of the desk; to be inserted in the transaction that is the cause of it."""
    return {
        "effect": effect,
        "ticket_id": DESK,
        "sequence": secrets.randbits(SEQUENCE_BITS),
        "due_at": due_at,
        "created_at": now,
    }


def owe_by_desk(effect: str, *, due_at: datetime, now: datetime) -> None:
    """Owes an effect of the desk, in the caller's transaction."""
    DueEffect.insert(**desk_token(effect, due_at=due_at, now=now)).execute()
    database.after_commit(lambda: hints.give({hints.Hint(effect, DESK)}))


def is_being_done(effect: str, *, now: datetime) -> bool:
    """Whether somebody is at work on it: they look again before they end, and so find what is owed by now."""
    leased = DueEffect.select(DueEffect.id).where(
        DueEffect.ticket_id == DESK,
        DueEffect.effect == effect,
        DueEffect.lease_owner.is_null(False),
        DueEffect.leased_until > now,
    )
    return bool(leased.exists())


@retry_deadlocks
def finish_desk_effect(claims: Sequence[Claim], *, now: datetime, again_at: datetime | None = None) -> None:
    """Deletes the tokens of what was done; with `again_at` it is owed once more, for what is left."""
    with transaction():
        mine = DueEffect.id.in_([claim.token_id for claim in claims])
        DueEffect.delete().where(mine, DueEffect.lease_owner == claims[0].owner).execute()
        if again_at is not None:
            again = desk_token(claims[0].effect, due_at=again_at, now=now)
            # Looks leased until then, like everything that waits for its time.
            leased_until = again_at if again_at > now else None
            DueEffect.insert(**again, leased_until=leased_until).execute()
