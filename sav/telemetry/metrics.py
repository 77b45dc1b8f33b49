"""Everything that is measured: what each process counts, and what is read when somebody asks.

A process counts what it does itself; the numbers of several processes of one kind are added up through the
files of `PROMETHEUS_MULTIPROC_DIR` (see `sav.telemetry.process_files`). What is true of the desk as a whole
is a gauge: read from where the truth is, by whoever is asked. `docs/metrics.md` is written from this module.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from sav.domain.effects import RETRY_POLICIES
from sav.domain.events import CATALOGUE
from sav.domain.ticket_lifecycle import Priority

COUNTED = CollectorRegistry()
"""What this process counts."""

Place = Literal["web", "worker", "scheduler"]
ReplicaRead = Literal["replica", "behind", "away"]
CacheName = Literal["lists", "details", "statistics", "attachment_lists", "attachments"]
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "(none)"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WAITING_SECONDS = (
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR,
    _DAY, 2 * _DAY, 4 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
_QUICK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_JOB_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True)
class Described:
    """One metric, for the documents."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    places: tuple[Place, ...]


CATALOGUE_OF_METRICS: dict[str, Described] = {}
"""Every metric by the name that Prometheus knows."""


def _counter(name: str, meaning: str, labels: tuple[str, ...], places: tuple[Place, ...]) -> Counter:
    CATALOGUE_OF_METRICS[name] = Described(name, "counter", labels, meaning, places)
    return Counter(name, meaning, labels, registry=COUNTED)


def _histogram(
    name: str,
    meaning: str,
    labels: tuple[str, ...],
    places: tuple[Place, ...],
    *,
    buckets: tuple[float, ...],
) -> Histogram:
    CATALOGUE_OF_METRICS[name] = Described(name, "histogram", labels, meaning, places)
    return Histogram(name, meaning, labels, registry=COUNTED, buckets=buckets)


def _live_gauge(name: str, meaning: str, labels: tuple[str, ...], places: tuple[Place, ...]) -> Gauge:
    """A gauge that each process sets for itself; of several, the sum over those that live."""
    CATALOGUE_OF_METRICS[name] = Described(name, "gauge", labels, meaning, places)
    return Gauge(name, meaning, labels, registry=COUNTED, multiprocess_mode="livesum")


def _gauge(name: str, meaning: str, labels: tuple[str, ...], places: tuple[Place, ...] = ("web",)) -> str:
    CATALOGUE_OF_METRICS[name] = Described(name, "gauge", labels, meaning, places)
    return name


# Writers are web processes (people) and workers (events of other services, deadlines).
_WRITERS: tuple[Place, ...] = ("web", "worker")

TICKET_EVENTS = _counter(
    "sav_ticket_events_total",
    "Facts that were committed to the event log, by their name: `ticket.created`, `ticket.escalated`, …",
    ("event",),
    _WRITERS,
)
FIRST_RESPONSE_SECONDS = _histogram(
    "sav_first_response_seconds",
    "From the opening of a ticket to the first public answer of the staff.",
    ("priority",),
    _WRITERS,
    buckets=_WAITING_SECONDS,
)
RESOLUTION_SECONDS = _histogram(
    "sav_resolution_seconds",
    "From the opening of a ticket to its resolution; once more when it was reopened and resolved again.",
    ("priority",),
    _WRITERS,
    buckets=_WAITING_SECONDS,
)
SATISFACTION_RATING = _histogram(
    "sav_satisfaction_rating",
    "What customers gave, from 1 to 5: the sum divided by the count is the mean score.",
    (),
    _WRITERS,
    buckets=(1, 2, 3, 4, 5),
)
HTTP_SECONDS = _histogram(
    "sav_http_request_duration_seconds",
    "How long requests took, by method, the route's template and the class of the status (`2xx`).",
    ("method", "route", "status_class"),
    ("web",),
    buckets=_QUICK_SECONDS,
)
CACHE_READS = _counter(
    "sav_cache_reads_total",
    "Answers that were looked for among those kept ready: `hit`, given as kept; `stale`, read anew because "
    "something has changed; `absent`, read because none was kept.",
    ("cache", "outcome"),
    ("web",),
)
CACHE_EVICTIONS = _counter(
    "sav_cache_evictions_total",
    "Answers that went before their time because a cache was full.",
    ("cache",),
    ("web",),
)
CACHE_BYTES = _live_gauge(
    "sav_cache_bytes",
    "What the answers that are kept ready take, in all processes of this `sav http` together.",
    ("cache",),
    ("web",),
)
REPLICA_READS = _counter(
    "sav_replica_reads_total",
    "Reads that may go to the replica: `replica`, read there; `behind`, read at the database because the "
    "replica had not heard of all that the caller may see; `away`, read there because the replica does not "
    "answer, or is left aside.",
    ("outcome",),
    ("web",),
)
REPLICA_LEFT_ASIDE = _live_gauge(
    "sav_replica_left_aside",
    "How many processes of this `sav http` leave the replica aside; 0 where there is none.",
    (),
    ("web",),
)
EFFECTS_DONE = _counter(
    "sav_effects_done_total", "Side effects that were done, each token counted.", ("effect",), ("worker",)
)
EFFECTS_FAILED = _counter(
    "sav_effects_failed_total",
    "Tries of a side effect that failed; most are tried again.",
    ("effect",),
    ("worker",),
)
EFFECT_SECONDS = _histogram(
    "sav_effect_duration_seconds",
    "How long one try of a side effect took, which may answer several tokens at once.",
    ("effect",),
    ("worker",),
    buckets=_JOB_SECONDS,
)
SCHEDULER_TICKS = _counter(
    "sav_scheduler_ticks_total",
    "Scheduled jobs that this scheduler made due; a worker does them.",
    ("job",),
    ("scheduler",),
)

TICKETS = _gauge("sav_tickets", "Tickets that exist, by status and priority.", ("status", "priority"))
AGENT_LOAD = _gauge(
    "sav_agent_load", "Unsettled tickets that an active agent has: the distribution of work.", ("agent_id",)
)
AGENT_CAPACITY = _gauge(
    "sav_agent_capacity", "How many unsettled tickets an active agent may have.", ("agent_id",)
)
AGENTS_AVAILABLE = _gauge("sav_agents_available", "Active agents who take tickets now.", ())
EFFECTS_OWED = _gauge(
    "sav_effects_owed",
    "Side effects that are due, being done, or waiting for another try; 100,000 at most.",
    ("effect",),
)
EFFECTS_RETRYING = _gauge(
    "sav_effects_retrying", "Those of them that have failed at least once.", ("effect",)
)
EFFECTS_GIVEN_UP = _gauge(
    "sav_effects_given_up", "Side effects that failed too often; an operator should look.", ("effect",)
)
OLDEST_OWED_SECONDS = _gauge(
    "sav_oldest_owed_effect_seconds",
    "For how long the oldest side effect that nobody has done is due; of `publish_event`, the age of the "
    "oldest fact that was not published.",
    ("effect",),
)
MAILS_DUE = _gauge("sav_mails_due", "Mails that are to be sent.", ())
MAILS_FAILED = _gauge("sav_mails_failed", "Mails of the last day that were refused or given up.", ())
QUEUE_MESSAGES = _gauge(
    "sav_queue_messages",
    "Messages ready in a queue: `inbox` is what other services have told and no worker has taken (the lag of "
    "the consumers), `effects` the workers' hints, `dead_letters` what nothing could be made of.",
    ("queue",),
)
QUEUE_CONSUMERS = _gauge("sav_queue_consumers", "Who consumes from a queue.", ("queue",))
PART_UP = _gauge(
    "sav_up",
    "Whether a part answered when it was last asked: `database`, `desk` (the numbers of tickets and agents "
    "could be read), `broker`, `storage`. What could not be read is left out.",
    ("part",),
)
PART_AGE_SECONDS = _gauge(
    "sav_numbers_age_seconds", "How old the numbers of a part are in this answer.", ("part",)
)
SCHEDULER_LEADS = _gauge(
    "sav_scheduler_leads",
    "1 on the scheduler that leads, 0 on those that wait; the sum should be 1.",
    (),
    ("scheduler",),
)


def _begin_at_zero() -> None:
    """A series that appears with its first event hides that event from `rate()`."""
    for event in CATALOGUE:
        TICKET_EVENTS.labels(event)
    for priority in get_args(Priority):
        FIRST_RESPONSE_SECONDS.labels(priority)
        RESOLUTION_SECONDS.labels(priority)
    for effect in RETRY_POLICIES:
        EFFECTS_DONE.labels(effect)
        EFFECTS_FAILED.labels(effect)
        EFFECT_SECONDS.labels(effect)
    for outcome in get_args(ReplicaRead):
        REPLICA_READS.labels(outcome)
    for cache in get_args(CacheName):
        cache_reads(cache)
        CACHE_EVICTIONS.labels(cache)


def cache_reads(cache: CacheName) -> tuple[Counter, Counter, Counter]:
    """The counters of a cache's hits, of what it had in an old state, and of what it had not."""
    hit, stale, absent = (CACHE_READS.labels(cache, outcome) for outcome in ("hit", "stale", "absent"))
    return hit, stale, absent


def forget_process(process_id: int) -> None:
    """Takes what a dead process held out of the sums; what it has counted stays."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(process_id)  # type: ignore[no-untyped-call]


_begin_at_zero()


@contextmanager
def measured_effect(effect: str, *, tokens: int = 1) -> Iterator[None]:
    """Counts one try of a side effect, which so many tokens ask for, and how long it took."""
    started = time.perf_counter()
    done = 0
    try:
        yield
        done = tokens
    finally:
        count_tries(effect, done=done, failed=tokens - done, seconds=time.perf_counter() - started)


def count_tries(effect: str, *, done: int, failed: int, seconds: float) -> None:
    """Counts the tokens of side effects that were tried together, and how long that took."""
    EFFECTS_DONE.labels(effect).inc(done)
    EFFECTS_FAILED.labels(effect).inc(failed)
    EFFECT_SECONDS.labels(effect).observe(seconds)


def known_method(method: str) -> str:
    """The method, unless the caller has made it up."""
    return method if method in KNOWN_METHODS else "other"


def measure_request(*, method: str, route: str | None, status: int, seconds: float) -> None:
    """Counts one answered request; no part of it that a caller invents becomes a label."""
    _http_series(known_method(method), route or NO_ROUTE, status // 100).observe(seconds)


@lru_cache(1_000)
def _http_series(method: str, route: str, hundreds: int) -> Histogram:
    # Found again by one look: `labels` makes texts of its arguments and takes a lock.
    return HTTP_SECONDS.labels(method, route, f"{hundreds}xx")


def counted_registry() -> CollectorRegistry:
    """What this process has counted; with `PROMETHEUS_MULTIPROC_DIR`, all that share the directory."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return COUNTED
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def counted_text() -> bytes:
    """The same in Prometheus's text format."""
    return generate_latest(counted_registry())
