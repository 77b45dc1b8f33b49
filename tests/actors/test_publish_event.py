"""Publishing a ticket's events: in order, by one publisher at a time, and never given up."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from sav.actors.envelope import Outgoing
from sav.actors.event_file import EventFile
from sav.actors.publish_event import publish_events
from sav.domain.effects import PUBLISH_EVENT, RETRY_POLICIES
from sav.models.database import database
from sav.models.tables import DueEffect
from sav.operations.due_effects import LEASE, Publication, claim_publications
from tests.actors.owed import Listener, add_message, new_ticket, owed, published_sequences
from tests.actors.threads import at_the_same_time


class Refusing(Listener):
    """Refuses the events of one ticket."""

    def __init__(self, ticket_id: int) -> None:
        super().__init__()
        self._refused = ticket_id

    def _hear(self, publication: Publication) -> Exception | None:
        return (
            ValueError("not this one")
            if publication.ticket_id == self._refused
            else super()._hear(publication)
        )


pytestmark = pytest.mark.usefixtures("empty_database")


def test_everything_is_published_in_order_and_nothing_is_owed_any_more() -> None:
    ticket_id = new_ticket(messages=5)
    listener = Listener()
    publish_events([ticket_id], publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4, 5, 6]
    assert owed() == 0


def test_a_second_time_publishes_nothing() -> None:
    ticket_id = new_ticket()
    publish_events([ticket_id], publish=Listener())
    listener = Listener()
    publish_events([ticket_id], publish=listener)
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
                publish_events([ticket_id], publish=listener)

    at_the_same_time(write, write, publish, publish, publish, publish)
    for ticket_id in tickets:
        publish_events([ticket_id], publish=listener)
        assert listener.sequences(ticket_id) == published_sequences(ticket_id) == list(range(1, 22))
    assert owed() == 0


def test_the_holder_also_publishes_what_comes_while_it_is_at_work() -> None:
    ticket_id = new_ticket()

    class Interrupted(Listener):
        def __call__(self, events: Sequence[Outgoing]) -> list[BaseException | None]:
            (event,) = events
            if event.publication.published_sequence < 4:
                add_message(ticket_id)
                # Whoever follows the new event's hint finds the ticket held, and leaves it.
                rival = Listener()
                publish_events([ticket_id], publish=rival)
                assert rival.heard == []
            return super().__call__(events)

    listener = Interrupted()
    publish_events([ticket_id], publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4]


def test_after_a_failure_nothing_overtakes_and_what_was_confirmed_is_not_repeated() -> None:
    ticket_id = new_ticket(messages=4)
    listener = Listener(fail_at=3)
    publish_events([ticket_id], publish=listener)
    assert listener.sequences(ticket_id) == [1, 2]
    left = list(DueEffect.select().order_by(DueEffect.sequence))
    assert [(token.sequence, token.tries, token.last_error) for token in left] == [
        (place, 1, "ConnectionError: no broker") for place in (3, 4, 5)
    ]
    assert all(token.lease_owner is None for token in left)
    latest = datetime.now(UTC) + RETRY_POLICIES[PUBLISH_EVENT].longest
    assert all(token.due_at <= latest for token in left)

    listener.fail_at = None
    publish_events([ticket_id], publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4, 5]


def test_what_goes_wrong_with_one_ticket_keeps_back_no_other() -> None:
    broken, sound = new_ticket(messages=2), new_ticket(messages=2)
    listener = Refusing(broken)
    publish_events([broken, sound], publish=listener)
    assert (listener.sequences(broken), listener.sequences(sound)) == ([], [1, 2, 3])
    assert (owed(broken), owed(sound)) == (3, 0)
    left = DueEffect.select().where(DueEffect.ticket_id == broken)
    assert {(token.tries, token.last_error) for token in left} == {(1, "ValueError: not this one")}


def test_one_event_of_each_ticket_is_on_its_way_at_a_time() -> None:
    tickets = [new_ticket(messages=number) for number in (0, 2, 1)]
    together: list[list[tuple[int, int]]] = []

    class Watching(Listener):
        def __call__(self, events: Sequence[Outgoing]) -> list[BaseException | None]:
            together.append(
                [(each.publication.ticket_id, each.publication.published_sequence) for each in events]
            )
            return super().__call__(events)

    publish_events(tickets, publish=Watching())
    first, second, third = tickets
    assert together == [
        [(first, 1), (second, 1), (third, 1)],
        [(second, 2), (third, 2)],
        [(second, 3)],
    ]


def test_a_ticket_that_somebody_else_has_is_left_to_them_and_the_others_are_published() -> None:
    taken, free = new_ticket(), new_ticket()
    claim_publications(ticket_ids=[taken], owner=str(uuid4()), now=datetime.now(UTC))
    listener = Listener()
    publish_events([taken, free], publish=listener)
    assert listener.heard == [(free, 1)]


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
    publish_events([ticket_id], publish=listener)
    monkeypatch.undo()
    assert listener.sequences(ticket_id) == [1, 2]
    assert owed(ticket_id) == 2
    publish_events([ticket_id], publish=listener)
    assert listener.sequences(ticket_id) == [1, 2, 3, 4]


def test_the_events_of_a_publisher_that_died_are_published_once_its_lease_is_over() -> None:
    ticket_id = new_ticket(messages=1)
    listener = Listener()
    now = datetime.now(UTC)
    claim_publications(ticket_ids=[ticket_id], owner=str(uuid4()), now=now)
    publish_events([ticket_id], publish=listener)
    assert listener.heard == [], "it may still be alive"
    DueEffect.update(leased_until=now - timedelta(seconds=1)).execute()
    publish_events([ticket_id], publish=listener)
    assert listener.sequences(ticket_id) == [1, 2]


def test_the_event_file_holds_the_envelope_line_by_line(tmp_path: Path) -> None:
    ticket_id = new_ticket(messages=2)
    path = tmp_path / "deep" / "events.jsonl"
    publish_events([ticket_id], publish=EventFile(path))
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
    publish_events([new_ticket(messages=1)], publish=EventFile(path))
    torn, *whole = path.read_text().splitlines()
    assert torn == '{"event":"ticket.cre'
    assert [json.loads(line)["sequence"] for line in whole] == [1, 2]


def test_a_full_disk_postpones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ticket_id = new_ticket()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    publish_events([ticket_id], publish=EventFile(tmp_path / "events.jsonl"))
    token = DueEffect.get()
    assert token.tries == 1
    assert "No space left" in (token.last_error or "")


@pytest.mark.parametrize("tickets", [1, 50])
def test_many_tickets_cost_as_many_statements_as_one(tickets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket_ids = [new_ticket() for _ in range(tickets)]
    statements: list[str] = []
    execute = database.obj.execute_sql

    def count(sql: str, params: object = None) -> object:
        statements.append(sql)
        return execute(sql, params)

    monkeypatch.setattr(database.obj, "execute_sql", count)
    publish_events(ticket_ids, publish=Listener())
    verbs = [statement.split(maxsplit=1)[0] for statement in statements]
    # What is owed, the lease, the events; then they are done; then nothing is owed any more.
    assert verbs == ["SELECT", "UPDATE", "SELECT", "DELETE", "SELECT"]
