"""A bounded queue of hints between threads, in which equal hints are one."""

import threading
from itertools import zip_longest

from sav.operations.hints import Bundle, Hint, bundle_size, cut


class HintQueue:
    """First in, first out within an effect, whose hints leave in bundles; effects take turns.

    Whoever offers never waits; whoever takes does.
    """

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        # Dicts, for their order and because a hint that already waits needs no second place.
        self._waiting: dict[str, dict[int, None]] = {}
        self._length = 0
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return self._length

    def offer(self, hint: Hint) -> bool:
        """Returns whether the hint has a place now: not when the queue is full or closed."""
        with self._changed:
            if hint.ticket_id in self._waiting.get(hint.effect, ()):
                return True
            if self._closed or self._length >= self._capacity:
                return False
            self._waiting.setdefault(hint.effect, {})[hint.ticket_id] = None
            self._length += 1
            self._changed.notify()
            return True

    def take(self, *, timeout_seconds: float) -> Bundle | None:
        """Of the effect that waits longest; None when none came in time, or when it is closed and empty."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout_seconds)
            return self._take() if self._waiting else None

    def take_all(self, *, timeout_seconds: float) -> list[Bundle]:
        """All that wait, in their order; empty when none came in time, or when it is closed and empty."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout_seconds)
            waiting, self._waiting, self._length = self._waiting, {}, 0
        # Nobody who offers waits for that.
        kinds = [cut(effect, ticket_ids) for effect, ticket_ids in waiting.items()]
        return [bundle for turn in zip_longest(*kinds) for bundle in turn if bundle is not None]

    def clear(self) -> int:
        """Empties the queue; returns how many hints were in it."""
        with self._changed:
            dropped, self._length = self._length, 0
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

    def _take(self) -> Bundle:
        effect = next(iter(self._waiting))
        size, waiting = bundle_size(effect), tuple(self._waiting.pop(effect))
        taken, left = waiting[:size], waiting[size:]
        if left:
            # Behind the other effects, whose turn it is now.
            self._waiting[effect] = dict.fromkeys(left)
        self._length -= len(taken)
        return Bundle(effect, taken)
