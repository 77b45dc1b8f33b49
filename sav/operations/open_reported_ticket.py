"""Opens tickets for what other services report about orders and products."""

import hashlib
from datetime import datetime

import peewee

from sav.domain.caller import SYSTEM
from sav.domain.errors import NotFound
from sav.domain.foreign_events import OrderIssue, Person, ProductIssue
from sav.domain.occasion import Occasion
from sav.domain.ticket_lifecycle import SETTLED
from sav.models.database import for_update, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import OrderIssueTicket, Ticket
from sav.operations.contacts import learn_contact
from sav.operations.converse import Author, add_message
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.open_ticket import NewTicket, new_ticket_number, write_new_ticket
from sav.operations.ticket_change import TicketChange, locked_ticket, save_changes


@retry_deadlocks
def report_order_issue(
    *, claim: Claim, issue: OrderIssue, number_prefix: str, now: datetime, request_id: str | None
) -> None:
    """Opens a ticket, or adds a message to the one that is still being worked on for this order and type."""
    occasion = Occasion(SYSTEM, now, request_id)
    number = _number(issue.person, number_prefix, now)
    with transaction():
        if not finish_effect(claim):
            return
        known = _locked_issue(issue)
        ticket = _unsettled(known.ticket_id, occasion) if known.ticket_id else None
        if ticket is not None:
            _add_report(ticket, issue, occasion)
            return
        _learn(issue.person, now)
        new = NewTicket(
            subject=issue.subject,
            description=issue.description,
            priority=issue.priority,
            category="order",
            metadata=_order_metadata(issue),
            user_id=issue.person.user_id,
            contact_email=issue.person.email,
        )
        opened = write_new_ticket(occasion=occasion, new=new, number=number, user_id=issue.person.user_id)
        known.ticket_id = opened.id
        known.save(only=["ticket_id"])


@retry_deadlocks
def report_product_issue(
    *, claim: Claim, issue: ProductIssue, number_prefix: str, now: datetime, request_id: str | None
) -> None:
    """Opens a ticket about a product."""
    number = _number(issue.person, number_prefix, now)
    with transaction():
        if not finish_effect(claim):
            return
        _learn(issue.person, now)
        new = NewTicket(
            subject=f"Product {issue.product_id}: issue reported",
            description=issue.description,
            priority=issue.priority,
            category="product",
            metadata={"product_id": issue.product_id},
            user_id=issue.person.user_id,
            contact_email=issue.person.email,
        )
        write_new_ticket(
            occasion=Occasion(SYSTEM, now, request_id),
            new=new,
            number=number,
            user_id=issue.person.user_id,
        )


def _learn(person: Person, now: datetime) -> None:
    """An order may go to another address than the account's: it is better than none, and no more."""
    if person.user_id is not None and person.email is not None:
        learn_contact(user_id=person.user_id, email=person.email, name=None, now=now, only_if_unknown=True)


def _order_metadata(issue: OrderIssue) -> dict[str, int | str]:
    order: dict[str, int | str] = {"order_id": issue.order_id}
    return order if issue.issue_type is None else {**order, "issue_type": issue.issue_type}


def _number(person: Person, prefix: str, now: datetime) -> str:
    return new_ticket_number(prefix=prefix, now=now, for_guest=person.user_id is None)


def _locked_issue(issue: OrderIssue) -> OrderIssueTicket:
    """The row of this person's issue with this order, locked: two reports at once become one ticket."""
    owner = issue.person.user_id or (issue.person.email or "").lower()
    identity = f"{issue.order_id}\n{issue.issue_type or ''}\n{owner}"
    key = hashlib.sha256(identity.encode()).hexdigest()
    locked = for_update(OrderIssueTicket.select().where(OrderIssueTicket.issue_key == key))
    # Looked for first: a refused insert leaves a shared lock, and two of these are a deadlock.
    known: OrderIssueTicket | None = locked.first()
    if known is None:
        try:
            OrderIssueTicket.insert(issue_key=key, ticket_id=None).execute()
        except peewee.IntegrityError as error:
            if not is_duplicate(error):
                raise
        known = locked.get()
    return known


def _unsettled(ticket_id: int, occasion: Occasion) -> Ticket | None:
    try:
        ticket = locked_ticket(ticket_id, occasion=occasion)
    except NotFound:
        # It was deleted meanwhile.
        return None
    return None if ticket.status in SETTLED else ticket


def _add_report(ticket: Ticket, issue: OrderIssue, occasion: Occasion) -> None:
    change = TicketChange(ticket, occasion)
    user_id = issue.person.user_id
    author = Author(
        user_id=user_id,
        role="guest" if user_id is None else "customer",
        name=ticket.contact_name or ("Guest" if user_id is None else f"Customer {user_id}"),
        email=issue.person.email or "",
    )
    add_message(change, author, issue.description)
    save_changes([change])
