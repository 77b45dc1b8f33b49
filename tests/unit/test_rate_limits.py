"""Windows of time, and where somebody stands in theirs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sav.domain.rate_limits import RateLimit, standing_of

LIMIT = RateLimit("any", 3, 60)
instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda instant: instant.replace(tzinfo=UTC)
)


@given(instants, st.sampled_from([1, 60, 3600]))
def test_a_window_ends_after_now_and_before_its_length_is_over(now: datetime, seconds: int) -> None:
    limit = RateLimit("any", 1, seconds)
    end = limit.ends_at(now)
    assert now < end <= now + timedelta(seconds=seconds)
    assert limit.window(end) == limit.window(now) + 1
    assert limit.window(end - timedelta(microseconds=1)) == limit.window(now)


@given(instants)
def test_who_waits_as_long_as_told_is_in_the_next_window(now: datetime) -> None:
    shown = standing_of(LIMIT, hits=9, now=now)
    assert 1 <= shown.reset_seconds <= 60
    assert LIMIT.window(now + timedelta(seconds=shown.reset_seconds)) == LIMIT.window(now) + 1


@pytest.mark.parametrize(
    ("hits", "remaining", "is_used_up", "is_exceeded"),
    [
        (0, 3, False, False),
        (2, 1, False, False),
        (3, 0, True, False),
        (4, 0, True, True),
        (99, 0, True, True),
    ],
)
def test_where_one_stands(hits: int, remaining: int, is_used_up: bool, is_exceeded: bool) -> None:
    shown = standing_of(LIMIT, hits=hits, now=datetime(2026, 3, 29, tzinfo=UTC))
    assert (shown.remaining, shown.is_used_up, shown.is_exceeded) == (remaining, is_used_up, is_exceeded)
