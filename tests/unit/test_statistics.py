"""The arithmetic of the numbers: days, slots, and what is read off the middle of many values."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sav.domain.statistics import (
    DAY,
    KINDS,
    QUARTER,
    Calendar,
    Span,
    TicketNumbers,
    bucket_of,
    corrected,
    edges,
    marks,
    slot_of,
    spread,
    start_of_slot,
    whole_slots,
)

SMALL = st.lists(st.integers(0, 6), max_size=12)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=4)).map(datetime(2026, 3, 1, tzinfo=UTC).__add__)


@given(stored=SMALL, taken=SMALL, put_in=SMALL, rank=st.integers(0, 20), many=st.integers(1, 2))
def test_values_are_read_as_if_all_had_been_sorted_anew(
    stored: list[int], taken: list[int], put_in: list[int], rank: int, many: int
) -> None:
    taken_out = list((Counter(stored) & Counter(taken)).elements())
    left = sorted([*(Counter(stored) - Counter(taken_out)).elements(), *put_in])
    assume(rank + many <= len(left))
    in_order = sorted(stored)

    def some(offset: int, limit: int) -> Sequence[int]:
        return in_order[offset : offset + limit]

    values = corrected(some, put_in=put_in, taken_out=taken_out)
    assert list(values(rank, many)) == left[rank : rank + many]


@given(micros=st.integers(0, 10**15), other=st.integers(0, 10**15))
def test_buckets_are_in_the_order_of_what_they_hold(micros: int, other: int) -> None:
    least = bucket_of(micros)
    assert least <= micros <= max(99, least * 1.1)
    assert bucket_of(least) == least
    assert (bucket_of(min(micros, other)), bucket_of(max(micros, other))) == tuple(
        sorted([bucket_of(micros), bucket_of(other)])
    )


def test_only_what_lies_around_a_rank_is_looked_at() -> None:
    asked: list[tuple[int, int]] = []

    def some(offset: int, limit: int) -> Sequence[int]:
        asked.append((offset, limit))
        return range(offset, min(offset + limit, 1000))

    assert list(corrected(some, put_in=[3, 2000], taken_out=[5])(500, 2)) == [500, 501]
    assert asked == [(498, 5)]


@pytest.mark.parametrize(
    ("seconds", "median", "p90"),
    [([7], 7, 7), ([10, 20], 15, 19), ([1, 2, 3], 2, 2.8), (list(range(1, 12)), 6, 10)],
)
def test_medians_and_ninety_per_cent(seconds: list[int], median: float, p90: float) -> None:
    micros = [second * 1_000_000 for second in seconds]
    found = spread(
        count=len(micros), micros=sum(micros), values=lambda rank, many: micros[rank : rank + many]
    )
    assert (found.count, found.median, found.p90) == (len(micros), median, p90)
    assert found.mean == sum(seconds) / len(seconds)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Paris", date(2026, 3, 29), 23),
        ("Europe/Paris", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        # Midnight is left out, or comes twice.
        ("America/Havana", date(2026, 3, 8), 23),
        ("America/Havana", date(2026, 11, 1), 25),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("Asia/Kathmandu", date(2026, 1, 1), 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_says(zone: str, day: date, hours: float) -> None:
    calendar = Calendar(ZoneInfo(zone), day, day)
    assert calendar.starts[1] - calendar.starts[0] == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ["Europe/Paris", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana"])
def test_every_instant_lies_on_the_day_that_its_zone_says_and_in_its_run(zone: str) -> None:
    calendar = Calendar(ZoneInfo(zone), date(2011, 3, 1), date(2012, 2, 1))
    runs = list(calendar.runs())
    assert len(runs) <= 6
    for hour in range(24 * 300):
        instant = datetime(2011, 3, 5, 0, 30, tzinfo=UTC) + hour * timedelta(hours=1)
        number = calendar.number(instant)
        assert number is not None
        assert calendar.days[number] == instant.astimezone(ZoneInfo(zone)).date()
        ((first, _, length),) = [run for run in runs if run[0] <= number < run[0] + run[1]]
        assert first + (instant - calendar.starts[first]) // length == number


@given(
    since=st.none() | INSTANTS, until=st.none() | INSTANTS, at=INSTANTS, width=st.sampled_from([DAY, QUARTER])
)
def test_a_span_is_its_whole_slots_and_its_edges(
    since: datetime | None, until: datetime | None, at: datetime, width: timedelta
) -> None:
    assume(since is None or until is None or since < until)
    span = Span(since, until)
    whole = whole_slots(span, width)
    parts = [part for part in (whole, *edges(span, whole)) if part.holds(at)]
    assert len(parts) == span.holds(at)
    for end in (whole.since, whole.until):
        assert end is None or whole.since == whole.until or start_of_slot(slot_of(end, width)) == end


def test_a_ticket_of_which_everything_is_known_leaves_every_mark() -> None:
    at = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
    numbers = TicketNumbers(
        status="in_progress", priority="low", category=None, source="web", assigned_to=7, rating=3,
        escalated=True, reopened=True, created_at=at, resolved_at=at, closed_at=at,
        first_response_micros=1, resolution_micros=2,
    )  # fmt: skip
    assert sorted(mark.kind for mark in marks(numbers)) == sorted(KINDS)
    assert list(marks(None)) == []
