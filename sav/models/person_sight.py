"""Where a person's data is: their accounts, their tickets, and how much of everything there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee

from sav.domain.caller import STAFF
from sav.domain.email_addresses import mailbox
from sav.domain.privacy import Subject
from sav.domain.ticket_numbers import is_guests_number
from sav.models.database import is_sqlite
from sav.models.tables import Agent, Attachment, Contact, Event, MailDelivery, Message, Ticket

TICKETS_A_READ = 500
"""How many of a person's tickets one statement reads."""
_AUTHORSHIP = (
    Message.id, Message.ticket_id, Message.user_id, Message.author_role, Message.author_name,
    Message.author_email, Message.created_at,
)  # fmt: skip


def subject_named(*, user_id: int | None, email: str | None, accounts_by_email: bool) -> Subject:
    """Whom the id or the address stands for.

    With `accounts_by_email` the accounts whose address this is known to be are the person's, too. Not those
    that are only written to at it: anybody may have typed it into theirs.
    """
    named = Subject.of(user_id=user_id, email=email)
    known = accounts_of(email) if email and accounts_by_email else set()
    user_ids = named.user_ids | known
    return Subject(user_ids=user_ids, email=named.email, other_addresses=_addresses_of(sorted(user_ids)))


def accounts_of(email: str) -> set[int]:
    """The account whose address this was last verified to be.

    Of an address of which that was not noted, or whose account has shown another one since: those that were
    given a guest's tickets under it, which only a verified address does.
    """
    proven = Contact.select(Contact.user_id).where(Contact.verified_email == mailbox(email))
    return {contact.user_id for contact in proven} or accounts_linked_by(email)


def accounts_linked_by(email: str) -> set[int]:
    """The accounts that have guests' tickets which were written under this address."""
    linked = Ticket.select(Ticket.user_id, Ticket.contact_email, Ticket.ticket_number).where(
        Ticket.contact_email == mailbox(email)
    )
    return {
        ticket.user_id
        for ticket in linked
        if ticket.user_id is not None
        and is_guests_number(ticket.ticket_number)
        # The database finds too many: to its collation josé@… is jose@….
        and mailbox(ticket.contact_email or "") == mailbox(email)
    }


def accounts_written_to(email: str) -> set[int]:
    """The accounts that are written to at this address, whoever has said so."""
    column: Any = Contact.email
    if is_sqlite():
        column = column.collate("NOCASE")
    found = Contact.select(Contact.user_id, Contact.email).where(column == email.strip())
    # The database finds too many: to its collation josé@… is jose@….
    return {contact.user_id for contact in found if mailbox(contact.email) == mailbox(email)}


def _addresses_of(user_ids: list[int]) -> frozenset[str]:
    """The addresses that are certainly theirs: verified, of guests' tickets that were linked, of staff."""
    if not user_ids:
        return frozenset()
    proven = Contact.select(Contact.verified_email).where(Contact.user_id.in_(user_ids))
    staff = Agent.select(Agent.email).where(Agent.user_id.in_(user_ids))
    linked = Ticket.select(Ticket.contact_email, Ticket.ticket_number).where(
        Ticket.user_id.in_(user_ids), Ticket.contact_email.is_null(False)
    )
    known = [contact.verified_email for contact in proven] + [agent.email for agent in staff]
    # Only an address that was verified links a guest's ticket; in others it may be anybody's.
    known += [ticket.contact_email for ticket in linked if is_guests_number(ticket.ticket_number)]
    return frozenset(mailbox(address) for address in known if address)


def person_tickets(subject: Subject, *, after: int = 0) -> list[int]:
    """The ids of a person's next tickets, deleted ones too, in their order; none when there are no more."""
    found: set[int] = set()
    if subject.user_ids:
        mine = Ticket.user_id.in_(sorted(subject.user_ids))
        found |= {ticket.id for ticket in _some(Ticket.select(Ticket.id).where(mine), after)}
    if subject.email is not None:
        found |= _tickets_of_address(subject.email, after)
    return sorted(found)[:TICKETS_A_READ]


def person_tickets_among(subject: Subject, ticket_ids: set[int]) -> set[int]:
    """Those of some tickets that are the person's."""
    rows = Ticket.select(Ticket.id, Ticket.user_id, Ticket.contact_email).where(
        Ticket.id.in_(sorted(ticket_ids))
    )
    return {row.id for row in rows if _is_theirs(row, subject)}


def _is_theirs(ticket: Ticket, subject: Subject) -> bool:
    if ticket.user_id is not None:
        return subject.is_account(ticket.user_id)
    return subject.email is not None and mailbox(ticket.contact_email or "") == subject.email


def all_person_tickets(subject: Subject) -> Iterator[list[int]]:
    """All of them, in batches."""
    after = 0
    while batch := person_tickets(subject, after=after):
        after = batch[-1]
        yield batch


def _tickets_of_address(email: str, after: int) -> set[int]:
    # A ticket with an owner is its owner's, whatever address stands in it: that of a gift, or a mistake.
    query = Ticket.select(Ticket.id, Ticket.contact_email).where(
        Ticket.contact_email == email, Ticket.user_id.is_null()
    )
    mine: set[int] = set()
    while True:
        rows = _some(query, after)
        # The database finds too many: to its collation josé@… is jose@….
        mine |= {row.id for row in rows if mailbox(row.contact_email or "") == email}
        if len(mine) >= TICKETS_A_READ or len(rows) < TICKETS_A_READ:
            return mine
        after = rows[-1].id


def _some(query: peewee.ModelSelect[Ticket], after: int) -> list[Ticket]:
    return list(query.where(Ticket.id > after).order_by(Ticket.id).limit(TICKETS_A_READ))


def written_by(subject: Subject, *, after: int, until: int) -> list[Message]:
    """What they wrote of the messages with these ids: under an id of theirs, or as staff under an address."""
    # What a customer wrote is their account's, whatever address they have typed.
    theirs: Any = Message.author_role.in_(sorted(STAFF)) & (
        peewee.fn.LOWER(Message.author_email).in_(sorted(subject.addresses))
    )
    if subject.user_ids:
        theirs |= Message.user_id.in_(sorted(subject.user_ids))
    found = Message.select(*_AUTHORSHIP).where(Message.id > after, Message.id <= until, theirs)
    # The database finds too many: to its collation josé@… is jose@….
    return [row for row in found if subject.is_account(row.user_id) or subject.is_address(row.author_email)]


def how_much(subject: Subject) -> dict[str, int]:
    """How many rows of each kind hang on the person's tickets; for whoever wants to know before."""
    counts = {"tickets": 0, "messages": 0, "attachments": 0, "events": 0, "mail_deliveries": 0}
    tables = {
        "messages": Message,
        "attachments": Attachment,
        "events": Event,
        "mail_deliveries": MailDelivery,
    }
    for ids in all_person_tickets(subject):
        counts["tickets"] += len(ids)
        for name, table in tables.items():
            rows: Any = table.select().where(table.ticket_id.in_(ids))  # type: ignore[attr-defined]
            counts[name] += rows.count()
    return counts
