"""A worker as it runs: dramatiq, its middleware, the relay and the actors on a real broker."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
import pika
import pytest
from dramatiq.middleware import SkipMessage, TimeLimit
from dramatiq.worker import Worker

from sav import bootstrap
from sav.actors.broker import HintDispatcher, effects_queue, rabbitmq_broker
from sav.actors.effects import effect_table
from sav.actors.middleware import DatabaseConnection
from sav.domain.effects import (
    BUILD_EXPORT,
    ERASE_PERSON,
    HANDLE_RECEIVED_EVENT,
    RETRY_POLICIES,
    SEND_MAIL,
    SWEEP_FILES,
)
from sav.domain.subscriptions import SUBSCRIPTIONS
from sav.models import database
from sav.operations import hints
from sav.operations.hints import Bundle
from sav.scheduler import TICKS
from sav.settings import Settings
from tests.actors.conftest import Subscriber, eventually, parameters
from tests.actors.owed import add_message, means, new_ticket, owed
from tests.servers.cable import Cable


@contextmanager
def running(broker: dramatiq.Broker, *, threads: int = 4) -> Iterator[None]:
    worker = Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop(timeout=20_000)
        broker.close()


def test_every_effect_that_somebody_owes_is_in_the_table() -> None:
    named = {effect for effects in SUBSCRIPTIONS.values() for effect in effects} | {
        tick.effect for tick in TICKS.values()
    }
    table = effect_table(means())
    asked_for = {BUILD_EXPORT, ERASE_PERSON, HANDLE_RECEIVED_EVENT, SEND_MAIL, SWEEP_FILES}
    assert table.keys() == named | asked_for == RETRY_POLICIES.keys()


def test_every_effect_has_a_time_limit(settings: Settings) -> None:
    broker = bootstrap.worker_broker(settings)
    (limits,) = (part for part in broker.middleware if isinstance(part, TimeLimit))
    for name in broker.get_declared_actors():
        message = dramatiq.Message(queue_name="q", actor_name=name, args=(), kwargs={}, options={})
        limits.before_process_message(broker, message)
        (deadline,) = limits.manager.deadlines.values()
        minutes = 14 if name in (BUILD_EXPORT, ERASE_PERSON, SWEEP_FILES) else 5
        assert deadline - time.monotonic() == pytest.approx(minutes * 60, abs=5)


def test_a_worker_follows_hints_until_nothing_is_owed(
    settings: Settings, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    with running(bootstrap.worker_broker(settings)):
        sender = bootstrap.web_hints(settings)
        tickets = [new_ticket(messages=2) for _ in range(5)]
        subscriber.wait_for(15)
        eventually(lambda: owed() == 0, "all tokens to be gone")
        assert sender.stop(timeout_seconds=10)
    for ticket_id in tickets:
        assert subscriber.first_sequences(ticket_id) == [1, 2, 3]
    of_dramatiq = (record for record in caplog.records if record.name.startswith("dramatiq"))
    assert [record.message for record in of_dramatiq if record.levelno >= logging.WARNING] == []


def test_a_worker_finds_what_was_owed_before_it_started(settings: Settings, subscriber: Subscriber) -> None:
    ticket_id = new_ticket(messages=3)
    with running(bootstrap.worker_broker(settings)):
        subscriber.wait_for(4)
        eventually(lambda: owed() == 0, "all tokens to be gone")
    assert subscriber.first_sequences(ticket_id) == [1, 2, 3, 4]


@pytest.mark.parametrize("trouble", ["cut", "black_hole"])
def test_everything_is_published_in_order_once_the_broker_is_back(
    settings: Settings, settings_by_cable: Settings, subscriber: Subscriber, cable: Cable, trouble: str
) -> None:
    with running(bootstrap.worker_broker(settings_by_cable)):
        tickets = [new_ticket(messages=1) for _ in range(3)]
        subscriber.wait_for(6)
        getattr(cable, trouble)()
        for ticket_id in tickets:
            add_message(ticket_id)
        tickets.append(new_ticket())
        assert owed() >= 4
        cable.mend()
        subscriber.wait_for(10)
        eventually(lambda: owed() == 0, "all tokens to be gone")
    assert [subscriber.first_sequences(ticket_id) for ticket_id in tickets] == [[1, 2, 3]] * 3 + [[1]]


def test_queues_that_were_declared_with_other_arguments_are_used(settings: Settings) -> None:
    queue = effects_queue(settings)
    with pika.BlockingConnection(parameters(settings)) as connection:
        connection.channel().queue_declare(queue, durable=True, arguments={"x-max-length": 5})
        HintDispatcher(rabbitmq_broker(settings), queue_name=queue)(Bundle("publish_event", (1,)))
        answer = connection.channel().queue_declare(queue, passive=True)
        assert answer.method.message_count == 1


def test_without_a_database_a_hint_is_left_to_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise database.DatabaseUnavailable("away")

    monkeypatch.setattr("sav.actors.middleware.ensure_connection", away)
    with pytest.raises(SkipMessage):
        DatabaseConnection().before_process_message(None, None)  # type: ignore[arg-type]


def test_embedded_workers_do_everything_and_continue_after_a_restart(settings: Settings) -> None:
    embedded = settings.model_copy(update={"SAV_BROKER": "embedded"})
    before = new_ticket(messages=1)
    first = bootstrap.embedded(embedded)
    first.start()
    during = new_ticket(messages=1)
    eventually(lambda: owed() == 0, "all tokens to be gone")
    assert first.stop(timeout_seconds=10)

    hints.listen(lambda hint: None)
    after = new_ticket()
    second = bootstrap.embedded(embedded)
    second.start()
    eventually(lambda: owed() == 0, "all tokens to be gone")
    assert second.stop(timeout_seconds=10)

    lines = [json.loads(line) for line in (settings.SAV_DATA_DIR / "events.jsonl").read_text().splitlines()]
    told = [(line["data"]["ticket_id"], line["sequence"]) for line in lines]
    assert sorted(told) == [(before, 1), (before, 2), (during, 1), (during, 2), (after, 1)]


def test_embedded_workers_publish_to_the_exchange_and_wait_for_it(
    settings_by_cable: Settings, subscriber: Subscriber, cable: Cable
) -> None:
    embedded = bootstrap.embedded(settings_by_cable)
    embedded.start()
    ticket_id = new_ticket()
    subscriber.wait_for(1)
    cable.cut()
    add_message(ticket_id)
    add_message(ticket_id)
    cable.mend()
    subscriber.wait_for(3)
    eventually(lambda: owed() == 0, "all tokens to be gone")
    assert embedded.stop(timeout_seconds=10)
    assert subscriber.first_sequences(ticket_id) == [1, 2, 3]


def counts(broker: dramatiq.Broker, queue: str) -> tuple[int, int, int]:
    """Messages that wait, that are delayed, and that are dead."""
    waiting, delayed, dead = broker.get_queue_message_counts(queue)  # type: ignore[attr-defined]
    return waiting, delayed, dead
