"""Tickets that owe effects, for the tests of those who do them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sav.actors.effects import Means
from sav.actors.envelope import Outgoing
from sav.domain.caller import SYSTEM
from sav.domain.effects import ASSIGN_TICKETS, PUBLISH_EVENT
from sav.domain.events import Fact, MessageAdded, TicketUpdated
from sav.domain.occasion import Occasion
from sav.models.tables import DueEffect, Event
from sav.operations.assign_open_tickets import AssignmentRules
from sav.operations.due_effects import Publication
from sav.operations.escalate_ticket import EscalationRules
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.operations.ticket_change import change_ticket
from tests.plugins.desk import Shelf

LONG_AGO = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When everything here happened, so that all that is owed is due."""
OCCASION = Occasion(SYSTEM, LONG_AGO, "test-request")
RULES = DeskRules(number_prefix="TICKET", customer_maximum_priority="urgent")


def new_ticket(*, messages: int = 0, mails: bool = False) -> int:
    """The id of a ticket that owes its `ticket.created`, and one event for each of its messages.

    What else it owes is the business of other tests; with `mails` it owes these too.
    """
    new = NewTicket(subject="Lost parcel", description="It never came.", user_id=1)
    ticket = open_ticket(occasion=OCCASION, new=new, rules=RULES)
    for number in range(messages):
        add_message(ticket.id, number)
    DueEffect.delete().where(DueEffect.effect == ASSIGN_TICKETS).execute()
    if not mails:
        _owe_publications_alone(ticket.id)
    return int(ticket.id)


def _owe_publications_alone(ticket_id: int) -> None:
    # By their ids: a range would lock the tokens that others are just writing.
    others = DueEffect.select().where(DueEffect.ticket_id == ticket_id, DueEffect.effect != PUBLISH_EVENT)
    for token in list(others):
        token.delete_instance()


def add_message(ticket_id: int, number: int = 0, *, internal_too: bool = False, mails: bool = False) -> None:
    """One more event to publish; with `internal_too` after a fact that is not published."""
    facts: list[Fact] = [MessageAdded(message_id=number, author_role="customer")]
    if internal_too:
        facts.insert(0, TicketUpdated())
    with change_ticket(ticket_id, occasion=OCCASION) as change:
        for fact in facts:
            change.record(fact)
    if not mails:
        _owe_publications_alone(ticket_id)


def owed(ticket_id: int | None = None, *, effect: str = PUBLISH_EVENT) -> int:
    """How many effects of a kind are owed, by one ticket or by all."""
    query = DueEffect.select().where(DueEffect.effect == effect)
    return query.count() if ticket_id is None else query.where(DueEffect.ticket_id == ticket_id).count()


def published_sequences(ticket_id: int) -> list[int]:
    """What the event log says that there is to publish."""
    query = Event.select().where(Event.ticket_id == ticket_id, Event.published_sequence.is_null(False))
    return [event.published_sequence or 0 for event in query.order_by(Event.sequence)]


def means(assignment: AssignmentRules | None = None) -> Means:
    """What the effects need, with the settings' defaults."""
    return Means(
        publish=Listener(),
        number_prefix="TICKET",
        escalation=EscalationRules(
            timeout=timedelta(hours=2), reassign=True, assignment=assignment or AssignmentRules()
        ),
        quiet_for=timedelta(days=7),
        storage=Shelf(Path("unused")),
    )


class Listener:
    """Somewhere to publish to, in memory; `fail_at` makes the publishing of one sequence number fail."""

    is_known_to_be_down = False

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.heard: list[tuple[int, int]] = []
        self.fail_at = fail_at

    def __call__(self, events: Sequence[Outgoing]) -> list[BaseException | None]:
        return [self._hear(event.publication) for event in events]

    def release(self) -> None:
        pass

    def sequences(self, ticket_id: int) -> list[int]:
        return [sequence for ticket, sequence in self.heard if ticket == ticket_id]

    def _hear(self, publication: Publication) -> Exception | None:
        if publication.published_sequence == self.fail_at:
            return ConnectionError("no broker")
        self.heard.append((publication.ticket_id, publication.published_sequence))
        return None


def utc_now() -> datetime:
    return datetime.now(UTC)
