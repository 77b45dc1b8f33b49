"""Tickets that owe effects, for the tests of those who do them."""

from datetime import UTC, datetime

from sav.domain.caller import SYSTEM
from sav.domain.events import Fact, MessageAdded, TicketUpdated
from sav.domain.occasion import Occasion
from sav.models.tables import DueEffect, Event
from sav.operations.due_effects import Publication
from sav.operations.effect_claims import DESK
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.operations.ticket_change import change_ticket

LONG_AGO = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When everything here happened, so that all that is owed is due."""
OCCASION = Occasion(SYSTEM, LONG_AGO, "test-request")
RULES = DeskRules(number_prefix="TICKET", customer_maximum_priority="urgent")


def new_ticket(*, messages: int = 0) -> int:
    """The id of a ticket that owes its `ticket.created`, and one event for each of its messages.

    What the desk owes because of it is left out: these tests are about what tickets owe.
    """
    new = NewTicket(subject="Lost parcel", description="It never came.", user_id=1)
    ticket = open_ticket(occasion=OCCASION, new=new, rules=RULES)
    for number in range(messages):
        add_message(ticket.id, number)
    DueEffect.delete().where(DueEffect.ticket_id == DESK).execute()
    return int(ticket.id)


def add_message(ticket_id: int, number: int = 0, *, internal_too: bool = False) -> None:
    """One more event to publish; with `internal_too` after a fact that is not published."""
    facts: list[Fact] = [MessageAdded(message_id=number, author_role="customer")]
    if internal_too:
        facts.insert(0, TicketUpdated())
    with change_ticket(ticket_id, occasion=OCCASION) as change:
        for fact in facts:
            change.record(fact)


def owed(ticket_id: int | None = None) -> int:
    """How many effects are owed, by one ticket or by all."""
    query = DueEffect.select()
    return query.count() if ticket_id is None else query.where(DueEffect.ticket_id == ticket_id).count()


def published_sequences(ticket_id: int) -> list[int]:
    """What the event log says that there is to publish."""
    query = Event.select().where(Event.ticket_id == ticket_id, Event.published_sequence.is_null(False))
    return [event.published_sequence or 0 for event in query.order_by(Event.sequence)]


class Listener:
    """Somewhere to publish to, in memory; `fail_at` makes the publishing of one sequence number fail."""

    is_known_to_be_down = False

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.heard: list[tuple[int, int]] = []
        self.fail_at = fail_at

    def __call__(self, publication: Publication) -> None:
        if publication.published_sequence == self.fail_at:
            raise ConnectionError("no broker")
        self.heard.append((publication.data["ticket_id"], publication.published_sequence))

    def release(self) -> None:
        pass

    def sequences(self, ticket_id: int) -> list[int]:
        return [sequence for ticket, sequence in self.heard if ticket == ticket_id]
