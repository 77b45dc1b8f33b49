"""The clock: says which jobs are due, and does none of them.

Any number of replicas may run. One leads; should two believe that they do, the slots of `record_tick` make
it harmless.
"""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Protocol

import structlog
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sav.domain.effects import (
    AGGREGATE_METRICS,
    ASSIGN_TICKETS,
    CLOSE_QUIET_TICKETS,
    HOUSEKEEPING,
    SURVEYS,
    WATCH_ESCALATIONS,
)
from sav.models.database import connection, database
from sav.operations.record_tick import order_tick, record_tick, recorded_slots
from sav.settings import Settings
from sav.telemetry.metrics import CATALOGUE_OF_METRICS, SCHEDULER_LEADS, SCHEDULER_TICKS

LOOK_SECONDS = 5
"""How often the leader compares the clock with the slots: how late a tick may be, at most."""
POLL_SECONDS = 5.0
"""How often a replica asks whether it leads, still or at last."""
SILENT_LEADER_SECONDS = 30
"""After this long without a sign of life from the leader, the database server gives its lock away."""
STOP_TIMEOUT_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tick:
    """A job that is due once in each slot of length `every`; slots begin at midnight UTC plus `offset`.

    They are counted from the clock on the wall: however late one is noticed, the next one is not.
    """

    effect: str
    """What the desk then owes."""
    every: timedelta
    offset: timedelta = timedelta()

    def slot(self, now: datetime) -> int:
        """The number of the slot that `now` lies in."""
        return int((now.timestamp() - self.offset.total_seconds()) // self.every.total_seconds())


TICKS: dict[str, Tick] = {
    "assignment-sweep": Tick(effect=ASSIGN_TICKETS, every=timedelta(minutes=1)),
    "auto-close": Tick(effect=CLOSE_QUIET_TICKETS, every=timedelta(days=1), offset=timedelta(hours=2)),
    "escalation-watch": Tick(effect=WATCH_ESCALATIONS, every=timedelta(minutes=30)),
    "metrics": Tick(effect=AGGREGATE_METRICS, every=timedelta(hours=1)),
    # Between the hours too, lest a read has to correct what a busy hour has changed.
    "metrics-tail": Tick(effect=AGGREGATE_METRICS, every=timedelta(minutes=1)),
    "housekeeping": Tick(effect=HOUSEKEEPING, every=timedelta(days=1), offset=timedelta(hours=3)),
    "surveys": Tick(effect=SURVEYS, every=timedelta(hours=1)),
}
"""Every job, by the name that `sav tick` knows it by."""


for _job in TICKS:
    # A series that appears with its first tick hides that tick from `rate()`.
    SCHEDULER_TICKS.labels(_job)


class UnknownJob(Exception):
    """There is no such job; the message names those that there are."""


def tick_now(job: str) -> None:
    """Makes a job due at once, whatever the clock says; needs a connection. Raises `UnknownJob`."""
    if job not in TICKS:
        raise UnknownJob(f"there is no job {job!r}; the jobs are: {', '.join(sorted(TICKS))}")
    order_tick(effect=TICKS[job].effect, now=datetime.now(UTC))


def record_due_ticks(now: datetime) -> list[str]:
    """Records every job whose current slot has not been recorded yet; returns their names.

    However many slots were missed while nobody led, a job is caught up once.
    """
    known = recorded_slots()
    due = [(job, tick, tick.slot(now)) for job, tick in TICKS.items()]
    return [
        job
        for job, tick, slot in due
        if known.get(job, slot - 1) < slot and record_tick(job=job, effect=tick.effect, slot=slot, now=now)
    ]


class LeaderGauge(Collector):
    """Whether a scheduler leads, asked at each scrape."""

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler

    def collect(self) -> Iterator[GaugeMetricFamily]:
        meaning = CATALOGUE_OF_METRICS[SCHEDULER_LEADS].meaning
        yield GaugeMetricFamily(SCHEDULER_LEADS, meaning, value=float(self._scheduler.leads))


class Scheduler:
    """A thread that campaigns for leadership, and while it leads looks at the clock every `LOOK_SECONDS`."""

    def __init__(
        self, settings: Settings, *, poll_seconds: float = POLL_SECONDS, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._settings = settings
        self._poll_seconds = poll_seconds
        self._look_seconds = look_seconds
        self._leading = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    @property
    def leads(self) -> bool:
        return self._leading.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> bool:
        """Gives up leadership; returns whether the thread has ended."""
        self._stopping.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with _candidacy(self._settings) as leadership:
                    self._campaign(leadership)
            except Exception as error:
                log.warning(
                    "the scheduler waits for the database", action="lead", reason=type(error).__name__
                )
            self._stopping.wait(self._poll_seconds)

    def _campaign(self, leadership: "Leadership") -> None:
        """Waits for leadership, then leads until it is lost or the scheduler stops."""
        while not leadership.take():
            if self._stopping.wait(self._poll_seconds):
                return
        with self._clock():
            while not self._stopping.wait(self._poll_seconds):
                if not leadership.holds():
                    log.warning("leadership was lost", action="lead")
                    return

    @contextmanager
    def _clock(self) -> Iterator[None]:
        clock = BackgroundScheduler(timezone=UTC, daemon=True)
        clock.add_job(
            _look,
            IntervalTrigger(seconds=self._look_seconds, timezone=UTC),
            next_run_time=datetime.now(UTC),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        clock.start()
        self._leading.set()
        log.info("leading the schedule", action="lead")
        try:
            yield
        finally:
            self._leading.clear()
            clock.shutdown(wait=False)


def _look() -> None:
    try:
        with connection():
            for job in record_due_ticks(datetime.now(UTC)):
                SCHEDULER_TICKS.labels(job).inc()
                log.info("job is due", action="tick", job=job)
    except Exception as error:
        # The slot is still open, and the next look comes soon.
        log.warning("a tick could not be recorded", action="tick", reason=type(error).__name__)


class Leadership(Protocol):
    """A lock that at most one replica holds, and that a dead one lets go of."""

    def take(self) -> bool:
        """Tries to get it, without waiting."""

    def holds(self) -> bool:
        """Whether it is still ours."""


@contextmanager
def _candidacy(settings: Settings) -> Iterator[Leadership]:
    if settings.DB_CONNECTION == "sqlite":
        with open(f"{settings.sqlite_path}.leading", "w") as file:
            yield _FileLeadership(file)
        return
    # This thread's connection does nothing else: while it lives, so does the lock.
    with connection():
        database.execute_sql(f"SET SESSION wait_timeout = {SILENT_LEADER_SECONDS}")
        # A server's lock name holds 64 characters, and is shared by all of its databases.
        yield _ServerLeadership(f"sav_scheduler:{settings.DB_DATABASE}"[:64])


class _ServerLeadership:
    def __init__(self, name: str) -> None:
        self._name = name

    def take(self) -> bool:
        return self._ask("SELECT GET_LOCK(%s, 0)")

    def holds(self) -> bool:
        return self._ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()")

    def _ask(self, question: str) -> bool:
        (answer,) = database.execute_sql(question, (self._name,)).fetchone()
        return bool(answer == 1)


class _FileLeadership:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def take(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def holds(self) -> bool:
        # The kernel takes it from nobody who lives.
        return True
