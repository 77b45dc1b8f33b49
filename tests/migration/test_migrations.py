"""The migrations on the server database and on SQLite: from nothing, again, and by several at once."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import peewee
import pytest

from sav.models import migrate
from sav.models.database import connection, database
from sav.models.tables import Ticket
from tests.migration.conftest import MIGRATION_TIMEOUT_SECONDS, schema

PROGRAMS = Path(sys.executable).parent
AT_THE_SAME_MOMENT = 3

EVERY_MIGRATION = sorted(file.stem for file in migrate.MIGRATIONS.glob("[0-9]*.py"))

# The columns that the specification names, and the first column of an index that it asks for.
SPECIFIED_COLUMNS = {
    "support_tickets": "id ticket_number user_id assigned_to subject description status priority category "
    "source contact_email contact_name first_response_at resolved_at closed_at resolution_notes "
    "internal_notes satisfaction_rating satisfaction_comment tags metadata created_at updated_at deleted_at",
    "ticket_messages": "id ticket_id user_id author_name author_email content is_internal is_read read_at "
    "created_at updated_at",
    # file_url is made when it is asked for, and never stored.
    "ticket_attachments": "id ticket_id message_id user_id file_name file_path file_type file_size mime_type "
    "created_at updated_at",
}
INDEXED = ("ticket_number", "user_id", "assigned_to", "status", "priority")


def test_a_fresh_database_gets_everything_in_order(empty: dict[str, str]) -> None:
    assert EVERY_MIGRATION[0] == "0001_support_tickets"
    assert migrate.migrate() == EVERY_MIGRATION
    with connection():
        assert migrate.pending() == []


def test_a_second_time_changes_nothing(empty: dict[str, str]) -> None:
    migrate.migrate()
    with connection():
        before = schema()
    assert migrate.migrate() == []
    with connection():
        assert schema() == before


def test_nothing_is_applied_before_it_is_asked_for(empty: dict[str, str]) -> None:
    with connection():
        assert migrate.pending() == EVERY_MIGRATION
        assert database.get_tables() == []


def test_a_run_that_was_broken_off_is_finished_by_the_next(empty: dict[str, str]) -> None:
    migrate.migrate()
    with connection():
        before = schema()
        # As after a crash between the last statement of a migration and the record of it.
        database.execute_sql("DELETE FROM schema_migration")
    assert migrate.migrate() == EVERY_MIGRATION
    with connection():
        assert schema() == before


def test_several_processes_at_the_same_moment(empty: dict[str, str]) -> None:
    runs = [
        subprocess.Popen(
            [PROGRAMS / "sav", "migrate"],
            env={"PATH": str(PROGRAMS), **empty},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_THE_SAME_MOMENT)
    ]
    outputs = [run.communicate(timeout=MIGRATION_TIMEOUT_SECONDS) for run in runs]
    assert [run.returncode for run in runs] == [0] * AT_THE_SAME_MOMENT, outputs
    applied = [line for output, _ in outputs for line in output.splitlines() if line.startswith("applied: ")]
    assert applied == [f"applied: {name}" for name in EVERY_MIGRATION]
    with connection():
        assert migrate.pending() == []


def test_who_waits_changes_nothing_and_ends_when_it_is_done(empty: dict[str, str]) -> None:
    waiting = subprocess.Popen(
        [PROGRAMS / "sav", "migrate", "--wait"],
        env={"PATH": str(PROGRAMS), **empty},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert waiting.stdout is not None
    with waiting:
        seen = next(line for line in waiting.stdout if "waiting for migrations" in line)
        assert EVERY_MIGRATION[-1] in seen
        assert migrate.migrate() == EVERY_MIGRATION
        output, _ = waiting.communicate(timeout=MIGRATION_TIMEOUT_SECONDS)
    assert (waiting.returncode, "Nothing is pending." in output) == (0, True), output


@pytest.mark.parametrize("table", SPECIFIED_COLUMNS)
def test_the_columns_of_the_specification_are_there(empty: dict[str, str], table: str) -> None:
    migrate.migrate()
    with connection():
        columns = {column.name for column in database.get_columns(table)}
    assert set(SPECIFIED_COLUMNS[table].split()) <= columns


def test_the_indexes_of_the_specification_are_there(empty: dict[str, str]) -> None:
    migrate.migrate()
    with connection():
        indexes = database.get_indexes("support_tickets")
    assert set(INDEXED) <= {index.columns[0] for index in indexes if index.columns}
    assert ["ticket_number"] in [index.columns for index in indexes if index.unique]
    assert [index for index in indexes if len(index.columns) > 1], "composite indexes for the filters"


def test_subject_and_description_can_be_searched(empty: dict[str, str]) -> None:
    migrate.migrate()
    with connection():
        if isinstance(database.obj, peewee.SqliteDatabase):
            found = database.execute_sql(
                "SELECT count(*) FROM ticket_search WHERE ticket_search MATCH 'parcel'"
            )
        else:
            found = database.execute_sql(
                "SELECT count(*) FROM support_tickets WHERE MATCH (subject, description) AGAINST ('parcel')"
            )
        assert found.fetchone() == (0,)


@pytest.mark.parametrize("column", ["status", "priority", "source"])
def test_the_database_itself_refuses_unknown_words(empty: dict[str, str], column: str) -> None:
    migrate.migrate()
    words = {"status": "open", "priority": "normal", "source": "web", column: "unheard_of"}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ticket = Ticket.insert(
        ticket_number="T-1",
        subject="s",
        description="d",
        tags=[],
        metadata={},
        created_at=now,
        updated_at=now,
        **words,
    )
    with connection(), pytest.raises((peewee.IntegrityError, peewee.OperationalError)) as caught:
        ticket.execute()
    assert f"ticket_{column}" in str(caught.value)
