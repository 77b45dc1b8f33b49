"""Reads at a replica: only of what it is known to have, only while it answers, else at the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import structlog

from sav.domain.errors import NotFound, SavError
from sav.models.database import (
    DATABASE_ERRORS,
    DatabaseUnavailable,
    database,
    drop_connection,
    ensure_connection,
    reading_at,
)
from sav.telemetry import metrics

PATIENCE_SECONDS = 0.5
"""How long a replica may take to take a connection, or to say which state it has; the second is one short
read. One that takes longer is left aside: it would make requests slower and not faster."""
STATEMENT_SECONDS = 5.0
"""How long one statement of a read may take there; a search breaks itself off before that."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
"""The cap of the doubling pause: also how late a replica's return may be noticed."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Replica:
    """A copy of the database that is a little late, and is asked each time whether it is for this caller.

    `server` is made by `mysql_database`. Any thread may read; each has one connection to it.
    """

    def __init__(
        self,
        server: Any,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self.server = server
        self._absence = _Absence(first_pause_seconds, longest_pause_seconds)

    def read(self, make: Callable[[], T], *, state: Callable[[], Hashable], before: Hashable) -> T:
        """What `make` reads, at the replica if it has the state that the database was in `before`.

        `state` reads that state wherever it is called. States follow one another the same way at both, so
        that whatever `make` reads at the replica behind that one is no older than the database was.
        Domain errors of `make` are answers and are raised; all other trouble there is no trouble here.
        """
        if not self._absence.may_ask():
            metrics.REPLICA_READS.labels("away").inc()
            return make()
        try:
            with reading_at(self.server):
                is_there = self._has(state, before)
                made = make() if is_there else None
        except (*DATABASE_ERRORS, DatabaseUnavailable) as error:
            self._leave_aside(error)
            return make()
        except SavError:
            self._answered("replica")
            raise
        self._answered("replica" if is_there else "behind")
        return cast(T, made) if is_there else make()

    def check(self) -> None:
        """Raises when the replica does not answer."""
        with reading_at(self.server):
            ensure_connection()
            try:
                with self.server.in_haste():
                    database.execute_sql("SELECT 1").fetchone()
            except Exception:
                drop_connection()
                raise

    def _has(self, state: Callable[[], Hashable], before: Hashable) -> bool:
        started = time.monotonic()
        ensure_connection()
        with self.server.in_haste():
            try:
                found = state()
            except NotFound:
                # Of a ticket that has not arrived yet.
                found = None
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise DatabaseUnavailable("slow")
        return found == before

    def _answered(self, outcome: metrics.ReplicaRead) -> None:
        metrics.REPLICA_READS.labels(outcome).inc()
        if self._absence.end():
            metrics.REPLICA_LEFT_ASIDE.set(0)
            log.info("the replica is used again", action="read_replica")

    def _leave_aside(self, error: Exception) -> None:
        with reading_at(self.server):
            # Whatever was under way on it is not waited for.
            drop_connection()
        metrics.REPLICA_READS.labels("away").inc()
        if seconds := self._absence.begin():
            metrics.REPLICA_LEFT_ASIDE.set(1)
            log.warning(
                "the replica is left aside",
                action="read_replica",
                error=str(error) if isinstance(error, DatabaseUnavailable) else type(error).__name__,
                seconds=seconds,
            )


def read_at(
    replica: Replica | None, make: Callable[[], T], *, state: Callable[[], Hashable], before: Hashable
) -> T:
    """`Replica.read` where there is one, else just what `make` reads."""
    return make() if replica is None else replica.read(make, state=state, before=before)


class _Absence:
    """While it lasts nobody asks, but for one now and then who looks whether it is over."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._pause_seconds = 0.0
        self._until = 0.0
        self._somebody_looks = False
        self._lock = threading.Lock()

    def may_ask(self) -> bool:
        if not self._pause_seconds:
            return True
        with self._lock:
            if time.monotonic() < self._until:
                return False
            # Whoever comes first after a pause looks for all: the others need not wait as well.
            self._until = time.monotonic() + self._pause_seconds
            self._somebody_looks = True
            return True

    def begin(self) -> float:
        """Begins or goes on; returns for how many seconds, or 0 when it is known already."""
        with self._lock:
            now = time.monotonic()
            if now < self._until and not self._somebody_looks:
                return 0.0
            self._somebody_looks = False
            doubled = max(self._first_seconds, 2 * self._pause_seconds)
            self._pause_seconds = min(self._longest_seconds, doubled)
            self._until = now + self._pause_seconds
            return self._pause_seconds

    def end(self) -> bool:
        """Returns whether there was any."""
        if not self._pause_seconds:
            return False
        with self._lock:
            self._pause_seconds = self._until = 0.0
            self._somebody_looks = False
        return True
