"""Leaves a broker alone for a while after it has failed."""

import time

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 3.0
"""The cap of the doubling pause: also how late the broker's return may be noticed."""


class CircuitBreaker:
    """Closed, everything goes; open, nothing does until the pause is over, and what comes then is the probe.

    Any thread may ask and report.
    """

    def __init__(
        self, *, first_seconds: float = FIRST_PAUSE_SECONDS, longest_seconds: float = LONGEST_PAUSE_SECONDS
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._pause_seconds = 0.0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def failed(self) -> float:
        """Opens it; returns for how many seconds."""
        if not self.is_open:
            doubled = max(self._first_seconds, 2 * self._pause_seconds)
            self._pause_seconds = min(self._longest_seconds, doubled)
            self._open_until = time.monotonic() + self._pause_seconds
        return self._pause_seconds

    def succeeded(self) -> None:
        self._pause_seconds = 0.0
        self._open_until = 0.0
