"""The event log: places without gaps, and effects that are owed exactly when something has happened."""

import pytest

from sav.domain.events import MessageAdded, TicketUpdated
from sav.models.database import database
from sav.models.tables import DueEffect, Event, Ticket
from sav.operations import hints
from sav.operations.hints import Hint
from sav.operations.ticket_change import change_ticket, save_changes
from tests.actors.owed import OCCASION, add_message, new_ticket, owed, published_sequences
from tests.actors.threads import at_the_same_time

pytestmark = pytest.mark.usefixtures("empty_database")

WRITERS = 4
WRITES_EACH = 8


def test_places_follow_each_other_without_a_gap_under_concurrent_writers() -> None:
    ticket_id = new_ticket()

    def write() -> None:
        for number in range(WRITES_EACH):
            add_message(ticket_id, number, internal_too=number % 2 == 0)

    at_the_same_time(*[write] * WRITERS)

    internal, published = WRITERS * WRITES_EACH // 2, WRITERS * WRITES_EACH + 1
    sequences = [
        event.sequence
        for event in Event.select().where(Event.ticket_id == ticket_id).order_by(Event.sequence)
    ]
    assert sequences == list(range(1, internal + published + 1))
    assert published_sequences(ticket_id) == list(range(1, published + 1))
    assert owed(ticket_id) == published
    ticket = Ticket.get_by_id(ticket_id)
    assert (ticket.event_count, ticket.published_event_count) == (internal + published, published)


def test_a_fact_that_is_not_published_takes_no_published_place() -> None:
    ticket_id = new_ticket()
    with change_ticket(ticket_id, occasion=OCCASION) as change:
        change.record(TicketUpdated())
    internal = Event.get(Event.name == TicketUpdated.name)
    assert (internal.sequence, internal.published_sequence) == (2, None)
    assert DueEffect.select().where(DueEffect.sequence == internal.sequence).count() == 0


def test_a_write_that_is_rolled_back_leaves_neither_facts_nor_effects_nor_hints() -> None:
    ticket_id = new_ticket()
    given: list[Hint] = []
    hints.listen(given.append)

    class Broken(Exception):
        pass

    def write_and_break() -> None:
        with change_ticket(ticket_id, occasion=OCCASION) as change:
            change.record(MessageAdded(message_id=1, author_role="customer"))
            save_changes([change])
            raise Broken

    with pytest.raises(Broken):
        write_and_break()

    assert (given, owed(ticket_id), published_sequences(ticket_id)) == ([], 1, [1])
    add_message(ticket_id)
    assert published_sequences(ticket_id) == [1, 2]


def test_the_hint_comes_after_the_commit() -> None:
    in_transaction: list[bool] = []
    hints.listen(lambda hint: in_transaction.append(database.in_transaction()))
    new_ticket()
    assert set(in_transaction) == {False}
