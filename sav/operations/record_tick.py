"""Records that a job is due. The clock's part ends here: a worker does the job."""

from datetime import datetime
from typing import Any

import peewee

from sav.models.database import database, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import DueEffect, SchedulerTick
from sav.operations import hints
from sav.operations.desk_effects import owe_by_desk
from sav.operations.effect_claims import DESK


def recorded_slots() -> dict[str, int]:
    """The last slot of each job for which it was made due."""
    return {row.job: row.last_slot for row in SchedulerTick.select()}


@retry_deadlocks
def record_tick(*, job: str, effect: str, slot: int, now: datetime) -> bool:
    """Makes a job's effect due for a slot of time, once, whoever says so and however often.

    Slots only move forward. Returns whether this call did it.
    """
    with transaction():
        advanced = _advance(job, slot, now)
        if advanced:
            _owe(effect, sequence=slot, now=now)
    return advanced


@retry_deadlocks
def order_tick(*, effect: str, now: datetime) -> None:
    """Makes a job's effect due now, at somebody's wish, whatever its slot."""
    with transaction():
        # Random, so that any number of orders stands beside those of the clock.
        owe_by_desk(effect, due_at=now, now=now)


def _advance(job: str, slot: int, now: datetime) -> bool:
    fresh: dict[str, Any] = {"last_slot": slot, "recorded_at": now}
    later = (
        SchedulerTick.update(**fresh)
        .where(SchedulerTick.job == job, SchedulerTick.last_slot < slot)
        .execute()
    )
    return later == 1 or _insert_first(job, fresh)


def _insert_first(job: str, fresh: dict[str, Any]) -> bool:
    if SchedulerTick.select().where(SchedulerTick.job == job).exists():
        return False
    try:
        SchedulerTick.insert(job=job, **fresh).execute()
    except peewee.IntegrityError as error:
        if is_duplicate(error):
            return False
        raise
    return True


def _owe(effect: str, *, sequence: int, now: datetime) -> None:
    DueEffect.insert(effect=effect, ticket_id=DESK, sequence=sequence, due_at=now, created_at=now).execute()
    database.after_commit(lambda: hints.give({hints.Hint(effect, DESK)}))
