"""Hands out the sequence numbers of a day."""

import os
import threading
import time
from datetime import UTC, date, datetime

from sav.models.database import NestedTransaction, database, is_sqlite, transaction

LARGEST_BLOCK = 64
"""So many numbers at most a process takes at once: as many are never used when it ends."""
BLOCK_SECONDS = 1.0
"""How long numbers that were taken in advance are good, so that larger numbers mean later tickets."""
BLOCK_WAIT_SECONDS = 1.0
"""How long a thread waits for the one that takes a block; then it asks for a number of its own, so that
before a silent database all give up at the same time, and not one after the other."""

_SERVER = (
    "INSERT INTO ticket_number_sequences (day, last_sequence) VALUES (%s, LAST_INSERT_ID(%s)) "
    "ON DUPLICATE KEY UPDATE last_sequence = LAST_INSERT_ID(last_sequence + %s)"
)
_SQLITE = (
    "INSERT INTO ticket_number_sequences (day, last_sequence) VALUES (?, ?) "
    "ON CONFLICT (day) DO UPDATE SET last_sequence = last_sequence + ? RETURNING last_sequence"
)


class _Numbers:
    """Numbers of one day that this process has taken and not used yet.

    A desk with little to do takes them one by one, and leaves no gaps. Whoever uses a block up in its time
    takes a larger one next.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._day: date | None = None
        self._good_until = 0.0
        self._size = 1
        self._left = range(0)

    def next(self, day: date) -> int:
        # Held while a block is taken too: whoever waits for it would wait for the same row otherwise.
        if not self._lock.acquire(timeout=BLOCK_WAIT_SECONDS):
            return next_sequences(day, 1)[0]
        try:
            is_good = self._day == day and time.monotonic() < self._good_until
            if not (is_good and self._left):
                self._size = min(self._size * 2, LARGEST_BLOCK) if is_good else 1
                self._left = next_sequences(day, self._size)
                self._day, self._good_until = day, time.monotonic() + BLOCK_SECONDS
            number, self._left = self._left[0], self._left[1:]
            return number
        finally:
            self._lock.release()


_numbers = _Numbers()


def forget_numbers() -> None:
    """For whoever puts another database under a running process, and for its children, whose numbers these
    are not."""
    global _numbers
    _numbers = _Numbers()


os.register_at_fork(after_in_child=forget_numbers)


def next_sequence(now: datetime) -> int:
    """The next number of the UTC day of `now`, from 1; never the same twice.

    It commits by itself, before the ticket's own transaction: the day's row would otherwise be locked by
    every new ticket until its commit. A number whose ticket is then not written is never used.
    """
    return _numbers.next(now.astimezone(UTC).date())


def next_sequences(day: date, count: int) -> range:
    """As many numbers of a day at once, in a row; not inside a transaction, whose end nobody waits for."""
    if database.in_transaction():
        raise NestedTransaction
    values = (f"{day:%Y%m%d}", count, count)
    if is_sqlite():
        with transaction():
            (last,) = database.execute_sql(_SQLITE, values).fetchone()
    else:
        # The server returns what LAST_INSERT_ID(…) was given with the statement's own answer.
        last = database.execute_sql(_SERVER, values).lastrowid
    return range(int(last) - count + 1, int(last) + 1)
