"""Removes what has served its time."""

from datetime import datetime

from sav.models.database import database, is_sqlite, retry_deadlocks, transaction
from sav.models.fields import UtcDateTimeField
from sav.models.tables import DueEffect
from sav.operations.due_effects import lock_effects
from sav.operations.idempotency import LIFETIME

HOUSEKEEPING = "housekeeping"
"""The effect's name, and the job's."""
KEYS_A_BATCH = 1000
"""How many idempotency keys one transaction deletes: few enough to hold up no request."""

_SERVER = "DELETE FROM idempotency_keys WHERE created_at <= %s ORDER BY created_at LIMIT %s"
_SQLITE = (
    "DELETE FROM idempotency_keys WHERE rowid IN "
    "(SELECT rowid FROM idempotency_keys WHERE created_at <= ? ORDER BY created_at LIMIT ?)"
)


def keep_house(*, now: datetime) -> None:
    """Does the housekeeping that is due, in batches; nothing when somebody else is at it or has done it."""
    while _delete_expired_keys(now=now) == KEYS_A_BATCH:
        pass


@retry_deadlocks
def _delete_expired_keys(*, now: datetime) -> int:
    """Deletes one batch and, with the last one, the tokens that asked for it; returns how many keys."""
    with transaction():
        tokens = lock_effects(effect=HOUSEKEEPING, ticket_id=0)
        if not tokens:
            return 0
        cutoff = UtcDateTimeField().db_value(now - LIFETIME)
        statement = _SQLITE if is_sqlite() else _SERVER
        deleted: int = database.execute_sql(statement, (cutoff, KEYS_A_BATCH)).rowcount
        if deleted < KEYS_A_BATCH:
            DueEffect.delete().where(DueEffect.id.in_(tokens)).execute()
        return deleted
