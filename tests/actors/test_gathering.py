"""Gathering: a few threads do what all are told, and nothing that was told is forgotten."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from sav.actors import gathering
from sav.actors.gathering import THREADS_AT_WORK, Gathering
from sav.operations import hints
from sav.operations.hints import Hint
from tests.actors.threads import at_the_same_time

EFFECT = "publish_event"


class Work:
    """Notes what is done; hangs in it while `gate` is closed."""

    def __init__(self) -> None:
        self.bundles: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()

    def __call__(self, ticket_ids: Sequence[int]) -> None:
        self.bundles.append(list(ticket_ids))
        self.begun.release()
        assert self.gate.wait(30)

    @property
    def done(self) -> list[int]:
        return sorted(ticket_id for bundle in self.bundles for ticket_id in bundle)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.gate.set()


def test_what_comes_while_others_are_at_work_is_left_to_them_and_done_together(work: Work) -> None:
    gather = Gathering(EFFECT, work)
    at_work = [threading.Thread(target=gather, args=([-place],)) for place in range(1, THREADS_AT_WORK + 1)]
    for thread in at_work:
        thread.start()
        assert work.begun.acquire(timeout=30)
    for ticket_id in range(50):
        # It returns at once, although those who are at work hang.
        gather([ticket_id])
    work.gate.set()
    for thread in at_work:
        thread.join(30)
    assert work.done == [*range(-THREADS_AT_WORK, 0), *range(50)]
    assert len(work.bundles) == THREADS_AT_WORK + 1


def test_nothing_is_forgotten_however_threads_come_and_go(work: Work) -> None:
    work.gate.set()
    gather = Gathering(EFFECT, work)

    def tell(first: int) -> None:
        for ticket_id in range(first, first + 500):
            gather([ticket_id])

    at_the_same_time(*[lambda first=first: tell(first) for first in range(0, 4000, 500)])
    assert work.done == list(range(4000))


def test_a_failure_frees_the_place_and_what_waits_is_done_by_the_next() -> None:
    told: list[int] = []

    def fail_once(ticket_ids: Sequence[int]) -> None:
        told.extend(ticket_ids)
        if 1 in ticket_ids:
            raise RuntimeError("no luck")

    gather = Gathering(EFFECT, fail_once)
    for _ in range(THREADS_AT_WORK + 1):
        with pytest.raises(RuntimeError):
            gather([1])
    gather([2])
    assert told == [*[1] * (THREADS_AT_WORK + 1), 2]


def test_after_its_turn_a_thread_passes_on_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "TURN_SECONDS", 0.0)
    passed_on: list[Hint] = []
    hints.listen(passed_on.append)

    def told_meanwhile(ticket_ids: Sequence[int]) -> None:
        if ticket_ids[0] == 1:
            gather._waiting.offer(Hint(EFFECT, 2))

    gather = Gathering(EFFECT, told_meanwhile)
    gather([1])
    assert passed_on == [Hint(EFFECT, 2)]
    hints.listen(lambda hint: None)
