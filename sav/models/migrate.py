"""Brings the schema up to date, once, however many replicas start at the same moment."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playhouse.migrations import Runner

from sav.models.database import connection, database, is_sqlite

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT_SECONDS = 1800
"""How long a replica waits for another one that is migrating."""
STATEMENT_TIMEOUT_SECONDS = 3600
"""How long one change of a table may take: a full-text index on a million rows takes minutes."""


class MigrationLockTimeout(Exception):
    """Another replica has been migrating for longer than this one is willing to wait."""


def migrate() -> list[str]:
    """Applies what is pending, in order; returns the names that were applied here."""
    with connection(), _only_one():
        applied: list[str] = Runner(database.obj, directory=str(MIGRATIONS)).up()
        return applied


def pending() -> list[str]:
    """The names of migrations that are not applied yet; needs a connection."""
    return [m.name for m in Runner(database.obj, directory=str(MIGRATIONS)).status() if not m.applied]


@contextmanager
def _only_one() -> Iterator[None]:
    if is_sqlite():
        with open(f"{database.obj.database}.migrating", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    # A server's lock name holds 64 characters, and is shared by all of its databases.
    name = f"sav_migrate:{database.obj.database}"[:64]
    (granted,) = database.execute_sql("SELECT GET_LOCK(%s, %s)", (name, LOCK_TIMEOUT_SECONDS)).fetchone()
    if granted != 1:
        raise MigrationLockTimeout
    try:
        yield
    finally:
        database.execute_sql("SELECT RELEASE_LOCK(%s)", (name,))
