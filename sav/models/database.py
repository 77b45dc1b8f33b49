"""The database: MySQL, MariaDB or SQLite behind one connection scope and one kind of transaction.

Every thread owns one connection, opened when it is first needed and checked before each piece of work that
begins after a pause, so that a restarted server is found without a restart of ours and nothing is ever
shared over a fork. Under load there are no pauses: then the first statement itself finds out, and is sent
again over a new connection where that can change nothing.
"""

from __future__ import annotations

import functools
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import peewee
from pymysql.constants import ER

from sav.models.result_rows import CONVERSIONS
from sav.models.wire import LAST_WORDS, Wire
from sav.telemetry import tracing

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=peewee.Model)

CONNECT_TIMEOUT_SECONDS = 2
HANDSHAKE_TIMEOUT_SECONDS = 2
"""How long the server may take to greet a new connection, or to say that an old one still works."""
STATEMENT_TIMEOUT_SECONDS = 15
"""How long one statement may take before the connection is given up."""
PROVEN_SECONDS = 1.0
"""A connection that was used within this time is taken to work: asking it each time would double the round
trips of a read, and a server that vanishes can do so just after it was asked, too."""
LOCK_WAIT_TIMEOUT_SECONDS = 5
"""How long a write waits for another write to the same row; on SQLite, for any other write."""
DEADLOCK_TRIES = 4

# MariaDB and MySQL ship different defaults; the same one on both makes the same input an error on both.
_SQL_MODE = (
    "STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
_SESSION = (
    f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_TIMEOUT_SECONDS}",
    # Without it a range read for update locks the gaps too, and a relay's claim stops every insert.
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
_SESSION_ON_MYSQL = (
    # With it the planner reads a whole index and sorts it, where the first rows of it are what was asked for.
    "SET SESSION optimizer_switch = 'skip_scan=off'",
)


class _Place(threading.local):
    """Where this thread reads: at a replica, or, as everybody does who says nothing, at the database."""

    replica: peewee.Database | None = None


_place = _Place()
_database_of_all: Any = vars(peewee.DatabaseProxy)["obj"]


class _Database(peewee.DatabaseProxy):
    """What `initialize` was given; inside `reading_at`, and for the one thread that is there, the replica."""

    @property
    def obj(self) -> Any:
        return _database_of_all.__get__(self) if _place.replica is None else _place.replica

    @obj.setter
    def obj(self, value: Any) -> None:
        _database_of_all.__set__(self, value)


database = _Database()

DATABASE_ERRORS = (peewee.DatabaseError, peewee.InterfaceError)
"""What a statement may raise: its own fault, or the connection's (see `is_connection_lost`)."""


class DatabaseUnavailable(Exception):
    """The database could not be reached, or went away in the middle of a statement."""


class NestedTransaction(Exception):
    """Each operation owns its transaction: one that is opened inside another is a mistake in the code."""


class NoTransaction(Exception):
    """What belongs into a transaction's end was asked for outside of any."""


class ReplicaIsReadOnly(Exception):
    """A transaction was begun inside `reading_at`: a mistake in the code."""


class _Ending(threading.local):
    """What this thread's transaction has yet to write when everything else is written."""

    writes: dict[Callable[[Collection[int]], None], set[int]] | None = None


_ending = _Ending()


class _Traced:
    """Each statement is a span, while tracing is on: its text, never its parameters."""

    _system: str

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        if not tracing.is_on():
            return super().execute_sql(sql, params)  # type: ignore[misc]
        with tracing.statement_span(self._system, sql):
            return super().execute_sql(sql, params)  # type: ignore[misc]


class _Use(threading.local):
    """Of one thread's connection: when it was last handed out, and whether it was not asked then."""

    at = float("-inf")
    is_unproven = False


class _MySQL(_Traced, peewee.MySQLDatabase):
    _system = "mysql"

    def __init__(
        self,
        name: str,
        *,
        handshake_timeout_seconds: float,
        statement_timeout_seconds: float,
        **options: Any,
    ) -> None:
        super().__init__(name, read_timeout=handshake_timeout_seconds, conv=CONVERSIONS, **options)
        self._handshake_timeout_seconds = handshake_timeout_seconds
        self._statement_timeout_seconds = statement_timeout_seconds
        self._use = _Use()
        # Peewee holds its lock while a thread connects: before a silent server all threads would queue up,
        # those with a connection too. It guards nothing here, where each thread has a state of its own.
        self._lock = nullcontext()

    def _connect(self) -> Wire:
        wire = Wire(database=self.database, autocommit=True, **self.connect_params)
        self._greet(wire)
        return wire

    def _greet(self, wire: Wire) -> None:
        own = () if "MariaDB" in wire.server_version else _SESSION_ON_MYSQL
        for statement in (*_SESSION, *own):
            wire.query(statement)
        wire._read_timeout = self._statement_timeout_seconds
        self._use.is_unproven = False

    @property
    def _wire(self) -> Wire:
        wire: Wire = self.connection()  # type: ignore[no-untyped-call]
        return wire

    def begin(self, isolation_level: str | None = None) -> None:
        self._wire.begin_with_next(isolation_level=isolation_level)

    def commit(self) -> None:
        if self._wire.is_opening:
            # Nothing was asked in between.
            self._wire.forget()
        else:
            super().commit()

    def rollback(self) -> None:
        has_begun = not self._wire.is_opening
        self._wire.forget()
        # Over a lost connection nothing can be taken back, and the server has done it.
        if has_begun and self._wire.open:
            super().rollback()

    def execute_later(self, sql: str, params: Any) -> None:
        """With the next statement of this transaction, at the latest with its COMMIT."""
        if self._wire.is_opening:
            # Alone with BEGIN and COMMIT it could not be sent again when its connection turns out to be lost.
            self.execute_sql(sql, params)
            return
        self._log_query(sql, params)  # type: ignore[attr-defined]
        with tracing.statement_span(self._system, sql) if tracing.is_on() else nullcontext():
            self._wire.add_to_next(self._wire.cursor().mogrify(sql, params))

    def execute_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Sequence[Any]]:
        """The rows of each SELECT."""
        cursor = self.execute_sql(
            ";".join(sql for sql, _ in statements), [value for _, values in statements for value in values]
        )
        found = [cursor.fetchall()]
        for sql, _ in statements[1:]:
            with tracing.statement_span(self._system, sql) if tracing.is_on() else nullcontext():
                with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
                    cursor.nextset()
                found.append(cursor.fetchall())
        return found

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        if not self._use.is_unproven or (self.in_transaction() and not self._wire.is_opening):
            return super().execute_sql(sql, params)
        if self.in_transaction() or sql.startswith("SELECT"):
            # Nothing has taken effect yet, so that it can begin anew, whatever comes of it.
            return self._proving(lambda: super(_MySQL, self).execute_sql(sql, params))
        # A write that commits by itself may have taken effect when its answer is lost: it is sent once.
        if not self.is_alive():
            self._renew()
        return super().execute_sql(sql, params)

    def _proving(self, statement: Callable[[], R]) -> R:
        """Runs the first statement of a piece of work, once more when the connection turns out to be lost."""
        if not self._use.is_unproven:
            return statement()
        started = time.monotonic()
        try:
            answer = statement()
        except (peewee.OperationalError, peewee.InterfaceError) as error:
            was_silent = time.monotonic() - started >= self._handshake_timeout_seconds
            # A server that says nothing would be waited for twice.
            if was_silent or not is_connection_lost(error):
                raise
            self._renew()
            return statement()
        self._use.is_unproven = False
        return answer

    def _renew(self) -> None:
        # In its place: what transaction it is in, it is in still.
        patience = self._wire._read_timeout
        self._wire._read_timeout = self._handshake_timeout_seconds
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            self._wire.connect_anew()
            self._greet(self._wire)
        self._wire._read_timeout = patience

    def is_ready(self) -> bool:
        """Whether the connection works, as far as can be known without asking it too often."""
        now, last_used_at = time.monotonic(), self._use.at
        self._use.at = now
        if now - last_used_at < PROVEN_SECONDS:
            self._use.is_unproven = True
            return True
        return self.is_alive()

    def is_alive(self) -> bool:
        with self.in_haste() as connection:
            try:
                # A silent reconnect would hand out a connection without its session settings.
                connection.ping(reconnect=False)
            except Exception:
                return False
        self._use.is_unproven = False
        return True

    @contextmanager
    def in_haste(self) -> Iterator[Any]:
        """Statements inside may take no longer than a handshake."""
        connection = self.connection()  # type: ignore[no-untyped-call]
        connection._read_timeout = self._handshake_timeout_seconds
        try:
            yield connection
        finally:
            connection._read_timeout = self._statement_timeout_seconds


class _SQLite(_Traced, peewee.SqliteDatabase):
    _system = "sqlite"

    def is_ready(self) -> bool:
        return True

    def rollback(self) -> None:
        # When the disk is full SQLite has rolled back already; saying so would hide what went wrong.
        if self.connection().in_transaction:  # type: ignore[no-untyped-call]
            super().rollback()


def mysql_database(
    *,
    host: str,
    port: int,
    name: str,
    username: str,
    password: str,
    handshake_timeout_seconds: float = HANDSHAKE_TIMEOUT_SECONDS,
    statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS,
) -> peewee.Database:
    """A database on a MySQL 8+ or MariaDB 10.6+ server; connects to nothing yet."""
    return _MySQL(
        name,
        host=host,
        port=port,
        user=username,
        password=password,
        charset="utf8mb4",
        collation="utf8mb4_unicode_ci",
        connect_timeout=min(CONNECT_TIMEOUT_SECONDS, handshake_timeout_seconds),
        write_timeout=statement_timeout_seconds,
        handshake_timeout_seconds=handshake_timeout_seconds,
        statement_timeout_seconds=statement_timeout_seconds,
    )


def sqlite_database(path: Path) -> peewee.Database:
    """A database in one file, durable against a crash of the process and of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pragmas = {
        "journal_mode": "wal",
        "synchronous": "full",
        "foreign_keys": 1,
        "busy_timeout": LOCK_WAIT_TIMEOUT_SECONDS * 1000,
    }
    return _SQLite(str(path), pragmas=pragmas)


def is_sqlite() -> bool:
    return isinstance(database.obj, peewee.SqliteDatabase)


def ensure_connection() -> None:
    """Gives this thread a connection that works; raises `DatabaseUnavailable`."""
    try:
        if not database.is_closed() and not database.obj.is_ready():
            drop_connection()
        database.connect(reuse_if_open=True)
    except (peewee.OperationalError, peewee.InterfaceError) as error:
        raise DatabaseUnavailable(type(error).__name__) from error


def drop_connection() -> None:
    """Forgets this thread's connection, whatever state it is in."""
    try:
        database.close()
    except Exception:
        # A socket that is already dead cannot be closed politely; peewee has let go of it either way.
        database.obj._state.reset()


@contextmanager
def connection() -> Iterator[None]:
    """A scope for threads that work only now and then: connects, and closes at its end."""
    ensure_connection()
    try:
        yield
    finally:
        drop_connection()


@contextmanager
def reading_at(replica: peewee.Database) -> Iterator[None]:
    """What this thread reads inside, it reads there, over its connection to there; it writes nothing."""
    _place.replica = replica
    try:
        yield
    finally:
        _place.replica = None


@contextmanager
def transaction() -> Iterator[None]:
    """One transaction, committed at the end or rolled back by an exception; refuses to nest.

    READ COMMITTED on a server; on SQLite it takes the write lock at once (IMMEDIATE), because a
    transaction that reads first and writes later fails there when another one wrote in between.
    """
    if _place.replica is not None:
        raise ReplicaIsReadOnly
    if database.in_transaction():
        raise NestedTransaction
    try:
        with database.atomic("IMMEDIATE") if is_sqlite() else database.atomic():
            writes = _ending.writes = {}
            yield
            for write, items in writes.items():
                write(items)
    except (peewee.OperationalError, peewee.InterfaceError) as error:
        if is_connection_lost(error):
            drop_connection()
        raise
    finally:
        _ending.writes = None


def before_commit(write: Callable[[Collection[int]], None], items: Iterable[int]) -> None:
    """Has `write` called once at the end of this thread's transaction, with all items it was given for it.

    For rows that many transactions write: locked last, they are held for no longer than a commit takes.
    Raises `NoTransaction`.
    """
    if _ending.writes is None:
        raise NoTransaction
    _ending.writes.setdefault(write, set()).update(items)


def execute_later(sql: str, params: Sequence[Any]) -> None:
    """A write of the running transaction whose answer nobody waits for: on a server it goes with the next
    statement, or with the COMMIT, which raises what is wrong with it. Raises `NoTransaction`."""
    if not database.in_transaction():
        raise NoTransaction
    if is_sqlite():
        database.execute_sql(sql, params)
    else:
        database.obj.execute_later(sql, params)


def execute_together(statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Sequence[Any]]:
    """The rows that each of several SELECTs finds, which go to a server together."""
    if is_sqlite():
        return [database.execute_sql(sql, values).fetchall() for sql, values in statements]
    found: list[Sequence[Any]] = database.obj.execute_together(statements)
    return found


@contextmanager
def snapshot() -> Iterator[None]:
    """One state of the database for all that is read inside, whatever others commit meanwhile; no writes."""
    if database.in_transaction():
        raise NestedTransaction
    try:
        # SQLite keeps to the state of the first read by itself.
        with database.atomic() if is_sqlite() else database.atomic(isolation_level="REPEATABLE READ"):
            yield
    except (peewee.OperationalError, peewee.InterfaceError) as error:
        if is_connection_lost(error):
            drop_connection()
        raise


def for_update(query: peewee.ModelSelect[M], *, skip_locked: bool = False) -> peewee.ModelSelect[M]:
    """Locks the rows a query finds until the transaction ends. SQLite's write lock already covers them."""
    return query if is_sqlite() else query.for_update(skip_locked=skip_locked)


def error_number(error: BaseException) -> int | None:
    """The server's error number, when the error came from a server."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection is of no more use: 0, 2003, 2006, 2013, 2014, 2055, `LAST_WORDS`…"""
    number = error_number(error)
    if isinstance(error, peewee.InterfaceError):
        return True
    return number is not None and (number == 0 or 2000 <= number < 3000 or number in LAST_WORDS)


def is_duplicate(error: peewee.IntegrityError) -> bool:
    """Whether a unique key refused a row."""
    return error_number(error) == ER.DUP_ENTRY or "UNIQUE constraint failed" in str(error)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether another transaction held a row for too long."""
    return error_number(error) == ER.LOCK_WAIT_TIMEOUT or "database is locked" in str(error)


def is_passing(error: BaseException) -> bool:
    """Whether the same work may well succeed when it is repeated: a deadlock's victim, or cut short."""
    return error_number(error) in (ER.LOCK_DEADLOCK, ER.QUERY_INTERRUPTED) or is_lock_timeout(error)


def is_out_of_space(error: BaseException) -> bool:
    """Whether the database could not write because its disk is full, or fails."""
    text = str(error)
    if "database or disk is full" in text or "disk I/O error" in text:
        return True
    return error_number(error) in (ER.DISK_FULL, ER.ERROR_ON_WRITE, ER.RECORD_FILE_FULL, ER.OUTOFMEMORY)


def retry_deadlocks(operation: Callable[P, R]) -> Callable[P, R]:
    """Runs a whole operation again when the server chose its transaction as a deadlock's victim.

    Safe because an operation is one transaction, and a victim was rolled back entirely.
    """

    @functools.wraps(operation)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, DEADLOCK_TRIES):
            try:
                return operation(*args, **kwargs)
            except peewee.OperationalError as error:
                if error_number(error) != ER.LOCK_DEADLOCK:
                    raise
                time.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311
        return operation(*args, **kwargs)

    return run
