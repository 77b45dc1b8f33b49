"""What comes before a process's work: the database, its tables, and the place for files."""

import time

import structlog

from sav.bootstrap import initialise_database, object_store
from sav.launch.cannot_start import CannotStart
from sav.models import migrate
from sav.models.database import DatabaseUnavailable, connection
from sav.operations.place_for_files import ensure_place_for_files
from sav.settings import Settings

DATABASE_WAIT_SECONDS = 60
"""A database server that was started at the same time as we needs about half of it."""
DATABASE_RETRY_SECONDS = 1
MIGRATIONS_RETRY_SECONDS = 2

log = structlog.get_logger(__name__)


def prepare_database(settings: Settings) -> None:
    """Returns once the database answers and, unless `SAV_MIGRATE_AT_START` forbids it, has its tables.

    Any number of processes may do it at the same moment. Raises `CannotStart`.
    """
    wait_for_database(settings)
    if settings.SAV_MIGRATE_AT_START:
        apply_migrations(settings)
    elif names := pending_migrations(settings):
        log.warning("the database waits for `sav migrate`", action="migrate", pending=names)


def prepare_storage(settings: Settings) -> None:
    """Makes the bucket of a desk without files; what is in the way is said, and asked again by `/ready`."""
    try:
        with connection():
            ensure_place_for_files(object_store(settings))
    except Exception as error:  # whatever it is, a table that is not there yet, too: it may come
        log.warning("files cannot be stored yet", action="start", reason=str(error) or type(error).__name__)


def wait_for_database(settings: Settings, *, patience_seconds: float = DATABASE_WAIT_SECONDS) -> None:
    """Returns once the database answers; raises `CannotStart` after `patience_seconds`."""
    initialise_database(settings)
    give_up_at = time.monotonic() + patience_seconds
    while problem := _database_problem():
        if time.monotonic() >= give_up_at:
            raise CannotStart(_no_database(settings, problem))
        log.warning(
            "waiting for the database", action="start", reason=problem, retry_seconds=DATABASE_RETRY_SECONDS
        )
        time.sleep(DATABASE_RETRY_SECONDS)


def apply_migrations(settings: Settings) -> list[str]:
    """Brings the tables up to date; returns the names of the migrations that were applied here."""
    initialise_database(settings, statement_timeout_seconds=migrate.STATEMENT_TIMEOUT_SECONDS)
    try:
        applied = migrate.migrate()
    except migrate.MigrationLockTimeout:
        raise CannotStart(
            f"Another process has been migrating the database for over {migrate.LOCK_TIMEOUT_SECONDS} "
            "seconds. Look at its log, or wait and start again."
        ) from None
    except DatabaseUnavailable as error:
        raise CannotStart(_no_database(settings, str(error.__cause__ or error))) from None
    finally:
        # The long timeout was for changing tables alone.
        initialise_database(settings)
    if applied:
        log.info("the database was brought up to date", action="migrate", applied=applied)
    return applied


def pending_migrations(settings: Settings) -> list[str]:
    """The names of the migrations that `sav migrate` would apply now."""
    initialise_database(settings)
    with connection():
        return migrate.pending()


def wait_for_migrations(settings: Settings) -> None:
    """Returns once nothing is pending, however long another process takes to apply it."""
    while names := pending_migrations(settings):
        log.info("waiting for migrations", action="migrate", pending=names)
        time.sleep(MIGRATIONS_RETRY_SECONDS)


def _database_problem() -> str | None:
    try:
        with connection():
            return None
    except DatabaseUnavailable as error:
        return str(error.__cause__ or error)


def _no_database(settings: Settings, problem: str) -> str:
    if settings.DB_CONNECTION == "sqlite":
        return f"The database file {settings.sqlite_path} cannot be opened: {problem}"
    return (
        f"The database {settings.DB_DATABASE} on {settings.DB_HOST}:{settings.DB_PORT} does not answer: "
        f"{problem}\n"
        "Start it, or correct DB_HOST, DB_PORT, DB_DATABASE, DB_USERNAME and DB_PASSWORD, then start again. "
        "Commands for a service that was started by `sav up` take --embedded."
    )
