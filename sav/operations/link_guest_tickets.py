"""Gives a guest's tickets to the account that the guest has made."""

from datetime import datetime

from sav.domain.caller import SYSTEM
from sav.domain.email_addresses import mailbox
from sav.domain.events import TicketUpdated
from sav.domain.foreign_events import UserRegistered
from sav.domain.occasion import Occasion
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Attachment, Message, Ticket
from sav.operations.contacts import learn_contact, prove_contact
from sav.operations.effect_claims import Claim, finish_effect, hold_claim
from sav.operations.ticket_change import change_ticket


def link_guest_tickets(*, claim: Claim, user: UserRegistered, now: datetime, request_id: str | None) -> None:
    """Links the guest tickets of a verified e-mail; an e-mail that nobody verified proves nothing.

    From then on they are the account's alone: neither number nor token opens them any more. A guest who
    replies in the same instant is either linked with the rest, or told that there is no such ticket.
    One transaction a ticket: linked tickets stay linked, so a broken-off run is simply run again.
    """
    if user.email_verified:
        occasion = Occasion(SYSTEM, now, request_id)
        for ticket_id in guest_ticket_ids(user.email):
            _link(ticket_id, user.email, user.user_id, occasion, claim=claim)
    _learn(claim, user, now)


@retry_deadlocks
def _learn(claim: Claim, user: UserRegistered, now: datetime) -> None:
    with transaction():
        if not finish_effect(claim):
            # Whose it was may have been erased meanwhile, and is not to be learned again.
            return
        learn_contact(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            now=now,
            only_if_unknown=not user.email_verified,
        )
        if user.email_verified:
            prove_contact(user_id=user.user_id, email=user.email)


def link_tickets_of(*, email: str, user_id: int, now: datetime, request_id: str | None = None) -> int:
    """Links the guest tickets of an address that was verified to be the user's; returns how many."""
    ticket_ids = guest_ticket_ids(email)
    for ticket_id in ticket_ids:
        _link(ticket_id, email, user_id, Occasion(SYSTEM, now, request_id))
    _prove(email, user_id)
    return len(ticket_ids)


@retry_deadlocks
def _prove(email: str, user_id: int) -> None:
    with transaction():
        # Of an account that nobody has told of, nothing is learned: its linked tickets say whose they are.
        prove_contact(user_id=user_id, email=email, only_if_unknown=True)


def guest_ticket_ids(email: str) -> list[int]:
    """The tickets that were opened with this address, and that are nobody's account's yet."""
    query = Ticket.select(Ticket.id, Ticket.contact_email).where(
        Ticket.contact_email == email.strip(), Ticket.user_id.is_null(), Ticket.deleted_at.is_null()
    )
    # The database finds too many: to its collation josé@… is jose@….
    return [ticket.id for ticket in query if mailbox(ticket.contact_email or "") == mailbox(email)]


@retry_deadlocks
def _link(
    ticket_id: int, email: str, user_id: int, occasion: Occasion, *, claim: Claim | None = None
) -> None:
    with change_ticket(ticket_id, occasion=occasion) as change:
        ticket = change.ticket
        # Erased since it was found, it is nobody's for ever.
        if ticket.user_id is not None or mailbox(ticket.contact_email or "") != mailbox(email):
            return
        if claim is not None and not hold_claim(claim):
            return
        change.set(user_id=user_id)
        # Not by `set`: the history would remember the token's hash.
        change.ticket.access_token_hash = None
        change.record(TicketUpdated())
        # What the guest wrote is now the customer's own, and so never unread to them.
        Message.update(user_id=user_id, version=Message.version + 1).where(
            Message.ticket_id == ticket_id, Message.author_role == "guest", Message.user_id.is_null()
        ).execute()
        Attachment.update(user_id=user_id).where(
            Attachment.ticket_id == ticket_id, Attachment.user_id.is_null()
        ).execute()
