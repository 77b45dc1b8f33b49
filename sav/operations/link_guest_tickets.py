"""Gives a guest's tickets to the account that the guest has made."""

from datetime import datetime

from sav.domain.caller import SYSTEM
from sav.domain.events import TicketUpdated
from sav.domain.foreign_events import UserRegistered
from sav.domain.occasion import Occasion
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Message, Ticket
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.ticket_change import change_ticket


def link_guest_tickets(*, claim: Claim, user: UserRegistered, now: datetime, request_id: str | None) -> None:
    """Links the guest tickets of a verified e-mail; an e-mail that nobody verified proves nothing.

    One transaction a ticket: linked tickets stay linked, so a broken-off run is simply run again.
    """
    if user.email_verified:
        for ticket_id in _guest_ticket_ids(user.email):
            _link(ticket_id, user, Occasion(SYSTEM, now, request_id))
    with transaction():
        finish_effect(claim)


def _guest_ticket_ids(email: str) -> list[int]:
    query = Ticket.select(Ticket.id, Ticket.contact_email).where(
        Ticket.contact_email == email, Ticket.user_id.is_null(), Ticket.deleted_at.is_null()
    )
    # To the database's collation josé@… is jose@…; to a mail server it is somebody else.
    return [ticket.id for ticket in query if (ticket.contact_email or "").lower() == email.lower()]


@retry_deadlocks
def _link(ticket_id: int, user: UserRegistered, occasion: Occasion) -> None:
    with change_ticket(ticket_id, occasion=occasion) as change:
        if change.ticket.user_id is not None:
            return
        change.set(user_id=user.user_id)
        change.record(TicketUpdated())
        # What the guest wrote is now the customer's own, and so never unread to them.
        Message.update(user_id=user.user_id).where(
            Message.ticket_id == ticket_id, Message.author_role == "guest", Message.user_id.is_null()
        ).execute()
