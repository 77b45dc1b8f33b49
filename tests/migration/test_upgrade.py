"""From one release to the next: yesterday's database under today's code, and today's under yesterday's.

`releases/` holds a small desk as the code of that month wrote it, one file for each kind of database: what it
dumped, statement by statement, with a blank line between them.
"""

import logging
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import falcon
import pytest
from falcon.testing import TestClient

from sav.bootstrap import http_application
from sav.http.authentication import mint_token
from sav.models import migrate
from sav.models.database import connection, database, is_sqlite
from sav.models.tables import DueEffect, Event, Ticket
from sav.operations.count_tickets import count_for_a_while
from sav.settings import Settings
from tests.migration.conftest import schema

RELEASES = Path(__file__).parent / "releases"
RELEASE = "2026-11"
LAST_MIGRATION = "0011_mails"
SECRET = "a secret of the tests, long enough for HS256"

# No release has named these in a statement, and newer ones serve their lists.
SPARE_INDEXES = {"assignee_status", "status_priority"}

# From before the rule and before the first release: no table with rows has ever been given it.
FULL_TEXT_INDEX = "ALTER TABLE support_tickets ADD FULLTEXT KEY search (subject, description)"


def statements() -> list[str]:
    kind = "sqlite" if is_sqlite() else _server()
    return (RELEASES / f"{RELEASE}_{kind}.sql").read_text().rstrip("\n").split("\n\n")


def _server() -> str:
    (version,) = database.execute_sql("SELECT VERSION()").fetchone()
    return "mariadb" if "MariaDB" in version else "mysql"


def execute(lines: list[str]) -> None:
    """As they stand: to the models' own way a per cent sign is a parameter."""
    cursor = database.connection().cursor()
    for line in lines:
        cursor.execute(line)
    database.connection().commit()


@pytest.fixture
def last_release(empty: dict[str, str]) -> Iterator[dict[str, str]]:
    with connection():
        execute(statements())
        yield empty


class Desk:
    """The HTTP tier of today on that database."""

    def __init__(self, settings: dict[str, str], directory: Path) -> None:
        values: dict[str, Any] = {**settings, "JWT_SECRET": SECRET, "SAV_STORAGE": "disk", "APP_ENV": "test"}
        app: falcon.App[Any, Any] = http_application(Settings(**values, SAV_DATA_DIR=directory))
        self._client = TestClient(app)

    def __call__(self, role: Any, user_id: int, method: str, path: str, body: Any = None) -> Any:
        token = mint_token(
            secret=SECRET,
            user_id=user_id,
            role=role,
            email=f"{role}@example.com",
            name=role,
            lifetime_seconds=60,
            now=time.time(),
            issuer=None,
            audience=None,
        )
        answer = self._client.simulate_request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code < 300, answer.text
        return answer.json

    def status(self, path: str) -> int:
        return int(self._client.simulate_get(path).status_code)


def test_its_tables_become_those_of_a_new_database(empty: dict[str, str]) -> None:
    migrate.migrate()
    with connection():
        today = schema()
        _drop_everything()
        execute(statements())
    every = sorted(file.stem for file in migrate.MIGRATIONS.glob("[0-9]*.py"))
    assert migrate.migrate() == [name for name in every if name > LAST_MIGRATION]
    with connection():
        assert schema() == today


def test_the_service_works_on_it(last_release: dict[str, str], tmp_path: Path) -> None:
    before = {ticket.id: ticket.status for ticket in Ticket.select(Ticket.id, Ticket.status)}
    owed = DueEffect.select().count()
    assert len(before) == 5
    assert owed > 0
    database.close()
    migrate.migrate()
    database.connect()
    desk = Desk(last_release, tmp_path)

    ticket = desk("customer", 2, "GET", "/tickets/2")
    assert [message["content"] for message in ticket["messages"]] == ["Nous cherchons.", "Merci."]
    assert {row["id"] for row in desk("customer", 1, "GET", "/tickets")["data"]} == {1, 4}
    found = desk("admin", 99, "GET", "/tickets?q=egare")["data"]
    assert {row["id"] for row in found} == {1, 2, 3, 4}
    guests = Ticket.get(Ticket.user_id.is_null())
    assert desk.status(f"/public/tickets/{guests.ticket_number}") == 200

    # What it had not done is still owed, and what happens now goes on behind what happened then.
    assert DueEffect.select().count() == owed
    desk("agent", 7, "POST", "/tickets/2/messages", {"content": "Retrouvé !"})
    desk("agent", 7, "POST", "/tickets/2/resolve", {"resolution": "Retrouvé"})
    log = Event.select(Event.sequence).where(Event.ticket_id == 2).order_by(Event.sequence)
    assert [event.sequence for event in log] == list(range(1, 9))
    new = desk("customer", 3, "POST", "/tickets", {"subject": "Après", "description": "La suite."})
    assert new["id"] == 6

    # All of it counts, whether it was counted already or not.
    for _ in range(2):
        numbers = desk("admin", 99, "GET", "/tickets/statistics")
        assert numbers["total"] == 6
        assert numbers["by_status"]["resolved"] == 2
        assert numbers["satisfaction"]["mean"] == 4
        assert count_for_a_while()


def test_what_its_code_writes_today_s_tables_take(empty: dict[str, str]) -> None:
    """During an upgrade yesterday's code runs on today's tables."""
    migrate.migrate()
    with connection():
        writes = [
            line
            for line in statements()
            if line.startswith(("INSERT INTO", "SET FOREIGN")) and "schema_migration" not in line
        ]
        execute([line for line in writes if not line.startswith("INSERT INTO ticket_search")])
        assert Ticket.select().count() == 5
        # What it knows nothing of is right by itself: it is counted when it was not.
        assert Ticket.select().where(Ticket.uncounted).count() == 5
        now = datetime.now(UTC)
        assert Ticket.update(status="closed", closed_at=now).where(Ticket.id == 1).execute() == 1


def test_every_migration_leaves_the_running_code_alone(
    empty: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Expand first, contract a release later: `docs/adr/0011-expand-then-contract.md`."""
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        migrate.migrate()
    created: set[str] = set()
    wrong = []
    for statement in _without_replaced_indexes(_changes(caplog)):
        if found := re.match(r"CREATE (?:VIRTUAL )?TABLE IF NOT EXISTS (\w+)", statement):
            created.add(found[1])
        if statement == FULL_TEXT_INDEX:
            continue
        if problem := harm(statement, created_before=created if _is_new(statement, created) else set()):
            wrong.append((problem, statement))
    assert created
    assert wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE agents",
        "ALTER TABLE agents DROP COLUMN name",
        "ALTER TABLE agents RENAME COLUMN name TO title",
        "ALTER TABLE agents RENAME TO staff",
        "ALTER TABLE agents ADD COLUMN team VARCHAR(20) NOT NULL",
        "ALTER TABLE agents MODIFY name VARCHAR(20) NULL",
        "ALTER TABLE agents ADD CONSTRAINT few CHECK (capacity < 10)",
        "CREATE UNIQUE INDEX email ON agents (email)",
        "DROP INDEX name ON agents",
        "ALTER TABLE agents DROP KEY name, ADD KEY title (title)",
        "UPDATE agents SET name = NULL",
        FULL_TEXT_INDEX,
        "CREATE FULLTEXT INDEX names ON agents (name)",
        "ALTER TABLE agents ADD COLUMN team VARCHAR(20) NULL, ADD FULLTEXT KEY teams (team)",
    ],
)
def test_what_would_break_running_code_is_noticed(statement: str) -> None:
    assert harm(statement, created_before=set())


def harm(statement: str, *, created_before: set[str]) -> str | None:
    """Why code that knows nothing of this change could fail because of it; None when it cannot."""
    if re.match(r"CREATE (VIRTUAL )?TABLE|CREATE TRIGGER|CREATE INDEX|SET SESSION", statement):
        return None
    if found := re.match(r"CREATE UNIQUE INDEX (?:IF NOT EXISTS )?\w+ ON (\w+)", statement):
        return None if found[1] in created_before else "its writes may be refused"
    if found := re.match(r"DROP INDEX (\w+)", statement):
        name = found[1].removeprefix("support_tickets_")
        return None if name in SPARE_INDEXES else "its statements may name the index"
    if "FULLTEXT" in statement:
        return "its writes wait while the server builds the index"
    if re.match(r"ALTER TABLE \w+ DROP KEY", statement):
        gone = set(re.findall(r"DROP KEY (\w+)", statement)) - set(re.findall(r"ADD KEY (\w+)", statement))
        return "its statements may name the index" if gone or "COLUMN" in statement else None
    if found := re.match(r"ALTER TABLE \w+ ADD COLUMN (.+)", statement):
        is_optional = "NOT NULL" not in found[1] or "DEFAULT" in found[1]
        return None if is_optional else "it does not write this column"
    return "nobody has said that this does no harm"


def _changes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the migrations changed, without what the runner reads, and writes of itself."""
    # Peewee's messages are pairs: a statement, and its parameters.
    pairs: list[Any] = [record.msg for record in caplog.records if record.name == "peewee"]
    reads = r"SELECT|PRAGMA|SHOW|BEGIN|COMMIT"
    texts = [text.strip() for text, _ in pairs if "schema_migration" not in text]
    return [text for text in texts if not re.match(reads, text)]


def _without_replaced_indexes(changes: list[str]) -> list[str]:
    """SQLite has no statement that replaces an index: two in a row stand for it, and keep the name."""
    names = [re.match(r"(?:DROP|CREATE) INDEX (?:IF (?:NOT )?EXISTS )?(\w+)", change) for change in changes]
    replaced: set[int] = set()
    for place, (one, other) in enumerate(pairwise(names)):
        if one and other and one[1] == other[1] and one[0].startswith("DROP"):
            replaced |= {place, place + 1}
    return [change for place, change in enumerate(changes) if place not in replaced]


def _is_new(statement: str, created: set[str]) -> bool:
    return statement.startswith("CREATE UNIQUE INDEX") and bool(created)


def _drop_everything() -> None:
    if is_sqlite():
        execute(["PRAGMA foreign_keys = OFF", "DROP TABLE ticket_search"])
    else:
        execute(["SET FOREIGN_KEY_CHECKS = 0"])
    execute([f"DROP TABLE {table}" for table in database.get_tables() if not table.startswith("sqlite_")])
