"""Counts what strangers do, in the database, so that all processes count together.

Each count is a statement of its own that commits at once: it stands whatever becomes of the request, and
its row is locked for no longer.
"""

import hashlib
from datetime import datetime

from sav.domain.rate_limits import RateLimit, Standing, standing_of
from sav.models.database import database, is_sqlite, retry_deadlocks, transaction
from sav.models.fields import UtcDateTimeField
from sav.models.tables import RateCounter

# The server returns what LAST_INSERT_ID(…) was given with the statement's own answer.
_SERVER = (
    "INSERT INTO rate_counters (key_hash, hits, expires_at) VALUES (%s, LAST_INSERT_ID(1), %s) "
    "ON DUPLICATE KEY UPDATE hits = LAST_INSERT_ID(hits + 1)"
)
_SQLITE = (
    "INSERT INTO rate_counters (key_hash, hits, expires_at) VALUES (?, 1, ?) "
    "ON CONFLICT (key_hash) DO UPDATE SET hits = hits + 1 RETURNING hits"
)


@retry_deadlocks
def count_hit(limit: RateLimit, *, subject: str, now: datetime) -> Standing:
    """Counts one hit of `subject`, the refused ones too, and says where they stand now."""
    values = (_key_hash(limit, subject, now), UtcDateTimeField().db_value(limit.ends_at(now)))
    if is_sqlite():
        with transaction():
            (hits,) = database.execute_sql(_SQLITE, values).fetchone()
    else:
        hits = database.execute_sql(_SERVER, values).lastrowid
    return standing_of(limit, hits=int(hits), now=now)


def look_up(limit: RateLimit, *, subject: str, now: datetime) -> Standing:
    """Where `subject` stands, without counting."""
    query = RateCounter.select(RateCounter.hits).where(RateCounter.key_hash == _key_hash(limit, subject, now))
    return standing_of(limit, hits=query.scalar() or 0, now=now)


def _key_hash(limit: RateLimit, subject: str, now: datetime) -> str:
    # A row for each window, not one that is set back: the clocks of two processes are never quite the same.
    return hashlib.sha256(f"{limit.name}\n{limit.window(now)}\n{subject}".encode()).hexdigest()
