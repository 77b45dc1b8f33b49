"""Removes what has served its time."""

from datetime import datetime

from sav.models.database import database, is_sqlite, retry_deadlocks, transaction
from sav.models.fields import UtcDateTimeField
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.idempotency import LIFETIME

KEYS_A_BATCH = 1000
"""How many idempotency keys one transaction deletes: few enough to hold up no request."""

_SERVER = "DELETE FROM idempotency_keys WHERE created_at <= %s ORDER BY created_at LIMIT %s"
_SQLITE = (
    "DELETE FROM idempotency_keys WHERE rowid IN "
    "(SELECT rowid FROM idempotency_keys WHERE created_at <= ? ORDER BY created_at LIMIT ?)"
)


def keep_house(claim: Claim, *, now: datetime) -> None:
    """Deletes expired idempotency keys in batches, and the token with the last of them."""
    while not _delete_expired_keys(claim, now=now):
        pass


@retry_deadlocks
def _delete_expired_keys(claim: Claim, *, now: datetime) -> bool:
    """Deletes one batch; returns whether it was the last."""
    cutoff = UtcDateTimeField().db_value(now - LIFETIME)
    with transaction():
        statement = _SQLITE if is_sqlite() else _SERVER
        deleted: int = database.execute_sql(statement, (cutoff, KEYS_A_BATCH)).rowcount
        is_last = deleted < KEYS_A_BATCH
        if is_last:
            finish_effect(claim)
    return is_last
