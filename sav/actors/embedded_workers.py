"""Workers without a broker: threads of this process that do what the relay and the hints tell them."""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from sav.actors.effects import Effect
from sav.actors.hint_queue import HintQueue
from sav.actors.relay import NotNow
from sav.models.database import drop_connection, ensure_connection
from sav.operations.hints import Bundle, Hint

CAPACITY = 1000
"""How many hints may wait for a thread; the relay brings back what finds no place."""
IDLE_SECONDS = 3.0
"""After so long without work a thread lets go of its connection to the broker, if it has one."""

log = structlog.get_logger(__name__)


class EmbeddedWorkers:
    """`threads` threads that take hints from one queue, on which nothing depends: tokens are in the database.

    `accepts` says whether it makes sense to do an effect now; `release` is called in a thread that has had
    nothing to do, and at its end.
    """

    def __init__(
        self,
        effects: Mapping[str, Effect],
        *,
        threads: int,
        accepts: Callable[[str], bool] = lambda _: True,
        release: Callable[[], None] = lambda: None,
        capacity: int = CAPACITY,
    ) -> None:
        self._effects = effects
        self._accepts = accepts
        self._release = release
        self._queue = HintQueue(capacity=capacity)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            for number in range(1, threads + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_seconds: float) -> bool:
        """Ends after the effects that are being done; returns whether all threads ended in time."""
        self._stopping.set()
        self._queue.close()
        give_up_at = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def hint(self, hint: Hint) -> None:
        """For writers: never waits and never raises."""
        self._queue.offer(hint)

    def accept(self, bundle: Bundle) -> None:
        """For the relay: takes hints, or raises `NotNow` when one has no place, or makes no sense now."""
        if not self._accepts(bundle.effect):
            raise NotNow
        if not all(self._queue.offer(hint) for hint in bundle.hints()):
            raise NotNow

    def _run(self) -> None:
        while not self._stopping.is_set():
            bundle = self._queue.take(timeout_seconds=IDLE_SECONDS)
            if bundle is None:
                self._release()
            else:
                self._do(bundle)
        self._release()
        drop_connection()

    def _do(self, bundle: Bundle) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(action=bundle.effect)
        try:
            ensure_connection()
            self._effects[bundle.effect](bundle.ticket_ids)
        except Exception:
            # The token is still there, and the relay comes back to it.
            log.exception("an effect failed")


class LocalDispatch:
    """The relay's door to the workers of this process."""

    def __init__(self, workers: EmbeddedWorkers) -> None:
        self._workers = workers

    def __call__(self, bundle: Bundle) -> None:
        self._workers.accept(bundle)

    def release(self) -> None:
        """Nothing is held open."""
