"""Joins what the threads of a process are told at the same time, so that few do it, and much at once."""

import threading
import time
from collections.abc import Callable, Sequence

from sav.actors.hint_queue import HintQueue
from sav.operations import hints
from sav.operations.hints import Hint

CAPACITY = 10_000
"""How many tickets may wait for those at work; the relay brings back what finds no place."""
THREADS_AT_WORK = 2
"""One computes while the other waits for the database or the broker."""
TURN_SECONDS = 5.0
"""How long a thread goes on with what others were told: then it looks for other work, or for the end."""


class Gathering:
    """An effect for many threads, of which few do it.

    A thread that is told while those are at work leaves its tickets to them, and is free for other effects.
    """

    def __init__(self, effect: str, do: Callable[[Sequence[int]], None]) -> None:
        self._effect = effect
        self._do = do
        self._waiting = HintQueue(capacity=CAPACITY)
        self._places = threading.Semaphore(THREADS_AT_WORK)

    def __call__(self, ticket_ids: Sequence[int]) -> None:
        for ticket_id in ticket_ids:
            self._waiting.offer(Hint(self._effect, ticket_id))
        stop_at = time.monotonic() + TURN_SECONDS
        # Whoever leaves a place looks once more: somebody may just have found it taken.
        while len(self._waiting) and self._places.acquire(blocking=False):
            try:
                self._take_one_bundle()
            except BaseException:
                self._pass_on()
                raise
            finally:
                self._places.release()
            if time.monotonic() >= stop_at:
                self._pass_on()

    def _take_one_bundle(self) -> None:
        bundle = self._waiting.take(timeout_seconds=0)
        if bundle is not None:
            self._do(bundle.ticket_ids)

    def _pass_on(self) -> None:
        """Whoever is told next goes on, here or in another process."""
        while (bundle := self._waiting.take(timeout_seconds=0)) is not None:
            hints.give(set(bundle.hints()))
