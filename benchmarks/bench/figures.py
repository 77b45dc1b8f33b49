"""What is read off many numbers."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` of them do not exceed; `values` need not be sorted.

    Raises `ValueError` when there are none.
    """
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


@dataclass(frozen=True)
class Spread:
    """The middle of the rounds, and how far they lie apart."""

    median: float
    lowest: float
    highest: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Raises `ValueError` when there are no values."""
        known = list(values)
        if not known:
            raise ValueError("no values")
        return cls(statistics.median(known), min(known), max(known), len(known))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The median of ours to the median of theirs; None when either was not measured, or theirs is zero."""
    if not ours or not theirs:
        return None
    bottom = statistics.median(theirs)
    return statistics.median(ours) / bottom if bottom else None


def is_noise(one: float, other: float, *, noise: float) -> bool:
    """Whether two values lie so close together that they count as the same."""
    return abs(one - other) <= noise * max(abs(one), abs(other))


def growth(values: Sequence[float]) -> float | None:
    """By which share the values have grown over their second half; None when there are fewer than three."""
    if len(values) < 3:
        return None
    middle = values[len(values) // 2]
    return values[-1] / middle - 1 if middle else None
