"""Records that a job is due. The clock's part ends here: a worker does the job."""

from datetime import datetime
from typing import Any

import peewee

from sav.models.database import database, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import DueEffect, SchedulerTick
from sav.operations import hints


@retry_deadlocks
def record_tick(*, job: str, slot: int, now: datetime) -> bool:
    """Makes a job due for a slot of time, once, whoever says so and however often; slots only move forward.

    Returns whether this call did it.
    """
    with transaction():
        advanced = _advance(job, slot, now)
        if advanced:
            _owe(job, sequence=slot, now=now)
    return advanced


@retry_deadlocks
def order_tick(*, job: str, now: datetime) -> None:
    """Makes a job due now, at somebody's wish, whatever its slot."""
    with transaction():
        # Microseconds, which no slot's number ever reaches: the order stands beside those of the clock.
        _owe(job, sequence=int(now.timestamp() * 1_000_000), now=now)


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


def _owe(job: str, *, sequence: int, now: datetime) -> None:
    DueEffect.insert(effect=job, ticket_id=0, sequence=sequence, due_at=now, created_at=now).execute()
    database.after_commit(lambda: hints.give({hints.Hint(job, 0)}))
