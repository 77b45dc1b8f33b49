"""Effects that the desk owes as a whole: many tokens may ask for the same, and then it is done once."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import peewee

from sav.models.database import database, retry_deadlocks, transaction
from sav.models.prepared import Statement, given
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


def waits_for_somebody(effect: str, *, now: datetime) -> bool:
    """Whether it is owed and nobody is at work on it: they look again before they end, and find it then."""
    is_somebody_at_work, is_waiting = _AT_WORK.run(
        effect=effect, now=DueEffect.due_at.db_value(now)
    ).fetchone()
    return not is_somebody_at_work and bool(is_waiting)


def _at_work() -> Any:
    is_leased = DueEffect.leased_until > given("now")
    is_free = DueEffect.failed_at.is_null() & (DueEffect.leased_until.is_null() | ~is_leased)
    mine = (DueEffect.ticket_id == DESK) & (DueEffect.effect == given("effect"))
    # Not counted: as many tokens as tickets that were just written may wait.
    is_done_now = is_leased & DueEffect.lease_owner.is_null(False)
    leased, free = (DueEffect.select(peewee.SQL("1")).where(mine, kind) for kind in (is_done_now, is_free))
    # Named: a column without a name is called by its text, which would be another one each time.
    is_at_work, is_waiting = (
        peewee.fn.EXISTS(leased).alias("at_work"),
        peewee.fn.EXISTS(free).alias("waiting"),
    )
    return peewee.Select(columns=[is_at_work, is_waiting]).bind(database)


_AT_WORK = Statement(_at_work)


@retry_deadlocks
def finish_desk_effect(claims: Sequence[Claim], *, now: datetime, again_at: datetime | None = None) -> None:
    """Deletes the tokens of what was done; with `again_at` it is owed once more, for what is left."""
    mine = DueEffect.id.in_([claim.token_id for claim in claims])
    done = DueEffect.delete().where(mine, DueEffect.lease_owner == claims[0].owner)
    if again_at is None:
        done.execute()
        return
    with transaction():
        done.execute()
        again = desk_token(claims[0].effect, due_at=again_at, now=now)
        # Looks leased until then, like everything that waits for its time.
        leased_until = again_at if again_at > now else None
        DueEffect.insert(**again, leased_until=leased_until).execute()
