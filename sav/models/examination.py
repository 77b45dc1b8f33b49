"""What is there on the database server, and whether it is as the service needs it; leaves nothing behind."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sav.models.database import (
    DATABASE_ERRORS,
    DatabaseUnavailable,
    database,
    ensure_connection,
    error_number,
    is_sqlite,
    transaction,
)
from sav.models.tables import SchedulerTick

UNKNOWN_DATABASE = 1049
ACCESS_DENIED = (1044, 1045, 1698)
NO_CONNECTION = (2002, 2003, 2005)
ROW = "sav-doctor"


class _Enough(Exception):
    """Ends a transaction that was only a try."""


class DatabaseTrouble(Exception):
    """The database cannot be used; `advice` says what to do about it."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says it is. `clock_offset` is how far its clock is ahead of ours."""

    version: str
    is_recent_enough: bool
    charset: str
    clock_offset: timedelta


def connect_or_explain() -> None:
    """Gives this thread a connection; raises `DatabaseTrouble`."""
    try:
        ensure_connection()
    except DatabaseUnavailable as error:
        raise DatabaseTrouble(*_words(error.__cause__ or error)) from error


def examine_server() -> Server:
    """Reads the version, the charset and the clock; needs a connection."""
    if is_sqlite():
        (version,) = database.execute_sql("SELECT sqlite_version()").fetchone()
        return Server(f"SQLite {version}", True, "utf8mb4", timedelta(0))
    before = datetime.now(UTC)
    version, charset, clock = database.execute_sql(
        "SELECT VERSION(), @@character_set_database, UTC_TIMESTAMP(6)"
    ).fetchone()
    # The answer was made at some time between question and now.
    here = before + (datetime.now(UTC) - before) / 2
    name = "" if "MariaDB" in version else "MySQL "
    return Server(name + version, _is_recent_enough(version), charset, clock.replace(tzinfo=UTC) - here)


def other_charset_tables() -> list[str]:
    """The service's tables that cannot hold every character."""
    if is_sqlite():
        return []
    rows = database.execute_sql(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_collation NOT LIKE 'utf8mb4%%'"
    ).fetchall()
    return sorted(name for (name,) in rows)


def try_writing() -> str | None:
    """Inserts, locks, changes and deletes a row in a transaction that is rolled back; says what failed."""
    try:
        with transaction():
            SchedulerTick.insert(job=ROW, last_slot=0, recorded_at=datetime.now(UTC)).execute()
            SchedulerTick.update(last_slot=1).where(SchedulerTick.job == ROW).execute()
            SchedulerTick.delete().where(SchedulerTick.job == ROW).execute()
            raise _Enough
    except _Enough:
        return None
    except DATABASE_ERRORS as error:
        return _reason(error)


def try_changing_tables() -> str | None:
    """Makes, changes and drops a table of its own, as migrations do; says what failed."""
    table = f"sav_doctor_{secrets.token_hex(4)}"
    try:
        database.execute_sql(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        try:
            database.execute_sql(f"ALTER TABLE {table} ADD COLUMN word VARCHAR(10)")
            database.execute_sql(f"CREATE INDEX {table}_word ON {table} (word)")
        finally:
            database.execute_sql(f"DROP TABLE {table}")
    except DATABASE_ERRORS as error:
        return _reason(error)
    return None


def newest_fact() -> str | None:
    """The id of the newest event in the log, which no other desk has; None when there is none."""
    row = database.execute_sql("SELECT event_id FROM ticket_events ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def knows_fact(event_id: str) -> bool:
    """Whether this event is in the log."""
    found = database.execute_sql("SELECT 1 FROM ticket_events WHERE event_id = %s", (event_id,)).fetchone()
    return found is not None


def may_commit_out_of_order() -> bool:
    """Whether this replica, MySQL's, may show a transaction before one that came earlier."""
    (version,) = database.execute_sql("SELECT VERSION()").fetchone()
    if "MariaDB" in version:
        return False
    rows = database.execute_sql(
        "SHOW GLOBAL VARIABLES WHERE variable_name IN ('replica_preserve_commit_order', "
        "'slave_preserve_commit_order', 'replica_parallel_workers', 'slave_parallel_workers')"
    ).fetchall()
    values = {name.partition("_")[2]: value for name, value in rows}
    return values.get("preserve_commit_order") == "OFF" and int(values.get("parallel_workers", 0)) > 1


def _is_recent_enough(version: str) -> bool:
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    return numbers >= ((10, 6) if "MariaDB" in version else (8, 0))


def _words(error: BaseException) -> tuple[str, str]:
    number = error_number(error)
    if number in NO_CONNECTION:
        return "it does not answer", "Start it, or correct DB_HOST and DB_PORT."
    if number == UNKNOWN_DATABASE:
        return "there is no such database", "Create it (CHARACTER SET utf8mb4), or correct DB_DATABASE."
    if number in ACCESS_DENIED:
        return "the login is refused", "Correct DB_USERNAME and DB_PASSWORD, or grant access to DB_DATABASE."
    return f"it cannot be used ({_reason(error)})", "See the server's log."


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__} {error_number(error) or ''}".strip()
