"""Publishing a ticket's events: in order, by one publisher at a time, and never given up."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from sav.actors.event_file import EventFile
from sav.actors.publish_event import publish_ticket_events
from sav.domain.effects import PUBLISH_EVENT, RETRY_POLICIES
from sav.models.tables import DueEffect
from sav.operations.due_effects import LEASE, Publication, claim_publications
from tests.actors.owed import Listener, add_message, new_ticket, owed, published_sequences
from tests.actors.threads import at_the_same_time

pytestmark = pytest.mark.usefixtures("empty_database")


def test_everything_is_published_in_order_and_nothing_is_owed_any_more() -> None:
    ticket_id = new_ticket(messages=5)
    listener = Listener()
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4, 5, 6]
    assert owed() == 0


def test_a_second_time_publishes_nothing() -> None:
    ticket_id = new_ticket()
    publish_ticket_events(ticket_id, publish=Listener())
    listener = Listener()
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.heard == []


def test_concurrent_publishers_and_writers_keep_each_tickets_order_without_a_repetition() -> None:
    tickets = [new_ticket(), new_ticket()]
    listener = Listener()

    def write() -> None:
        for number in range(10):
            for ticket_id in tickets:
                add_message(ticket_id, number, internal_too=True)

    def publish() -> None:
        for _ in range(15):
            for ticket_id in tickets:
                publish_ticket_events(ticket_id, publish=listener)

    at_the_same_time(write, write, publish, publish, publish, publish)
    for ticket_id in tickets:
        publish_ticket_events(ticket_id, publish=listener)
        assert listener.sequences(ticket_id) == published_sequences(ticket_id) == list(range(1, 22))
    assert owed() == 0


def test_the_holder_also_publishes_what_comes_while_it_is_at_work() -> None:
    ticket_id = new_ticket()

    class Interrupted(Listener):
        def __call__(self, publication: Publication) -> None:
            super().__call__(publication)
            if publication.published_sequence < 4:
                add_message(ticket_id)
                # Whoever follows the new event's hint finds the ticket held, and leaves it.
                rival = Listener()
                publish_ticket_events(ticket_id, publish=rival)
                assert rival.heard == []

    listener = Interrupted()
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4]


def test_after_a_failure_nothing_overtakes_and_what_was_confirmed_is_not_repeated() -> None:
    ticket_id = new_ticket(messages=4)
    listener = Listener(fail_at=3)
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.sequences(ticket_id) == [1, 2]
    left = list(DueEffect.select().order_by(DueEffect.sequence))
    assert [(token.sequence, token.tries, token.last_error) for token in left] == [
        (place, 1, "ConnectionError: no broker") for place in (3, 4, 5)
    ]
    assert all(token.lease_owner is None for token in left)
    latest = datetime.now(UTC) + RETRY_POLICIES[PUBLISH_EVENT].longest
    assert all(token.due_at <= latest for token in left)

    listener.fail_at = None
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4, 5]


def test_a_postponement_grows_up_to_its_cap_however_long_the_outage() -> None:
    policy = RETRY_POLICIES[PUBLISH_EVENT]
    waits = [policy.pause(tries).total_seconds() for tries in (0, 1, 2, 3, 4, 100_000)]
    assert waits == [0.5, 1, 2, 4, 5, 5]
    assert not policy.is_exhausted(100_000)


def test_a_publisher_stops_when_its_lease_runs_out_under_its_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket_id = new_ticket(messages=3)
    seconds = iter((0.0, 1.0, 2.0, *[LEASE.total_seconds()] * 10))
    monkeypatch.setattr("sav.actors.publish_event.time.monotonic", lambda: next(seconds))
    listener = Listener()
    publish_ticket_events(ticket_id, publish=listener)
    monkeypatch.undo()
    assert listener.sequences(ticket_id) == [1, 2]
    assert owed(ticket_id) == 2
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4]


def test_the_events_of_a_publisher_that_died_are_published_once_its_lease_is_over() -> None:
    ticket_id = new_ticket(messages=1)
    listener = Listener()
    now = datetime.now(UTC)
    claim_publications(ticket_id=ticket_id, owner=str(uuid4()), now=now)
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.heard == [], "it may still be alive"
    DueEffect.update(leased_until=now - timedelta(seconds=1)).execute()
    publish_ticket_events(ticket_id, publish=listener)
    assert listener.sequences(ticket_id) == [1, 2]


def test_the_event_file_holds_the_envelope_line_by_line(tmp_path: Path) -> None:
    ticket_id = new_ticket(messages=2)
    path = tmp_path / "deep" / "events.jsonl"
    publish_ticket_events(ticket_id, publish=EventFile(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3]
    assert lines[0].keys() == {"event", "timestamp", "data", "id", "sequence", "version", "request_id"}
    assert lines[0]["event"] == "ticket.created"
    assert lines[0]["timestamp"] == "2026-01-05T09:00:00.000000Z"
    assert lines[0]["request_id"] == "test-request"
    assert lines[0]["data"]["ticket_id"] == ticket_id


def test_a_line_that_a_crash_has_torn_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"ticket.cre')
    publish_ticket_events(new_ticket(messages=1), publish=EventFile(path))
    torn, *whole = path.read_text().splitlines()
    assert torn == '{"event":"ticket.cre'
    assert [json.loads(line)["sequence"] for line in whole] == [1, 2]


def test_a_full_disk_postpones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ticket_id = new_ticket()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    publish_ticket_events(ticket_id, publish=EventFile(tmp_path / "events.jsonl"))
    token = DueEffect.get()
    assert token.tries == 1
    assert "No space left" in (token.last_error or "")
