"""Reading published events again: all that is wanted, once, in order, in bounded steps."""

from datetime import timedelta

import pytest

from sav.models.tables import DueEffect, Event
from sav.queries import event_replay
from sav.queries.event_replay import PublishedEvent, Wanted, published_events, replay_span
from tests.actors.owed import LONG_AGO, add_message, new_ticket
from tests.plugins.desk import counted_queries

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def tickets() -> tuple[int, int]:
    """Two tickets whose published events alternate, with internal facts between them."""
    first, second = new_ticket(), new_ticket()
    for number in range(3):
        for ticket_id in (first, second):
            add_message(ticket_id, number, internal_too=True)
    DueEffect.delete().execute()
    return first, second


def read(wanted: Wanted) -> list[PublishedEvent]:
    span = replay_span(wanted)
    if span is None:
        return []
    return [event for batch in published_events(wanted, after=span[0] - 1, until=span[1]) for event in batch]


def test_a_ticket_s_events_come_in_order_and_as_they_were(tickets: tuple[int, int]) -> None:
    events = read(Wanted(ticket_id=tickets[0]))
    assert [event.published_sequence for event in events] == [1, 2, 3, 4]
    original = Event.get(Event.ticket_id == tickets[0], Event.sequence == 1)
    copy = events[0]
    assert (copy.event_id, copy.name, copy.data) == (original.event_id, original.name, original.data)
    assert (copy.request_id, copy.occurred_at) == (original.request_id, LONG_AGO)


@pytest.mark.parametrize("places", [1, 2, 3, 1000])
def test_batches_leave_nothing_out_and_repeat_nothing(
    tickets: tuple[int, int], places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_replay, "PLACES_A_BATCH", places)
    events = read(Wanted(occurred_from=LONG_AGO))
    assert len({event.event_id for event in events}) == len(events) == 8
    for ticket_id in tickets:
        mine = [event.published_sequence for event in events if event.data["ticket_id"] == ticket_id]
        assert mine == [1, 2, 3, 4]


def test_reading_goes_on_behind_a_place(tickets: tuple[int, int]) -> None:
    wanted = Wanted(occurred_from=LONG_AGO)
    events = read(wanted)
    (rest,) = published_events(wanted, after=events[4].place, until=events[-1].place)
    assert list(rest) == events[5:]


def test_names_and_times_are_joined(tickets: tuple[int, int]) -> None:
    assert {event.name for event in read(Wanted(names=("ticket.created",)))} == {"ticket.created"}
    assert len(read(Wanted(ticket_id=tickets[1], names=("ticket.message.new",)))) == 3
    assert read(Wanted(occurred_to=LONG_AGO)) == [], "the end is no longer part of the span"
    assert read(Wanted(occurred_from=LONG_AGO + timedelta(microseconds=1))) == []
    assert read(Wanted(names=("ticket.updated",))) == [], "never published, so never replayed"


def test_what_still_waits_for_its_publication_is_left_out(tickets: tuple[int, int]) -> None:
    add_message(tickets[0], 9)
    assert len(read(Wanted(ticket_id=tickets[0]))) == 4
    DueEffect.delete().execute()
    assert len(read(Wanted(ticket_id=tickets[0]))) == 5


def test_a_batch_is_one_statement(tickets: tuple[int, int]) -> None:
    with counted_queries() as statements:
        read(Wanted(occurred_from=LONG_AGO))
    assert len(statements) == 2, "the span, and the batch"
