"""Removes what has served its time."""

from datetime import datetime, timedelta

from sav.domain.effects import SWEEP_FILES
from sav.models.database import database, is_sqlite, retry_deadlocks, transaction
from sav.models.fields import UtcDateTimeField
from sav.operations.desk_effects import owe_by_desk
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.idempotency import LIFETIME

MAIL_RETENTION_DAYS = 90.0
SETTLED_STATES = ("sent", "recorded", "suppressed", "failed")
"""The deliveries that are kept no longer than that; what is due is sent, however late."""
ROWS_A_BATCH = 1000
"""How many rows one transaction deletes: few enough to hold up no request."""

_SERVER = "DELETE FROM {table} WHERE {state}{column} <= %s ORDER BY {column} LIMIT %s"
_SQLITE = (
    "DELETE FROM {table} WHERE rowid IN "
    "(SELECT rowid FROM {table} WHERE {state}{column} <= ? ORDER BY {column} LIMIT ?)"
)


def keep_house(
    claim: Claim, *, now: datetime, mails_kept_for: timedelta = timedelta(days=MAIL_RETENTION_DAYS)
) -> None:
    """Deletes expired idempotency keys and counters and old deliveries in batches, and then the token.

    Then it owes the comparison of files and objects, which by itself waits for a store that is away.
    """
    _delete_until("idempotency_keys", "created_at", now - LIFETIME)
    _delete_until("rate_counters", "expires_at", now)
    for state in SETTLED_STATES:
        _delete_until("mail_deliveries", "updated_at", now - mails_kept_for, state=state)
    with transaction():
        if finish_effect(claim):
            owe_by_desk(SWEEP_FILES, due_at=now, now=now)


def _delete_until(table: str, column: str, cutoff: datetime, *, state: str | None = None) -> None:
    while _delete_batch(table, column, cutoff, state) == ROWS_A_BATCH:
        pass


@retry_deadlocks
def _delete_batch(table: str, column: str, cutoff: datetime, state: str | None) -> int:
    template = _SQLITE if is_sqlite() else _SERVER
    statement = template.format(table=table, column=column, state=f"state = '{state}' AND " if state else "")
    with transaction():
        values = (UtcDateTimeField().db_value(cutoff), ROWS_A_BATCH)
        deleted: int = database.execute_sql(statement, values).rowcount
    return deleted
