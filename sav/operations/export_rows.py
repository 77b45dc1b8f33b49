"""A person's data as documents, a few rows at a time, without what the desk keeps from customers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import peewee

from sav.domain.addresses import same_spelling
from sav.domain.events import PUBLISHED_NAMES
from sav.domain.privacy import Subject, concerns
from sav.domain.signed_tokens import address_hash
from sav.models.person_sight import all_person_tickets, person_tickets_among, written_by
from sav.models.tables import (
    Agent,
    Attachment,
    Contact,
    Event,
    MailDelivery,
    MailPreference,
    Message,
    MessageReceipt,
    ReceivedEvent,
    ServiceSecret,
    Ticket,
)

ROWS_A_READ = 500

TICKET_FIELDS = (
    "id", "ticket_number", "user_id", "subject", "description", "status", "priority", "category", "source",
    "contact_email", "contact_name", "locale", "first_response_at", "resolved_at", "closed_at",
    "escalated_at", "resolution_notes", "satisfaction_rating", "satisfaction_comment", "tags", "metadata",
    "reopen_count", "created_at", "updated_at", "deleted_at",
)  # fmt: skip
MESSAGE_FIELDS = (
    "id", "ticket_id", "user_id", "author_role", "author_name", "author_email", "content", "read_at",
    "created_at", "updated_at", "deleted_at",
)  # fmt: skip
FILE_FIELDS = (
    "id", "ticket_id", "message_id", "user_id", "file_name", "file_type", "file_size", "mime_type", "state",
    "created_at",
)  # fmt: skip
MAIL_FIELDS = (
    "ticket_id", "kind", "recipient", "recipient_name", "locale", "state", "due_at", "sent_at",
)  # fmt: skip

OTHERS_MAIL_FIELDS = ("kind", "recipient", "locale", "state", "due_at", "sent_at")
"""Of a mail about somebody else's ticket: that it went out, and not about what."""
RECEIPT_FIELDS = ("reader_id", "ticket_id", "message_id", "read_at")
CONTACT_FIELDS = ("user_id", "email", "verified_email", "name", "locale", "updated_at")
AGENT_FIELDS = ("user_id", "name", "email", "active", "available", "capacity", "categories", "created_at")
WORK_FIELDS = {
    "message": ("user_id", "author_role", "author_name", "author_email", "created_at"),
    "attachment": ("user_id", "created_at"),
    "receipt": ("reader_id", "read_at"),
}
"""Of what somebody did as staff in other people's tickets: that they did it, and when, and not about what."""
ROWS_A_LOOK = 5_000
"""How many rows one statement looks through where no index says whose they are."""

Rows = Iterator[Mapping[str, Any]]


def tickets(subject: Subject) -> Rows:
    """The person's tickets, deleted ones too."""
    for ids in all_person_tickets(subject):
        for row in Ticket.select().where(Ticket.id.in_(ids)).order_by(Ticket.id):
            yield _document(row, TICKET_FIELDS)


def messages(subject: Subject) -> Rows:
    """What was said in them: no internal notes. Of the staff their names, as customers see them."""
    for ids in all_person_tickets(subject):
        for row in _by_id(Message, Message.ticket_id.in_(ids) & ~Message.is_internal):
            document = _document(row, MESSAGE_FIELDS)
            if row.author_role in ("agent", "admin"):
                document["author_email"] = None
            yield document


def attachments(subject: Subject) -> Rows:
    """What is known of their files."""
    for row in _files(subject):
        yield _document(row, FILE_FIELDS)


def person_files(subject: Subject) -> Iterator[Attachment]:
    """The files that can be handed out."""
    return (row for row in _files(subject) if row.state == "available")


def _files(subject: Subject) -> Iterator[Attachment]:
    for ids in all_person_tickets(subject):
        public = Message.select(Message.id).where(Message.ticket_id.in_(ids), ~Message.is_internal)
        seen = Attachment.message_id.is_null() | Attachment.message_id.in_(public)
        there = Attachment.state.in_(["available", "quarantined"])
        yield from _by_id(Attachment, Attachment.ticket_id.in_(ids) & there & seen)


def history(subject: Subject) -> Rows:
    """What happened to their tickets, and when; what other services were told of it."""
    for ids in all_person_tickets(subject):
        for fact in _by_id(Event, Event.ticket_id.in_(ids)):
            # The others may tell that there is a note, and when somebody worked on it.
            if fact.name in PUBLISHED_NAMES:
                yield {
                    "ticket_id": fact.ticket_id,
                    "name": fact.name,
                    "occurred_at": _plain(fact.occurred_at),
                    "by": fact.actor_role,
                    "published": fact.data,
                }


def mails(subject: Subject) -> Rows:
    """The mails to the requesters of their tickets, and those that went to their address about others."""
    for ids in all_person_tickets(subject):
        to_requester = MailDelivery.kind.in_(["received", "reply", "resolved", "closed"])
        for row in _by_id(MailDelivery, MailDelivery.ticket_id.in_(ids) & to_requester):
            yield _document(row, MAIL_FIELDS)
    yield from _mails_about_others(subject)


def _mails_about_others(subject: Subject) -> Rows:
    if not subject.addresses:
        return
    to_them = peewee.fn.LOWER(MailDelivery.recipient).in_(sorted(subject.addresses))
    for batch in _batches(MailDelivery, to_them):
        mine = person_tickets_among(subject, {row.ticket_id for row in batch})
        for row in batch:
            # The database finds too many: to its collation josé@… is jose@….
            if row.ticket_id not in mine and subject.is_address(row.recipient):
                yield _document(row, OTHERS_MAIL_FIELDS)


def receipts(subject: Subject) -> Rows:
    """Which messages of their tickets they have read, and when."""
    if not subject.user_ids:
        return
    for ids in all_person_tickets(subject):
        read = MessageReceipt.select().where(
            MessageReceipt.ticket_id.in_(ids), MessageReceipt.reader_id.in_(sorted(subject.user_ids))
        )
        for row in read.order_by(MessageReceipt.message_id, MessageReceipt.reader_id).iterator():
            yield _document(row, RECEIPT_FIELDS)


def work(subject: Subject) -> Rows:
    """When they have written, attached and read something as staff, in other people's tickets."""
    for after, until in _looks(Message.id):
        written = written_by(subject, after=after, until=until)
        yield from _of_others("message", written, subject)
        yield from _of_others("receipt", _read_by(subject, after, until), subject)
    for after, until in _looks(Attachment.id):
        there = (Attachment.id > after) & (Attachment.id <= until)
        theirs = Attachment.user_id.in_(sorted(subject.user_ids))
        yield from _of_others("attachment", list(Attachment.select().where(there, theirs)), subject)


def _read_by(subject: Subject, after: int, until: int) -> list[MessageReceipt]:
    there = (MessageReceipt.message_id > after) & (MessageReceipt.message_id <= until)
    return list(MessageReceipt.select().where(there, MessageReceipt.reader_id.in_(sorted(subject.user_ids))))


def _of_others(kind: str, rows: Sequence[Any], subject: Subject) -> Rows:
    mine = person_tickets_among(subject, {row.ticket_id for row in rows}) if rows else set()
    for row in rows:
        if row.ticket_id not in mine:
            yield {"kind": kind, **_document(row, WORK_FIELDS[kind])}


def _looks(key: Any) -> Iterator[tuple[int, int]]:
    """The ids of a table, some at a time: after which, and until which."""
    largest = key.model.select(peewee.fn.MAX(key)).scalar() or 0
    for after in range(0, largest, ROWS_A_LOOK):
        yield after, after + ROWS_A_LOOK


def account(subject: Subject) -> Rows:
    """Where they are written to, and their place on the roster."""
    ids = sorted(subject.user_ids)
    for contact in Contact.select().where(Contact.user_id.in_(ids)):
        yield {"kind": "contact", **_document(contact, CONTACT_FIELDS)}
    for agent in Agent.select().where(Agent.user_id.in_(ids)):
        yield {"kind": "agent", **_document(agent, AGENT_FIELDS)}
    secret: ServiceSecret | None = ServiceSecret.get_or_none(ServiceSecret.name == "links")
    if secret is not None and subject.addresses:
        key = bytes.fromhex(secret.secret)
        # Not that of an address which they are only written to at: it may be a stranger's wish.
        hashes = sorted(address_hash(same_spelling(address), secret=key) for address in subject.addresses)
        for wish in MailPreference.select().where(MailPreference.address_hash.in_(hashes)):
            yield {"kind": "wants_no_mails", "mails": wish.kind, "since": _plain(wish.created_at)}


def received_events(subject: Subject) -> Rows:
    """What other services have told of them."""
    for row in _by_id(ReceivedEvent, ReceivedEvent.id > 0):
        envelope = orjson.loads(row.envelope)
        if concerns(envelope, subject):
            yield {"name": row.name, "received_at": _plain(row.received_at), "envelope": envelope}


EXPORTED: Mapping[str, Callable[[Subject], Rows]] = {
    "account": account,
    "tickets": tickets,
    "messages": messages,
    "attachments": attachments,
    "history": history,
    "mails": mails,
    "receipts": receipts,
    "work": work,
    "received_events": received_events,
}
"""The documents of an archive, and where their rows come from."""


def _by_id(table: Any, condition: Any) -> Iterator[Any]:
    for batch in _batches(table, condition):
        yield from batch


def _batches(table: Any, condition: Any) -> Iterator[list[Any]]:
    after = 0
    while True:
        query: peewee.ModelSelect[Any] = table.select().where(condition, table.id > after)
        batch = list(query.order_by(table.id).limit(ROWS_A_READ))
        yield batch
        if len(batch) < ROWS_A_READ:
            return
        after = batch[-1].id


def _document(row: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in fields}


def _plain(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
