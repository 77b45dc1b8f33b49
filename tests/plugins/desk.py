"""The service inside the test's own process: its database, emptied before each test, and its HTTP tier."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

import peewee
import pytest
from falcon.testing import Result, TestClient
from playhouse.migrations import Runner

from sav.domain.caller import Caller, Role
from sav.domain.occasion import Occasion
from sav.http.answer_caches import AnswerCaches, CacheBounds
from sav.http.app import create_app
from sav.http.authentication import SharedSecret, TokenVerifier, mint_token
from sav.http.desk import Desk
from sav.http.forms import UploadRoom
from sav.http.rate_limits import PublicDoor, PublicLimits
from sav.http.roster_door import RosterDoor
from sav.models import tables
from sav.models.database import database, drop_connection, ensure_connection, mysql_database, sqlite_database
from sav.models.migrate import MIGRATIONS
from sav.operations import hints
from sav.operations.ticket_numbering import forget_numbers
from sav.storage.disk import DiskStore
from sav.storage.object_store import StorageUnavailable
from tests.plugins.servers import FreshDatabase

SECRET = "a secret of the tests, long enough for HS256"
MAXIMUM_FILE_BYTES = 1024 * 1024
TABLES = (
    tables.MessageReceipt,
    tables.Attachment,
    tables.Message,
    tables.TicketTag,
    tables.DueEffect,
    tables.Event,
    tables.DeskCount,
    tables.WiderCount,
    tables.CountedTicket,
    tables.SightCounter,
    tables.Ticket,
    tables.Agent,
    tables.TicketNumberSequence,
    tables.IdempotencyKey,
    tables.ReceivedEvent,
    tables.OrderIssueTicket,
    tables.ImportedTicket,
    tables.SchedulerTick,
    tables.Contact,
    tables.MailDelivery,
    tables.MailPreference,
    tables.ServiceSecret,
    tables.PrivacyRequest,
    tables.ErasureTicket,
    tables.ExportPerson,
)
COUNTERS = (tables.RateCounter,)
"""Counted even where nothing is written, so no part of what a refused request must leave alone."""


@pytest.fixture(scope="session")
def migrated_database(fresh_database: FreshDatabase) -> Iterator[dict[str, str]]:
    """A database with the schema of today, bound to the models; its settings."""
    settings = fresh_database("desk")
    database.initialize(open_database(settings))
    ensure_connection()
    Runner(database.obj, directory=str(MIGRATIONS)).up()
    yield settings
    drop_connection()


def open_database(settings: dict[str, str]) -> Any:
    if settings["DB_CONNECTION"] == "sqlite":
        return sqlite_database(Path(settings["DB_DATABASE"]))
    return mysql_database(
        host=settings["DB_HOST"],
        port=int(settings["DB_PORT"]),
        name=settings["DB_DATABASE"],
        username=settings["DB_USERNAME"],
        password=settings["DB_PASSWORD"],
    )


def empty_tables(tables: Iterable[type[peewee.Model]] = TABLES) -> None:
    """Also forgets the ticket numbers that this process had taken in advance: they belong to what is gone."""
    with database.atomic():
        for table in tables:
            table.delete().execute()
    forget_numbers()


@pytest.fixture
def empty_database(migrated_database: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same database without rows. Emptied, not rolled back: commits, locks and leases are real."""
    ensure_connection()
    empty_tables((*TABLES, *COUNTERS))
    hints.listen(lambda hint: None)
    yield migrated_database
    hints.listen(lambda hint: None)


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    now: datetime = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class Answers:
    """Storage or broker, as far as probes ask for them; a test may take it away."""

    def __init__(self) -> None:
        self.is_there = True

    def check(self) -> None:
        if not self.is_there:
            raise ConnectionError


class Shelf(Answers, DiskStore):
    """A store on the disk that a test may take away."""

    def __init__(self, directory: Path) -> None:
        Answers.__init__(self)
        DiskStore.__init__(self, directory=directory, public_url="http://files.example")

    def put(self, key: str, file: BinaryIO, *, length: int, mime_type: str) -> None:
        self._require()
        super().put(key, file, length=length, mime_type=mime_type)

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]]:
        self._require()
        return super().open(key)

    def delete(self, key: str) -> None:
        self._require()
        super().delete(key)

    @property
    def keys(self) -> list[str]:
        """What is in it."""
        return sorted(item.key for item in self.list("", older_than=datetime.now(UTC) + timedelta(days=1)))

    def _require(self) -> None:
        if not self.is_there:
            raise StorageUnavailable("taken away by a test")


@dataclass
class Api:
    """The HTTP tier, and who calls it: `api.agent(7).post("/tickets", {...})`."""

    client: TestClient
    desk: Desk
    clock: Clock
    headers: dict[str, str] = field(default_factory=dict)

    def as_caller(self, role: Literal["customer", "agent", "admin"], user_id: int, **claims: Any) -> "Api":
        token = mint_token(
            secret=SECRET,
            user_id=user_id,
            role=role,
            lifetime_seconds=3600,
            now=datetime.now(UTC).timestamp(),
            **claims,
        )
        return Api(self.client, self.desk, self.clock, {"Authorization": f"Bearer {token}"})

    def process(self, **cache_bounds: float) -> "Api":
        """Another process on the same database, which keeps other answers; with `megabytes=0`, none."""
        desk = dataclasses.replace(self.desk, caches=AnswerCaches(CacheBounds(**cache_bounds)))
        return Api(TestClient(create_app(desk)), desk, self.clock, self.headers)

    def customer(self, user_id: int = 1, **claims: Any) -> "Api":
        return self.as_caller("customer", user_id, **claims)

    def agent(self, user_id: int = 7, **claims: Any) -> "Api":
        return self.as_caller("agent", user_id, **claims)

    def admin(self, user_id: int = 99, **claims: Any) -> "Api":
        return self.as_caller("admin", user_id, **claims)

    def call(self, method: str, path: str, body: Any = None, /, **options: Any) -> Result:
        headers = {**self.headers, **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return self.client.simulate_request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Result:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, /, **options: Any) -> Result:
        return self.call("POST", path, body, **options)

    def put(self, path: str, body: Any = None, /, **options: Any) -> Result:
        return self.call("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, /, **options: Any) -> Result:
        return self.call("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Result:
        return self.call("DELETE", path, **options)

    def opened(self, **fields: Any) -> dict[str, Any]:
        """A new ticket of this caller, as it was answered."""
        answer = self.post("/tickets", {"subject": "Lost parcel", "description": "It never came.", **fields})
        assert answer.status_code == 201, answer.text
        ticket: dict[str, Any] = answer.json
        return ticket


UNLIMITED = PublicLimits(
    requests_per_minute=1_000_000,
    requests_per_minute_overall=1_000_000,
    wrong_guesses_per_minute=1_000_000,
    tickets_per_hour=1_000_000,
    files_per_hour=1_000_000,
)
"""As good as none, for tests of anything else."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(empty_database: dict[str, str], clock: Clock, tmp_path: Path) -> Api:
    """The HTTP tier on an empty database, called by nobody yet."""
    desk = Desk(
        service_name="sav-service",
        version="0.0.0",
        verifier=TokenVerifier(SharedSecret(SECRET)),
        roster=RosterDoor(default_capacity=20),
        clock=clock,
        number_prefix="TICKET",
        customer_maximum_priority="urgent",
        agent_default_capacity=20,
        storage=Shelf(tmp_path),
        uploads=UploadRoom(maximum_file_bytes=MAXIMUM_FILE_BYTES),
        arrival="available",
        broker=Answers(),
        public_door=PublicDoor(UNLIMITED),
    )
    return Api(TestClient(create_app(desk)), desk, clock)


def occasion(role: Role = "customer", user_id: int | None = 1, now: datetime | None = None) -> Occasion:
    """The circumstances of a write, for tests that call operations themselves."""
    return Occasion(Caller(user_id, role), now or datetime(2026, 3, 29, 10, 30, tzinfo=UTC), "test-request")


class _Counter(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.statements: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.statements.append(str(record.msg))


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """The statements that reach the database inside the block (without BEGIN and COMMIT)."""
    logger, counter = logging.getLogger("peewee"), _Counter()
    level = logger.level
    logger.addHandler(counter)
    logger.setLevel(logging.DEBUG)
    try:
        yield counter.statements
    finally:
        logger.removeHandler(counter)
        logger.setLevel(level)
