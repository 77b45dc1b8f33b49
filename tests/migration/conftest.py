"""Databases without a table, on the server and on SQLite."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sav.bootstrap import initialise_database
from sav.models.database import database
from sav.settings import Settings
from tests.plugins.servers import FreshDatabase
from tests.servers.belongings import prefix
from tests.system.fleet import own_account

MIGRATION_TIMEOUT_SECONDS = 120


@pytest.fixture(params=["server", "sqlite"])
def empty(
    request: pytest.FixtureRequest, tmp_path: Path, run_id: str, worker: str
) -> Iterator[dict[str, str]]:
    """The `DB_*` settings of a database without any table; `sav.models` uses it until the test ends."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            environment = {"DB_CONNECTION": "sqlite", "DB_DATABASE": str(tmp_path / "migration.sqlite3")}
        else:
            fresh_database: FreshDatabase = request.getfixturevalue("fresh_database")
            server = fresh_database("migration")
            assert server["DB_CONNECTION"] == "mysql", (
                "these tests choose their databases: no --database here"
            )
            account = own_account(server, name=f"{prefix(run_id)}{worker}_m")
            environment = stack.enter_context(account)
        stack.callback(database.initialize, database.obj)
        settings = Settings(**environment)  # type: ignore[arg-type]
        initialise_database(settings, statement_timeout_seconds=MIGRATION_TIMEOUT_SECONDS)
        yield environment


def schema() -> dict[str, object]:
    """Every table with its columns and indexes; needs a connection."""
    return {
        table: (
            sorted((column.name, column.data_type, column.null) for column in database.get_columns(table)),
            sorted((index.name, tuple(index.columns), index.unique) for index in database.get_indexes(table)),
        )
        for table in database.get_tables()
        if table != "schema_migration"
    }
