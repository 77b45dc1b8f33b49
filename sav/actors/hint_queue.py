"""A bounded queue of hints between threads, in which equal hints are one."""

import threading

from sav.operations.hints import Hint


class HintQueue:
    """First in, first out. Whoever offers never waits; whoever takes does."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        # A dict, for its order and because a hint that already waits needs no second place.
        self._waiting: dict[Hint, None] = {}
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, hint: Hint) -> bool:
        """Returns whether the hint has a place now: not when the queue is full or closed."""
        with self._changed:
            if hint in self._waiting:
                return True
            if self._closed or len(self._waiting) >= self._capacity:
                return False
            self._waiting[hint] = None
            self._changed.notify()
            return True

    def take(self, *, timeout_seconds: float) -> Hint | None:
        """The hint that waits longest; None when none came in time, or when the queue is closed and empty."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout_seconds)
            if not self._waiting:
                return None
            hint = next(iter(self._waiting))
            del self._waiting[hint]
            return hint

    def clear(self) -> tuple[Hint, ...]:
        """Empties the queue; returns what was in it."""
        with self._changed:
            dropped = tuple(self._waiting)
            self._waiting.clear()
            return dropped

    def close(self) -> None:
        """Takes nothing more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed
