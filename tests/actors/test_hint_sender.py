"""The notifier: never blocks, never raises, whatever the broker does."""

import os
import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from sav.actors.broker import HintDispatcher, effects_queue, rabbitmq_broker
from sav.actors.circuit_breaker import CircuitBreaker
from sav.actors.hint_queue import HintQueue
from sav.actors.hint_sender import BREATH_SECONDS, HintSender
from sav.operations.hints import HINTS_A_BUNDLE, Bundle, Hint
from sav.settings import Settings
from tests.actors.conftest import eventually
from tests.servers.cable import Cable

CALLS = 1000


def hint(number: int) -> Hint:
    return Hint("publish_event", number)


class Recorder:
    """Takes hints, or raises `error`; while `gate` is closed it hangs like a silent broker."""

    def __init__(self) -> None:
        self.sent: list[Hint] = []
        self.tried = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, bundle: Bundle) -> None:
        self.tried += 1
        self.entered.set()
        assert self.gate.wait(30)
        if self.error:
            raise self.error
        self.sent.extend(bundle.hints())

    def release(self) -> None:
        self.released.set()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.gate.set()


def test_hints_are_sent_in_order(recorder: Recorder) -> None:
    sender = HintSender(recorder)
    for number in range(100):
        sender(hint(number))
    assert sender.stop(timeout_seconds=10)
    assert recorder.sent == [hint(number) for number in range(100)]
    assert sender.dropped == 0
    assert recorder.released.is_set(), "its connection is closed at the end"


def test_what_comes_in_one_breath_goes_in_one_message(recorder: Recorder) -> None:
    sender = HintSender(recorder)
    started = time.monotonic()
    for number in range(100):
        sender(hint(number))
        time.sleep(0.002)
    assert sender.stop(timeout_seconds=10)
    breaths = (time.monotonic() - started) / BREATH_SECONDS
    assert recorder.tried <= breaths + 1
    assert recorder.sent == [hint(number) for number in range(100)]


def test_a_breath_is_taken_even_when_more_has_come_while_a_message_was_sent(recorder: Recorder) -> None:
    def slowly(bundle: Bundle) -> None:
        time.sleep(0.005)
        recorder(bundle)

    slowly.release = recorder.release  # type: ignore[attr-defined]
    sender = HintSender(slowly)  # type: ignore[arg-type]
    started = time.monotonic()
    for number in range(100):
        sender(hint(number))
        sender(Hint("notify", number))
        time.sleep(0.002)
    assert sender.stop(timeout_seconds=10)
    breaths = (time.monotonic() - started) / BREATH_SECONDS
    assert recorder.tried <= 2 * (breaths + 1)
    assert len(recorder.sent) == 200


def test_a_hanging_broker_holds_up_nobody_and_the_queue_stays_bounded(recorder: Recorder) -> None:
    sender = HintSender(recorder, capacity=100)
    recorder.gate.clear()
    sender(hint(-1))
    assert recorder.entered.wait(10)
    # Every call returns although the only thread that sends hangs, and keeps hanging, in the broker.
    for number in range(CALLS):
        sender(hint(number))
    assert recorder.tried == 1
    assert sender.dropped == CALLS - 100
    recorder.gate.set()
    assert sender.stop(timeout_seconds=10)
    assert recorder.sent == [hint(-1), *(hint(number) for number in range(100))]


def test_equal_hints_that_wait_are_one(recorder: Recorder) -> None:
    sender = HintSender(recorder, capacity=10)
    recorder.gate.clear()
    sender(hint(-1))
    assert recorder.entered.wait(10)
    for _ in range(CALLS):
        sender(hint(1))
        sender(hint(2))
    recorder.gate.set()
    assert sender.stop(timeout_seconds=10)
    assert (recorder.sent, sender.dropped) == ([hint(-1), hint(1), hint(2)], 0)


def test_after_a_failure_hints_are_dropped_at_once_until_the_pause_is_over(recorder: Recorder) -> None:
    breaker = CircuitBreaker(first_seconds=3600, longest_seconds=3600)
    sender = HintSender(recorder, breaker=breaker)
    recorder.error = TypeError("not one of AMQP's own errors")
    sender(hint(0))
    eventually(lambda: breaker.is_open, "the breaker to open")
    for number in range(CALLS):
        sender(hint(number))
    assert recorder.tried == 1
    eventually(lambda: sender.dropped == CALLS + 1, "the failed hint to be counted")

    recorder.error = None
    breaker.succeeded()
    sender(hint(7))
    assert sender.stop(timeout_seconds=10)
    assert recorder.sent == [hint(7)]


def test_the_breaker_pauses_longer_each_time_up_to_its_cap() -> None:
    breaker = CircuitBreaker(first_seconds=0.001, longest_seconds=0.004)
    pauses = []
    for _ in range(5):
        pauses.append(breaker.failed())
        eventually(lambda: not breaker.is_open, "the pause to end")
    assert pauses == [0.001, 0.002, 0.004, 0.004, 0.004]
    breaker.succeeded()
    assert breaker.failed() == 0.001


def test_failures_while_it_is_open_do_not_prolong_the_pause() -> None:
    breaker = CircuitBreaker(first_seconds=60, longest_seconds=3600)
    assert [breaker.failed() for _ in range(3)] == [60, 60, 60]


def test_drops_are_logged_once_in_an_interval(recorder: Recorder) -> None:
    with capture_logs() as logs:
        sender = HintSender(recorder, capacity=1)
        recorder.gate.clear()
        sender(hint(0))
        assert recorder.entered.wait(10)
        for number in range(CALLS):
            sender(hint(number))
        recorder.gate.set()
        assert sender.stop(timeout_seconds=10)
    (line,) = [line for line in logs if line["event"] == "hints were dropped"]
    assert line["dropped"] == CALLS - 1


def test_a_forked_process_gets_a_thread_of_its_own(recorder: Recorder) -> None:
    sender = HintSender(recorder)
    sender(hint(1))
    eventually(lambda: recorder.sent == [hint(1)], "the parent's thread to send")
    child = os.fork()
    if child == 0:
        try:
            sender(hint(2))
            stopped = sender.stop(timeout_seconds=10)
            os._exit(0 if stopped and recorder.sent == [hint(1), hint(2)] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sender(hint(3))
    assert sender.stop(timeout_seconds=10)
    assert recorder.sent == [hint(1), hint(3)]


def test_a_queue_that_is_closed_takes_nothing_and_gives_what_it_has() -> None:
    queue = HintQueue(capacity=5)
    assert queue.offer(hint(1))
    queue.close()
    assert not queue.offer(hint(2))
    assert queue.take(timeout_seconds=0) == Bundle("publish_event", (1,))
    assert queue.take(timeout_seconds=3600) is None, "and does not wait for more"


def test_all_that_waits_can_be_taken_at_once() -> None:
    queue = HintQueue(capacity=1000)
    for number in range(HINTS_A_BUNDLE + 1):
        assert queue.offer(hint(number))
    assert queue.offer(Hint("scan_attachment", 1))
    assert queue.take_all(timeout_seconds=3600) == [
        Bundle("publish_event", tuple(range(HINTS_A_BUNDLE))),
        Bundle("scan_attachment", (1,)),
        Bundle("publish_event", (HINTS_A_BUNDLE,)),
    ]
    assert queue.take_all(timeout_seconds=0) == []
    queue.close()
    assert queue.take_all(timeout_seconds=3600) == []


def test_hints_of_an_effect_that_is_done_for_many_tickets_leave_together_and_effects_take_turns() -> None:
    queue = HintQueue(capacity=1000)
    for number in range(HINTS_A_BUNDLE + 1):
        assert queue.offer(hint(number))
    assert queue.offer(Hint("scan_attachment", 1))
    assert queue.offer(Hint("scan_attachment", 2))
    taken = [queue.take(timeout_seconds=0) for _ in range(5)]
    assert taken == [
        Bundle("publish_event", tuple(range(HINTS_A_BUNDLE))),
        Bundle("scan_attachment", (1,)),
        Bundle("publish_event", (HINTS_A_BUNDLE,)),
        Bundle("scan_attachment", (2,)),
        None,
    ]
    assert len(queue) == 0


@pytest.mark.parametrize("trouble", ["cut", "black_hole"])
def test_with_the_real_broker_away_callers_go_on_and_hints_flow_again_after(
    settings_by_cable: Settings, cable: Cable, trouble: str
) -> None:
    broker = rabbitmq_broker(settings_by_cable)
    queue = effects_queue(settings_by_cable)
    sender = HintSender(HintDispatcher(broker, queue_name=queue), capacity=10)

    def waiting() -> int:
        return int(broker.get_queue_message_counts(queue)[0])  # type: ignore[attr-defined]

    sender(hint(-1))
    eventually(lambda: waiting() == 1, "the first hint to arrive")
    getattr(cable, trouble)()
    for number in range(CALLS):
        sender(hint(number))
    # Nobody has been kept waiting: the sender is still at its first try, with a queue's worth at most in its
    # hands, or has given up already.
    assert sender.dropped >= CALLS - 2 * 10
    cable.mend()

    def flows() -> bool:
        sender(hint(CALLS))
        return waiting_by_another_way(settings_by_cable, queue) >= 2

    eventually(flows, "hints to flow again")
    sender.stop(timeout_seconds=10)


def waiting_by_another_way(settings: Settings, queue: str) -> int:
    broker = rabbitmq_broker(settings)
    try:
        return int(broker.get_queue_message_counts(queue)[0])  # type: ignore[attr-defined]
    except Exception:
        return 0
    finally:
        broker.close()
