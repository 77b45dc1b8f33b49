"""Answers that are kept ready in this process, and given again while nothing they show has changed.

An entry holds what the database said of the caller's sight *before* the answer was read, and is good for as
long as the database says the same: so a write by any process makes it worthless with its commit. The
lifetimes only bound how long memory is held by what nobody asks for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cachetools import TTLCache

from sav.models.replica import read_at
from sav.telemetry import metrics

if TYPE_CHECKING:
    from sav.http.routes import Reply
    from sav.models.replica import Replica
    from sav.models.tables import Attachment

MEGABYTE = 1_048_576
ENTRY_BYTES = 2_000
"""What an entry takes beside its content and the texts of its key: Python's and the cache's bookkeeping."""
FILE_BYTES = 4_000
"""What the row of an attachment takes."""
LARGEST_ENTRY = 1 / 8
"""An answer that would take more of a cache than this is not kept."""

T = TypeVar("T")
Key = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    state: Hashable
    answer: T
    size: int


class AnswerCache(Generic[T]):
    """One kind of answers, bounded by bytes and by age; nothing is kept when either bound is zero.

    What is not kept is read at the `replica`, if there is one, as soon as that is in the same state.

    A key must name all that the answer depends on beside the database: the caller's sight first of all.
    `weigh` says how many bytes the content of an answer takes.
    """

    def __init__(
        self,
        name: metrics.CacheName,
        weigh: Callable[[T], int],
        *,
        maximum_bytes: int,
        lifetime_seconds: float,
        replica: Replica | None = None,
    ) -> None:
        self.is_on = maximum_bytes > 0 and lifetime_seconds > 0
        self._replica = replica
        self._largest = int(maximum_bytes * LARGEST_ENTRY)
        self._weigh = weigh
        self._entries = _Entries(name, maximum_bytes, lifetime_seconds)
        self._lock = threading.Lock()
        self._hits, self._stale, self._absent = metrics.cache_reads(name)
        self._held = metrics.CACHE_BYTES.labels(name)

    def has(self, key: Key) -> bool:
        """Whether there is an answer, of whatever state; if not, nobody need ask for the state alone."""
        with self._lock:
            found = key in self._entries
        if self.is_on and not found:
            self._absent.inc()
        return found

    def get(self, key: Key, state: Hashable) -> T | None:
        """The answer that was read in this state of the database."""
        with self._lock:
            entry: _Entry[T] | None = self._entries.get(key)
        counter = self._absent if entry is None else self._hits if entry.state == state else self._stale
        counter.inc()
        return entry.answer if entry is not None and entry.state == state else None

    def put(self, key: Key, state: Hashable, answer: T) -> None:
        """Keeps an answer, all of which was read after `state`."""
        texts = sum(len(part) for part in key if isinstance(part, str))
        size = self._weigh(answer) + texts + ENTRY_BYTES
        if not self.is_on or size > self._largest:
            return
        with self._lock:
            self._entries[key] = _Entry(state, answer, size)
            held = self._entries.currsize
        self._held.set(held)

    def answer(self, key: Key, *, state: Callable[[], Hashable], make: Callable[[], T]) -> T:
        """What is kept, if it is still right; else what `make` reads, which is kept unless it raises."""
        if not self.is_on and self._replica is None:
            return make()
        # Before the data, so that whatever is committed in between makes the entry old at once.
        before = state()
        kept = self.get(key, before) if self.is_on else None
        if kept is None:
            kept = read_at(self._replica, make, state=state, before=before)
            self.put(key, before, kept)
        return kept

    @property
    def held_bytes(self) -> int:
        """What the entries are taken to need."""
        with self._lock:
            return int(self._entries.currsize)


class _Entries(TTLCache[Key, Any]):
    """Gives up what was not asked for longest; counts what had to go before its time."""

    def __init__(self, name: metrics.CacheName, maximum_bytes: int, lifetime_seconds: float) -> None:
        super().__init__(maximum_bytes, lifetime_seconds, getsizeof=lambda entry: entry.size)
        self._evicted = metrics.CACHE_EVICTIONS.labels(name)

    def popitem(self) -> tuple[Key, Any]:
        self._evicted.inc()
        return super().popitem()


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBounds:
    """How much each process keeps ready, and for how long."""

    megabytes: float = 32
    list_seconds: float = 180
    detail_seconds: float = 60
    statistics_seconds: float = 300
    attachment_seconds: float = 600


class AnswerCaches:
    """The caches of one process, and what each may take of its memory."""

    def __init__(self, bounds: CacheBounds | None = None, replica: Replica | None = None) -> None:
        bounds = bounds or CacheBounds()
        size = bounds.megabytes * MEGABYTE
        self.lists: AnswerCache[Reply] = AnswerCache(
            "lists",
            _weigh,
            maximum_bytes=int(0.45 * size),
            lifetime_seconds=bounds.list_seconds,
            replica=replica,
        )
        self.details: AnswerCache[Reply] = AnswerCache(
            "details",
            _weigh,
            maximum_bytes=int(0.35 * size),
            lifetime_seconds=bounds.detail_seconds,
            replica=replica,
        )
        self.statistics: AnswerCache[Reply] = AnswerCache(
            "statistics",
            _weigh,
            maximum_bytes=int(0.05 * size),
            lifetime_seconds=bounds.statistics_seconds,
            replica=replica,
        )
        self.file_lists: AnswerCache[Reply] = AnswerCache(
            "attachment_lists",
            _weigh,
            maximum_bytes=int(0.1 * size),
            lifetime_seconds=bounds.attachment_seconds,
            replica=replica,
        )
        self.files: AnswerCache[Attachment] = AnswerCache(
            "attachments",
            lambda _: FILE_BYTES,
            maximum_bytes=int(0.05 * size),
            lifetime_seconds=bounds.attachment_seconds,
            replica=replica,
        )


def _weigh(reply: Reply) -> int:
    return len(reply.content or b"") + len(reply.next_page or "")
