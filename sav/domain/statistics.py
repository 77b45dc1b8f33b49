"""The desk's numbers: which instants count, what one ticket adds to them, and what comes out.

Pure arithmetic over tickets, wherever they were read. A number is a sum of marks: each ticket leaves a few
of them, at the instant that decides which span and which day they belong to. What is known of a ticket that
changed is corrected by taking its old marks out and putting the new ones in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from sav.domain.ticket_lifecycle import PRIORITIES, SETTLED, SOURCES, STATUSES

LONGEST_SPAN = timedelta(days=1830)
"""Five years: the longest span that can be asked for, and the most days that are listed."""
MICROS = 1_000_000
QUARTER = timedelta(minutes=15)
"""Sums of a day are kept by the quarter of an hour: since 1972 every zone's midnight is the start of one."""
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BLOCK = 32 * DAY
"""What is not listed per day is summed up over these, too: a span of years has few of them."""
RATINGS = range(1, 6)
NO_CATEGORY = ""
"""The key of tickets without a category: the one text that can be no category's name."""

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Kind = Literal[
    "status", "priority", "category", "source", "rating", "escalated", "reopened",
    "first_response", "resolution", "opened", "resolved", "closed", "resolved_by", "load",
    "first_response_in", "resolution_in",
]  # fmt: skip
Duration = Literal["first_response", "resolution"]

KINDS: tuple[Kind, ...] = get_args(Kind)
DURATIONS: tuple[Duration, ...] = ("first_response", "resolution")
PER_DAY: tuple[Kind, ...] = ("opened", "resolved", "closed")
BUCKETED: dict[Duration, Kind] = {"first_response": "first_response_in", "resolution": "resolution_in"}
"""The kinds by which durations are also summed by their size: a percentile is looked for in one bucket."""
BUCKET_DIGITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketNumbers:
    """A ticket as far as numbers are made of it. A deleted one has none."""

    status: str
    priority: str
    category: str | None
    source: str
    assigned_to: int | None
    rating: int | None
    escalated: bool
    reopened: bool
    created_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    first_response_micros: int | None
    resolution_micros: int | None


def micros_between(start: datetime, end: datetime | None) -> int | None:
    """How long something took; never less than nothing, though clocks of two processes may say so."""
    return None if end is None else max(0, (end - start) // _MICROSECOND)


def bucket_of(micros: int) -> int:
    """The least duration of the same bucket: the first digits, then zeros, so none is wider than a tenth."""
    unit: int = 10 ** max(0, len(str(micros)) - BUCKET_DIGITS)
    return micros - micros % unit


class Mark(NamedTuple):
    """One ticket counts here. `at` decides the span and the day; None is now, whatever the span."""

    kind: Kind
    at: datetime | None
    label: str = ""
    micros: int = 0


def marks(ticket: TicketNumbers | None) -> Iterator[Mark]:
    """Everything that one ticket adds to the numbers; nothing when it has none."""
    if ticket is None:
        return
    created = ticket.created_at
    yield Mark("opened", created)
    yield Mark("status", created, ticket.status)
    yield Mark("priority", created, ticket.priority)
    yield Mark("category", created, ticket.category or NO_CATEGORY)
    yield Mark("source", created, ticket.source)
    if ticket.rating is not None:
        yield Mark("rating", created, str(ticket.rating))
    if ticket.escalated:
        yield Mark("escalated", created)
    if ticket.reopened:
        yield Mark("reopened", created)
    if ticket.first_response_micros is not None:
        yield Mark("first_response", created, micros=ticket.first_response_micros)
        yield Mark("first_response_in", created, str(bucket_of(ticket.first_response_micros)))
    if ticket.resolution_micros is not None:
        yield Mark("resolution", created, micros=ticket.resolution_micros)
        yield Mark("resolution_in", created, str(bucket_of(ticket.resolution_micros)))
    if ticket.closed_at is not None:
        yield Mark("closed", ticket.closed_at)
    if ticket.resolved_at is not None:
        yield Mark("resolved", ticket.resolved_at)
    if ticket.assigned_to is not None:
        if ticket.resolved_at is not None:
            yield Mark("resolved_by", ticket.resolved_at, str(ticket.assigned_to))
        if ticket.status not in SETTLED:
            yield Mark("load", None, str(ticket.assigned_to))


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on and before `until`; None is without end on that side."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        return self.since is not None and self.until is not None and self.since >= self.until

    def holds(self, instant: datetime | None) -> bool:
        if instant is None:
            return True
        return (self.since is None or self.since <= instant) and (self.until is None or instant < self.until)


Instant = Literal["created_at", "resolved_at", "closed_at"]
INSTANTS: tuple[Instant, ...] = ("created_at", "resolved_at", "closed_at")


def instant_of(kind: Kind) -> Instant:
    """Which instant of a ticket the marks of a kind stand at."""
    if kind == "closed":
        return "closed_at"
    return "resolved_at" if kind in ("resolved", "resolved_by") else "created_at"


class Cell(NamedTuple):
    """Where marks are summed. Slots are numbered by the quarters of an hour since 1970, days too."""

    kind: Kind
    slot: int
    label: str


def cell_of(mark: Mark) -> Cell:
    """The sum that a mark belongs to; what is so now, whatever the span, is in slot 0."""
    slot = 0 if mark.at is None else slot_of(mark.at, width_of(mark.kind))
    return Cell(mark.kind, slot, mark.label)


def width_of(kind: Kind) -> timedelta:
    """How much time a sum of this kind covers."""
    return QUARTER if kind in PER_DAY else DAY


def wider_widths(kind: Kind) -> tuple[timedelta, ...]:
    """Over how much more time marks of this kind are summed, too; load is so now, at no time."""
    if kind == "load":
        return ()
    return (HOUR, DAY) if kind in PER_DAY else (BLOCK,)


def slot_of(instant: datetime, width: timedelta = QUARTER) -> int:
    """The number of the slot of this width, a day in UTC or a quarter of an hour, that holds an instant."""
    return (instant - _EPOCH) // width * (width // QUARTER)


def start_of_slot(slot: int) -> datetime:
    return _EPOCH + slot * QUARTER


def whole_slots(span: Span, width: timedelta) -> Span:
    """The part of a span that consists of whole slots; empty (and then at its end) when there is none."""
    since = span.since and start_of_slot(slot_of(span.since + width - _MICROSECOND, width))
    until = span.until and start_of_slot(slot_of(span.until, width))
    if since and until and since >= until:
        return Span(span.until, span.until)
    return Span(since, until)


def edges(span: Span, whole: Span) -> list[Span]:
    """What is left of a span beside its whole slots."""
    parts = []
    if span.since and whole.since and span.since < whole.since:
        parts.append(Span(span.since, whole.since))
    if span.until and whole.until and whole.until < span.until:
        parts.append(Span(whole.until, span.until))
    return parts


class Calendar:
    """Consecutive days of a time zone, and where each begins. Those of 23, 24.5 or 25 hours too."""

    def __init__(self, zone: ZoneInfo, first: date, last: date) -> None:
        count = max(0, (last - first).days + 1)
        self.days = [first + timedelta(days=number) for number in range(count)]
        self.starts = [start_of_day(first + timedelta(days=number), zone) for number in range(count + 1)]

    def number(self, instant: datetime) -> int | None:
        """Which of the days an instant falls on; None when on none of them."""
        number = bisect_right(self.starts, instant) - 1
        return number if 0 <= number < len(self.days) else None

    def runs(self) -> Iterator[tuple[int, int, timedelta]]:
        """The days as (number of the first, how many, length of each): few, as clocks change rarely."""
        lengths = [end - start for start, end in pairwise(self.starts)]
        first = 0
        for number in range(1, len(lengths) + 1):
            if number == len(lengths) or lengths[number] != lengths[first]:
                # A day that a zone left out, by moving over the date line, has no length.
                if lengths[first]:
                    yield first, number - first, lengths[first]
                first = number


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day, in UTC, though midnight itself may be left out, or come twice."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def days_of(span: Span, zone: ZoneInfo, *, first: datetime, last: datetime) -> Calendar:
    """The days that a span touches, the latest of them; an open end is that of `first` and `last`."""
    since, until = span.since or first, (span.until - _MICROSECOND) if span.until else last
    last_day = until.astimezone(zone).date()
    first_day = max(since.astimezone(zone).date(), last_day - LONGEST_SPAN + timedelta(days=1))
    return Calendar(zone, first_day, last_day)


class Tally:
    """Sums marks within a span."""

    def __init__(self, span: Span, calendar: Calendar) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.micros: Counter[str] = Counter()
        self.days: Counter[tuple[str, int]] = Counter()
        self.put_in: dict[str, list[int]] = {kind: [] for kind in DURATIONS}
        self.taken_out: dict[str, list[int]] = {kind: [] for kind in DURATIONS}
        self._span = span
        self._calendar = calendar

    def put(self, ticket: TicketNumbers | None) -> None:
        """Counts a ticket."""
        self._count(ticket, +1, self.put_in)

    def take(self, ticket: TicketNumbers | None) -> None:
        """Counts a ticket no longer."""
        self._count(ticket, -1, self.taken_out)

    def add_sum(self, kind: str, label: str, *, tickets: int, micros: int) -> None:
        """Counts a sum of marks that the span is known to hold."""
        self.counts[kind, label] += tickets
        self.micros[kind] += micros

    def add_day(self, kind: str, number: int, tickets: int) -> None:
        """Counts what happened on the day of this number."""
        self.days[kind, number] += tickets

    def buckets(self, kind: Duration) -> list[tuple[int, int]]:
        """How many durations are in each bucket, by its least, in rising order."""
        counts = self.counts.items()
        return sorted((int(label), n) for (of, label), n in counts if of == BUCKETED[kind] and n)

    def _count(self, ticket: TicketNumbers | None, sign: int, durations: dict[str, list[int]]) -> None:
        for mark in marks(ticket):
            if self._span.holds(mark.at):
                self.add(mark, sign)
                if mark.kind in durations:
                    durations[mark.kind].append(mark.micros)

    def add(self, mark: Mark, sign: int = +1) -> None:
        """Counts one mark that the span is known to hold."""
        if mark.kind in PER_DAY:
            number = None if mark.at is None else self._calendar.number(mark.at)
            if number is not None:
                self.days[mark.kind, number] += sign
            return
        self.counts[mark.kind, mark.label] += sign
        if mark.kind in DURATIONS:
            self.micros[mark.kind] += sign * mark.micros


LEAST = -1
"""Less than any duration."""

Values = Callable[[int, int], Sequence[int]]
"""`values(rank, many)`: so many of some values, in rising order, from a rank (from 0) on."""


def corrected(stored: Values, *, put_in: Sequence[int], taken_out: Sequence[int]) -> Values:
    """What is stored, less what was taken out (a part of it), plus what was put in.

    Only the stored values around the ranks that are asked for are looked at: each value put in may move
    them up by one, each taken out down by one.
    """

    def values(rank: int, many: int) -> Sequence[int]:
        offset = max(0, rank - len(put_in))
        window = stored(offset, rank - offset + len(taken_out) + many)
        # Whatever is less than the window has its place before it: nothing, when it begins at the first.
        lowest = window[0] if offset else LEAST
        before = offset - sum(value < lowest for value in taken_out) + sum(value < lowest for value in put_in)
        taken = Counter(value for value in taken_out if value >= lowest)
        kept = [value for value in put_in if value >= lowest]
        for value in window:
            if taken[value]:
                taken[value] -= 1
            else:
                kept.append(value)
        # What is left of these is equal to the lowest, but stored before the window.
        before -= taken[lowest]
        kept.sort()
        return kept[rank - before : rank - before + many]

    return values


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in seconds; None of nothing."""

    count: int
    mean: float | None = None
    median: float | None = None
    p90: float | None = None


def spread(*, count: int, micros: int, values: Values) -> Spread:
    """The spread of `count` durations with this sum."""
    if count == 0:
        return Spread(0)
    return Spread(
        count,
        mean=micros / (count * MICROS),
        median=_percentile(50, count, values),
        p90=_percentile(90, count, values),
    )


def _percentile(percent: int, count: int, values: Values) -> float:
    """By linear interpolation between the two nearest ranks; exact until the last division."""
    rank, hundredths = divmod((count - 1) * percent, 100)
    around = values(rank, 2 if hundredths else 1)
    return (around[0] * (100 - hundredths) + around[-1] * hundredths) / (100 * MICROS)


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day."""

    day: date
    opened: int
    resolved: int
    closed: int


@dataclass(frozen=True, slots=True)
class AgentNumbers:
    """The work of one agent; `name` and `capacity` are None when the roster does not have them."""

    agent_id: int
    name: str | None
    load: int
    capacity: int | None
    resolved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The numbers of a dashboard."""

    total: int
    by_status: dict[str, int]
    by_priority: dict[str, int]
    by_category: dict[str, int]
    by_source: dict[str, int]
    per_day: list[Day]
    first_response: Spread
    resolution: Spread
    agents: list[AgentNumbers] = field(default_factory=list)
    satisfaction_mean: float | None
    satisfaction_count: int
    satisfaction_distribution: dict[str, int]
    escalation_rate: float
    reopen_rate: float


def statistics_of(
    tally: Tally,
    calendar: Calendar,
    *,
    spreads: dict[Duration, Spread],
    agents: list[AgentNumbers],
) -> Statistics:
    """What a tally says."""
    counts = tally.counts
    total = sum(counts["status", status] for status in STATUSES)
    ratings = {str(rating): counts["rating", str(rating)] for rating in RATINGS}
    rated = sum(ratings.values())
    return Statistics(
        total=total,
        by_status={status: counts["status", status] for status in STATUSES},
        by_priority={priority: counts["priority", priority] for priority in PRIORITIES},
        by_category=_labels(counts, "category"),
        by_source={source: counts["source", source] for source in SOURCES},
        per_day=[
            Day(day, *(tally.days[kind, number] for kind in PER_DAY))
            for number, day in enumerate(calendar.days)
        ],
        first_response=spreads["first_response"],
        resolution=spreads["resolution"],
        agents=agents,
        satisfaction_mean=sum(int(r) * n for r, n in ratings.items()) / rated if rated else None,
        satisfaction_count=rated,
        satisfaction_distribution=ratings,
        escalation_rate=counts["escalated", ""] / total if total else 0.0,
        reopen_rate=counts["reopened", ""] / total if total else 0.0,
    )


def _labels(counts: Counter[tuple[str, str]], kind: Kind) -> dict[str, int]:
    return {label: n for (of, label), n in sorted(counts.items()) if of == kind and n > 0}
