"""The notifier: tells the workers about due effects, without ever keeping a request waiting.

It owns the only AMQP connection of a web process. Whatever it drops, the relay finds.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence

import structlog

from sav.actors.circuit_breaker import CircuitBreaker
from sav.actors.hint_queue import HintQueue
from sav.actors.relay import Dispatch
from sav.operations.hints import Bundle, Hint

CAPACITY = 1000
"""How many hints may wait while the broker is slow, behind as many that are being sent; more are dropped."""
IDLE_SECONDS = 5.0
"""After so long without a hint the connection is closed, before the broker misses its heartbeats."""
REPORT_INTERVAL_SECONDS = 30.0
"""How often, at most, the log says that hints were dropped."""
BREATH_SECONDS = 0.05
"""How long what comes after a wave of messages, or while it is sent, waits to go together: the first hint
after a pause goes at once, and a busy process spends its time on requests, not on a message and a confirm for
each of them."""

log = structlog.get_logger(__name__)


class HintSender:
    """Call it with a hint; a thread of its own, which the first call in each process starts, sends it on."""

    def __init__(
        self, dispatch: Dispatch, *, capacity: int = CAPACITY, breaker: CircuitBreaker | None = None
    ) -> None:
        self._dispatch = dispatch
        self._capacity = capacity
        self._breaker = breaker or CircuitBreaker()
        self._begin()
        # A forked child inherits neither the thread nor a usable state of its locks.
        os.register_at_fork(after_in_child=_weakly(self._begin))

    def __call__(self, hint: Hint) -> None:
        """Takes microseconds, whatever the broker does; never raises."""
        if self._breaker.is_open or not self._queue.offer(hint):
            self._dropped += 1
        if self._thread is None:
            self._start()

    def stop(self, *, timeout_seconds: float) -> bool:
        """Sends what waits, for that long at most; returns whether the thread has ended."""
        self._queue.close()
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_seconds)
        return not thread.is_alive()

    @property
    def dropped(self) -> int:
        """How many hints this process has left to the relay."""
        return self._dropped

    def _begin(self) -> None:
        self._queue = HintQueue(capacity=self._capacity)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        # Counted without a lock: a number for the log, in which a lost increment does no harm.
        self._dropped = 0
        self._reported = 0
        self._reported_at = 0.0

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hint-sender", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            wave = self._queue.take_all(timeout_seconds=IDLE_SECONDS)
            if wave:
                self._send(wave)
                # Even when more has come meanwhile: under load something always has.
                time.sleep(BREATH_SECONDS)
            elif self._queue.closed and not len(self._queue):
                break
            else:
                self._dispatch.release()
            self._report()
        self._dispatch.release()

    def _send(self, wave: Sequence[Bundle]) -> None:
        for place, bundle in enumerate(wave):
            try:
                # Not only AMQP's own errors: a broker that accepts and then says nothing raises others.
                self._dispatch(bundle)
            except Exception as error:
                pause_seconds = self._breaker.failed()
                unsent = sum(len(left.ticket_ids) for left in wave[place:])
                self._dropped += unsent + self._queue.clear()
                log.warning(
                    "the broker is unavailable; the relay will find what is due",
                    action="hint",
                    reason=type(error).__name__,
                    pause_seconds=pause_seconds,
                )
                return
        self._breaker.succeeded()

    def _report(self) -> None:
        if self._dropped == self._reported or time.monotonic() - self._reported_at < REPORT_INTERVAL_SECONDS:
            return
        log.warning("hints were dropped", action="hint", dropped=self._dropped - self._reported)
        self._reported, self._reported_at = self._dropped, time.monotonic()


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Calls a method as long as its object lives: what is registered for forks can never be taken back."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if alive := reference():
            alive()

    return call
