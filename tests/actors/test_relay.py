"""The relay: what nobody did is found, whatever was away meanwhile."""

from datetime import timedelta

import peewee
import pytest
from structlog.testing import capture_logs

from sav.actors.relay import RETURNED_HINTS_WAIT, DispatchFailed, NotNow, Relay
from sav.domain.effects import PUBLISH_EVENT, REMOVE_OBJECTS
from sav.models.database import database
from sav.models.tables import DueEffect
from sav.operations import due_effects
from sav.operations.hints import Bundle, Hint
from tests.actors.conftest import eventually
from tests.actors.owed import LONG_AGO, new_ticket
from tests.actors.threads import at_the_same_time

pytestmark = pytest.mark.usefixtures("empty_database")

NOW = LONG_AGO + timedelta(hours=1)


class Workers:
    """Whoever is given hints; `broken` raises for all of them, `full_for` for some effects or tickets."""

    def __init__(self) -> None:
        self.given: list[Hint] = []
        self.broken = False
        self.full_for: set[int] = set()
        self.tries = 0

    def __call__(self, bundle: Bundle) -> None:
        self.tries += 1
        if self.broken:
            raise ConnectionError("no broker")
        if self.full_for.intersection(bundle.ticket_ids):
            raise NotNow
        self.given.extend(bundle.hints())

    def release(self) -> None:
        pass


def publish(ticket_id: int) -> Hint:
    return Hint(PUBLISH_EVENT, ticket_id)


def test_what_is_left_over_is_handed_on_once() -> None:
    tickets = [new_ticket() for _ in range(3)]
    workers = Workers()
    relay = Relay(workers, clock=lambda: NOW)
    assert relay.sweep() == 3
    assert relay.sweep() == 0
    assert sorted(hint.ticket_id for hint in workers.given) == tickets


def test_a_sweep_goes_on_until_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_effects, "HINTS_A_ROUND", 2)
    for _ in range(7):
        new_ticket()
    workers = Workers()
    assert Relay(workers, clock=lambda: NOW).sweep() == 7


def test_relays_share_the_work_without_overlap() -> None:
    tickets = [new_ticket() for _ in range(30)]
    workers = Workers()
    relays = [Relay(workers, clock=lambda: NOW) for _ in range(3)]
    at_the_same_time(*[relay.sweep for relay in relays])
    relays[0].sweep()
    assert sorted(hint.ticket_id for hint in workers.given) == tickets


def test_without_a_broker_one_try_is_made_and_all_is_given_back_for_soon() -> None:
    tickets = [new_ticket() for _ in range(5)]
    workers = Workers()
    workers.broken = True
    now = NOW
    relay = Relay(workers, clock=lambda: now)
    with pytest.raises(DispatchFailed):
        relay.sweep()
    assert workers.tries == 1
    workers.broken = False
    assert relay.sweep() == 0, "not at once"
    now += RETURNED_HINTS_WAIT
    assert relay.sweep() == 5
    assert sorted(hint.ticket_id for hint in workers.given) == tickets


def test_a_hint_that_is_refused_for_now_does_not_keep_back_the_others() -> None:
    tickets = [new_ticket() for _ in range(4)]
    # Of an effect that each ticket is told of by itself.
    DueEffect.update(effect=REMOVE_OBJECTS).execute()
    workers = Workers()
    workers.full_for = {tickets[0], tickets[2]}
    now = NOW
    relay = Relay(workers, clock=lambda: now)
    with pytest.raises(DispatchFailed):
        relay.sweep()
    assert sorted(hint.ticket_id for hint in workers.given) == [tickets[1], tickets[3]]
    workers.full_for = set()
    now += RETURNED_HINTS_WAIT
    assert relay.sweep() == 2
    assert sorted(hint.ticket_id for hint in workers.given) == tickets


def test_the_thread_waits_out_an_outage_says_so_once_and_stops_promptly() -> None:
    ticket_id = new_ticket()
    workers = Workers()
    workers.broken = True
    relay = Relay(workers, interval_seconds=0.01)
    with capture_logs() as logs:
        relay.start()
        eventually(lambda: workers.tries >= 2, "a second try")
        workers.broken = False
        eventually(lambda: workers.given == [publish(ticket_id)], "the hint to be handed on")
        eventually(lambda: len(logs) >= 2, "the end of the outage to be logged")
        assert relay.stop(timeout_seconds=10)
    assert [line["event"] for line in logs] == [
        "the relay waits for the database or the broker",
        "the relay is at work again",
    ]
    assert logs[0]["reason"] == "ConnectionError"


def test_the_thread_waits_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket_id = new_ticket()
    workers = Workers()
    connect, refused = database.obj._connect, []

    def away() -> None:
        refused.append(1)
        raise peewee.OperationalError(2003, "away")

    monkeypatch.setattr(database.obj, "_connect", away)
    relay = Relay(workers, interval_seconds=0.01)
    relay.start()
    eventually(lambda: len(refused) >= 2, "a second try")
    assert workers.given == []
    monkeypatch.setattr(database.obj, "_connect", connect)
    eventually(lambda: workers.given == [publish(ticket_id)], "the hint to be handed on")
    assert relay.stop(timeout_seconds=10)
