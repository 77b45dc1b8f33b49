"""Takes over tickets from a former system with their past: each record once, and nobody is told of it.

A record is known by its origin and its id there. The row that says which ticket it became is written in the
ticket's own transaction, so a run that was killed is simply run again. What is settled stays silent for
ever; what is not is work of the desk from now on: open tickets are assigned, and the deadlines of urgent ones
begin with the import.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, BinaryIO, Literal

import peewee

from sav.domain.caller import SYSTEM
from sav.domain.deadlines import is_quiet, waiting_since
from sav.domain.events import AttachmentAdded, AttachmentQuarantined, AuthorRole, TicketImported
from sav.domain.file_names import object_key, shown_name
from sav.domain.locales import Locale
from sav.domain.occasion import Occasion
from sav.domain.privacy import ERASED, hidden_record
from sav.domain.sight_slots import slots_of
from sav.domain.ticket_lifecycle import SETTLED, Priority, Source, Status
from sav.domain.ticket_numbers import GUEST_SUFFIX_BYTES, ticket_number
from sav.models.attachment_sight import hangs_on_note
from sav.models.database import for_update, is_duplicate, retry_deadlocks, transaction
from sav.models.sight_counters import advance_counters
from sav.models.tables import Attachment, ImportedTicket, Message, MessageReceipt, Ticket, TicketTag
from sav.operations.attach_files import ArrivalState
from sav.operations.event_log import Recorded, append_events, append_first_facts, number_events
from sav.operations.remove_objects import abandon_attachments
from sav.operations.service_secrets import privacy_secret
from sav.operations.ticket_change import ticket_facts
from sav.operations.ticket_numbering import next_sequences
from sav.storage.file_types import FileType
from sav.storage.object_store import ObjectStore, StorageUnavailable

MESSAGES_A_STATEMENT = 100
"""How many messages one statement inserts: at most 8 MB of text, within what servers accept."""
ROWS_A_STATEMENT = 500
TRIES = 3
"""How often a batch is begun again because another import has just taken one of its records."""

Outcome = Literal["imported", "known", "differs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoricMessage:
    """A message as it was written. `is_read`: its ticket's owner and agent know it."""

    author_role: AuthorRole
    user_id: int | None
    author_name: str
    author_email: str
    content: str
    is_internal: bool
    is_read: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoricFile:
    """A file of a ticket, or of its message at this place (from 0)."""

    name: str
    message_place: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoricTicket:
    """A ticket as a former system had it; `fingerprint` is the SHA-256 of its record, in hex."""

    external_id: str
    fingerprint: str
    former_number: str | None
    subject: str
    description: str
    status: Status
    priority: Priority
    category: str | None
    source: Source
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    user_id: int | None
    contact_email: str | None
    contact_name: str | None
    locale: Locale | None
    assigned_to: int | None
    created_at: datetime
    updated_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    resolution_notes: str | None
    internal_notes: str | None
    satisfaction_rating: int | None
    satisfaction_comment: str | None
    reopen_count: int
    messages: Sequence[HistoricMessage]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRules:
    """Where the records come from, and the settings that decide about their tickets."""

    origin: str
    number_prefix: str
    closes_quiet_after: timedelta


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a record: its ticket, new or known; with `differs` its id stood for something else."""

    outcome: Outcome
    ticket_id: int
    files_done: int = 0


@retry_deadlocks
def import_tickets(tickets: Sequence[HistoricTicket], *, rules: ImportRules, now: datetime) -> list[Imported]:
    """Writes those that are new in one transaction; returns what became of each, in their order."""
    for _ in range(TRIES - 1):
        try:
            return _import(tickets, rules, now)
        except peewee.IntegrityError as error:
            if not is_duplicate(error):
                raise
    return _import(tickets, rules, now)


def known_records(external_ids: Iterable[str], *, origin: str) -> dict[str, ImportedTicket]:
    """The records that were imported before, by their ids; also those whose ticket was erased since."""
    secret, ids = privacy_secret(), list(external_ids)
    hidden = {hidden_record(origin=origin, external_id=each, secret=secret): each for each in ids}
    mine = (ImportedTicket.origin == origin) & ImportedTicket.external_id.in_([*ids, *hidden])
    return {hidden.get(row.external_id, row.external_id): row for row in ImportedTicket.select().where(mine)}


def attach_historic_file(
    file: HistoricFile,
    content: BinaryIO,
    *,
    imported: Imported,
    kind: FileType,
    size: int,
    store: ObjectStore,
    arrival: ArrivalState,
    now: datetime,
) -> Imported:
    """Stores the record's next file, once; raises `StorageUnavailable`.

    A ticket that was erased or deleted since takes none any more.
    """
    if _is_gone(imported.ticket_id):
        return imported
    row = _announce(file, imported, kind, size, now)
    try:
        store.put(row.file_path, content, length=size, mime_type=row.mime_type)
        _complete(row, file, imported, arrival, now)
    except BaseException:
        abandon_attachments(ids=[row.id], ticket_id=imported.ticket_id, now=now)
        raise
    return replace(imported, files_done=imported.files_done + 1)


def _import(tickets: Sequence[HistoricTicket], rules: ImportRules, now: datetime) -> list[Imported]:
    known = known_records([ticket.external_id for ticket in tickets], origin=rules.origin)
    fresh: dict[str, HistoricTicket] = {}
    for ticket in tickets:
        if ticket.external_id not in known:
            # Of two with the same id in one batch, the first is the one.
            fresh.setdefault(ticket.external_id, ticket)
    ids = _write(list(fresh.values()), rules, now) if fresh else {}
    return [_outcome(ticket, fresh, known, ids) for ticket in tickets]


def _outcome(
    ticket: HistoricTicket,
    fresh: Mapping[str, HistoricTicket],
    known: Mapping[str, ImportedTicket],
    ids: Mapping[str, int],
) -> Imported:
    if fresh.get(ticket.external_id) is ticket:
        return Imported("imported", ids[ticket.external_id])
    if row := known.get(ticket.external_id):
        return Imported(
            "known" if row.fingerprint == ticket.fingerprint else "differs", row.ticket_id, row.files_done
        )
    same = fresh[ticket.external_id].fingerprint == ticket.fingerprint
    return Imported("known" if same else "differs", ids[ticket.external_id])


def _write(tickets: Sequence[HistoricTicket], rules: ImportRules, now: datetime) -> dict[str, int]:
    """The ids of the new tickets, by the ids of their records."""
    tickets = [_settled(ticket, rules, now) for ticket in tickets]
    numbers = _numbers(tickets, rules.number_prefix)
    with transaction():
        Ticket.insert_many(
            [_ticket_row(ticket, number, rules, now) for ticket, number in zip(tickets, numbers, strict=True)]
        ).execute()
        # By the number: what a server says of many rows' ids depends on how it gives them out.
        rows = {row.ticket_number: row for row in Ticket.select().where(Ticket.ticket_number.in_(numbers))}
        written = [(ticket, rows[number]) for ticket, number in zip(tickets, numbers, strict=True)]
        ImportedTicket.insert_many(
            [_imported_row(ticket, row, rules, now) for ticket, row in written]
        ).execute()
        _insert(
            TicketTag, [{"ticket_id": row.id, "tag": tag} for ticket, row in written for tag in ticket.tags]
        )
        _write_messages(written)
        append_first_facts(
            [(row, TicketImported(origin=rules.origin)) for _, row in written], occasion=Occasion(SYSTEM, now)
        )
        advance_counters(slot for _, row in written for slot in slots_of(ticket_facts(row)))
    return {ticket.external_id: row.id for ticket, row in written}


def _settled(ticket: HistoricTicket, rules: ImportRules, now: datetime) -> HistoricTicket:
    """What the desk would have closed long ago comes in closed: its customers are not written to today."""
    quiet_for = rules.closes_quiet_after
    if not is_quiet(status=ticket.status, updated_at=ticket.updated_at, quiet_for=quiet_for, now=now):
        return ticket
    closed_at = ticket.updated_at + quiet_for
    return replace(ticket, status="closed", closed_at=closed_at, updated_at=closed_at)


def _numbers(tickets: Sequence[HistoricTicket], prefix: str) -> list[str]:
    """Numbers of the days on which the tickets were opened; each commits by itself, as everywhere."""
    days: Counter[date] = Counter(ticket.created_at.date() for ticket in tickets)
    sequences = {day: iter(next_sequences(day, count)) for day, count in sorted(days.items())}
    return [
        ticket_number(
            prefix=prefix,
            day=ticket.created_at.date(),
            sequence=next(sequences[ticket.created_at.date()]),
            guest_secret=secrets.token_bytes(GUEST_SUFFIX_BYTES) if ticket.user_id is None else None,
        )
        for ticket in tickets
    ]


def _ticket_row(ticket: HistoricTicket, number: str, rules: ImportRules, now: datetime) -> dict[str, Any]:
    reference = {"origin": rules.origin, "id": ticket.external_id, "number": ticket.former_number}
    is_waiting = ticket.first_response_at is None and ticket.status not in SETTLED
    return {
        "ticket_number": number,
        "user_id": ticket.user_id,
        "assigned_to": ticket.assigned_to,
        "subject": ticket.subject,
        "description": ticket.description,
        "status": ticket.status,
        "priority": ticket.priority,
        "category": ticket.category,
        "source": ticket.source,
        "contact_email": ticket.contact_email,
        "contact_name": ticket.contact_name,
        "locale": ticket.locale,
        "first_response_at": ticket.first_response_at,
        "resolved_at": ticket.resolved_at,
        "closed_at": ticket.closed_at,
        "unanswered_since": waiting_since(priority=ticket.priority, now=now) if is_waiting else None,
        "resolution_notes": ticket.resolution_notes,
        "internal_notes": ticket.internal_notes,
        "satisfaction_rating": ticket.satisfaction_rating,
        "satisfaction_comment": ticket.satisfaction_comment,
        "tags": list(ticket.tags),
        "metadata": {**ticket.metadata, "imported": reference},
        "reopen_count": ticket.reopen_count,
        "event_count": 1,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
        "uncounted": True,
    }


def _imported_row(ticket: HistoricTicket, row: Ticket, rules: ImportRules, now: datetime) -> dict[str, Any]:
    return {
        "origin": rules.origin,
        "external_id": ticket.external_id,
        "fingerprint": ticket.fingerprint,
        "ticket_id": row.id,
        "imported_at": now,
    }


def _write_messages(written: Sequence[tuple[HistoricTicket, Ticket]]) -> None:
    rows = [_message_row(message, row) for ticket, row in written for message in ticket.messages]
    _insert(Message, rows, rows_a_statement=MESSAGES_A_STATEMENT)
    of_known = {row.id: row for ticket, row in written if any(message.is_read for message in ticket.messages)}
    if not of_known:
        return
    read = Message.select().where(Message.ticket_id.in_(list(of_known)), Message.is_read)
    _insert(
        MessageReceipt,
        [
            {
                "message_id": message.id,
                "reader_id": reader,
                "ticket_id": message.ticket_id,
                "read_at": message.read_at,
            }
            for message in read
            for reader in _readers(message, of_known[message.ticket_id])
        ],
    )


def _message_row(message: HistoricMessage, ticket: Ticket) -> dict[str, Any]:
    return {
        "ticket_id": ticket.id,
        "user_id": message.user_id,
        "author_role": message.author_role,
        "author_name": message.author_name,
        "author_email": message.author_email,
        "content": message.content,
        "is_internal": message.is_internal,
        "is_read": message.is_read,
        "read_at": message.created_at if message.is_read else None,
        "created_at": message.created_at,
        "updated_at": message.created_at,
    }


def _readers(message: Message, ticket: Ticket) -> set[int]:
    """Who has read an old message, as far as anybody knows: the two sides of its ticket."""
    sides = {ticket.assigned_to} if message.is_internal else {ticket.assigned_to, ticket.user_id}
    return {reader for reader in sides if reader is not None and reader != message.user_id}


def _insert(
    table: Any, rows: Sequence[Mapping[str, Any]], *, rows_a_statement: int = ROWS_A_STATEMENT
) -> None:
    for start in range(0, len(rows), rows_a_statement):
        table.insert_many(rows[start : start + rows_a_statement]).execute()


def _is_gone(ticket_id: int) -> bool:
    ticket = Ticket.select(Ticket.description, Ticket.deleted_at).where(Ticket.id == ticket_id).get()
    return ticket.deleted_at is not None or ticket.description == ERASED


@retry_deadlocks
def _announce(file: HistoricFile, imported: Imported, kind: FileType, size: int, now: datetime) -> Attachment:
    """Writes the row that says which object there may be from now on."""
    with transaction():
        message = _message(imported.ticket_id, file.message_place)
        row = Attachment.create(
            ticket_id=imported.ticket_id,
            message_id=message and message.id,
            user_id=message.user_id if message else Ticket.get_by_id(imported.ticket_id).user_id,
            file_name=shown_name(file.name),
            file_path="",
            file_type=kind.file_type,
            file_size=size,
            mime_type=kind.mime_type,
            state="pending",
            created_at=now,
            # What looks old, and is not complete, is swept away.
            updated_at=now,
        )
        row.file_path = object_key(ticket_id=row.ticket_id, attachment_id=row.id, file_name=file.name)
        row.save(only=[Attachment.file_path])
    return row


def _message(ticket_id: int, place: int | None) -> Message | None:
    if place is None:
        return None
    # Its messages of before are its first: whatever was written since has come behind them.
    in_order = Message.select().where(Message.ticket_id == ticket_id).order_by(Message.id)
    message: Message = in_order.offset(place).limit(1).get()
    return message


@retry_deadlocks
def _complete(
    row: Attachment, file: HistoricFile, imported: Imported, arrival: ArrivalState, now: datetime
) -> None:
    """Makes the file visible, and notes that this one is done; the ticket's times stay those of its past."""
    with transaction():
        ticket = for_update(Ticket.select().where(Ticket.id == row.ticket_id)).get()
        mine = (ImportedTicket.ticket_id == ticket.id) & (ImportedTicket.files_done == imported.files_done)
        if not ImportedTicket.update(files_done=imported.files_done + 1).where(mine).execute():
            raise StorageUnavailable("another import has attached this file just now")
        pending = (Attachment.id == row.id) & (Attachment.state == "pending")
        if not Attachment.update(state=arrival, created_at=file.created_at).where(pending).execute():
            raise StorageUnavailable("it took so long that it was swept away")
        facts = [Recorded(AttachmentAdded(attachment_id=row.id, message_id=row.message_id), {})]
        if arrival == "quarantined":
            facts.append(Recorded(AttachmentQuarantined(attachment_id=row.id), {}))
        numbered = number_events(ticket, facts)
        if not hangs_on_note(row.message_id):
            ticket.version += 1
        ticket.uncounted = True
        ticket.save(only=ticket.dirty_fields)
        append_events(ticket, numbered, occasion=Occasion(SYSTEM, now))
        advance_counters(slots_of(ticket_facts(ticket)))
