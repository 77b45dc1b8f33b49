"""The relay: finds in the database what is due and was not done, and hands it to the workers.

Hints make effects quick; the relay makes them certain.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from sav.actors.circuit_breaker import CircuitBreaker
from sav.models.database import drop_connection, ensure_connection
from sav.operations.due_effects import return_hints, take_due_hints
from sav.operations.hints import Bundle, Hint, bundles

INTERVAL_SECONDS = 1.0
"""How often the relay looks."""
RETURNED_HINTS_WAIT = timedelta(seconds=1)
"""How soon a hint that could not be handed on is due again: so soon that all are out just after an outage."""
STOP_TIMEOUT_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Dispatch(Protocol):
    """Hands hints to whoever does the effects."""

    def __call__(self, bundle: Bundle) -> None:
        """Raises `NotNow` about this bundle, or anything else about all of them."""

    def release(self) -> None:
        """Lets go of what the calling thread holds open for it."""


class NotNow(Exception):
    """Whoever does the effects takes these hints later; others may still be taken."""


class DispatchFailed(Exception):
    """Some hints could not be handed on, and have been given back."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Relay:
    """A thread that looks every `interval_seconds`; less often while the database or the broker is away."""

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._dispatch = dispatch
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._breaker = CircuitBreaker(first_seconds=interval_seconds)
        self._stopping = threading.Event()
        self._trouble: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> bool:
        """Returns whether the thread has ended; it may hang in a silent broker, and dies with the process."""
        self._stopping.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def sweep(self) -> int:
        """Hands on all that is due; returns how many hints. Raises `DispatchFailed`, and database errors."""
        handed = 0
        while not self._stopping.is_set() and (due := take_due_hints(now=self._clock())):
            self._hand_on(bundles(due))
            handed += len(due)
        return handed

    def _hand_on(self, due: Sequence[Bundle]) -> None:
        refused: list[Bundle] = []
        for place, bundle in enumerate(due):
            try:
                self._dispatch(bundle)
            except NotNow:
                refused.append(bundle)
            except Exception as error:
                self._give_back([*refused, *due[place:]])
                raise DispatchFailed from error
        if refused:
            self._give_back(refused)
            raise DispatchFailed

    def _give_back(self, refused: Sequence[Bundle]) -> None:
        now = self._clock()
        hints: list[Hint] = [hint for bundle in refused for hint in bundle.hints()]
        return_hints(hints=hints, due_at=now + RETURNED_HINTS_WAIT, now=now)

    def _run(self) -> None:
        pause_seconds = self._interval_seconds
        while not self._stopping.wait(pause_seconds):
            pause_seconds = self._round()
        self._dispatch.release()
        drop_connection()

    def _round(self) -> float:
        """Looks once; returns how many seconds to wait before the next time."""
        try:
            ensure_connection()
            handed = self.sweep()
        except Exception as error:
            self._note_trouble(error)
            return self._breaker.failed()
        if handed:
            self._dispatch.release()
        # That nothing was due says nothing about a broker that has just failed.
        if handed or not isinstance(self._trouble, DispatchFailed):
            self._note_success()
        return self._interval_seconds

    def _note_trouble(self, error: Exception) -> None:
        if self._trouble is None:
            reason = type(error.__cause__ or error).__name__
            log.warning("the relay waits for the database or the broker", action="relay", reason=reason)
        self._trouble = error

    def _note_success(self) -> None:
        self._breaker.succeeded()
        if self._trouble is not None:
            log.info("the relay is at work again", action="relay")
        self._trouble = None
