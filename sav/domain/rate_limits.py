"""How much is too much: so many times in a window of time, counted anew in each window."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sav.domain.errors import SavError


class RateLimited(SavError):
    """Too many requests; wait as long as `Retry-After` says."""

    code = "rate_limited"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`allowed` times in each window of `window_seconds`; windows begin at whole multiples of their length.

    A burst over the edge of two windows can so be twice as long, and whoever was refused is heard again
    when the window ends, however often they have asked meanwhile.
    """

    name: str
    allowed: int
    window_seconds: int

    def window(self, now: datetime) -> int:
        """The number of the window that `now` lies in."""
        return int(now.timestamp()) // self.window_seconds

    def ends_at(self, now: datetime) -> datetime:
        """When that window ends."""
        end = (self.window(now) + 1) * self.window_seconds
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=end)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands with a limit, after `hits` in this window."""

    limit: RateLimit
    hits: int
    reset_seconds: int
    """Until the window ends: whole seconds, at least one."""

    @property
    def remaining(self) -> int:
        return max(0, self.limit.allowed - self.hits)

    @property
    def is_exceeded(self) -> bool:
        """Whether the last hit was one too many."""
        return self.hits > self.limit.allowed

    @property
    def is_used_up(self) -> bool:
        """Whether the next hit would be one too many."""
        return self.hits >= self.limit.allowed


def standing_of(limit: RateLimit, *, hits: int, now: datetime) -> Standing:
    """How a limit stands at `now` with so many hits in its window."""
    seconds = (limit.ends_at(now) - now).total_seconds()
    return Standing(limit, hits, max(1, math.ceil(seconds)))
