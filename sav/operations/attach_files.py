"""Attaching files to a ticket: all of them or none, and nobody sees one before its object is complete.

Three steps, none of which holds a transaction open while it waits for the store: the rows are written as
`pending`, which gives the objects their keys; the objects are stored; the rows become visible. Whatever
breaks in between, the rows say which objects there may be, and these are removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

import structlog

from sav.domain.caller import Caller
from sav.domain.errors import FieldError, Invalid, NotFound
from sav.domain.events import AttachmentAdded, AttachmentQuarantined
from sav.domain.file_names import object_key, shown_name
from sav.domain.occasion import Occasion
from sav.domain.permissions import owns, require
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Attachment, Message, Ticket
from sav.operations.converse import TicketClosedToReplies, visible_message
from sav.operations.idempotency import FirstAnswer
from sav.operations.remove_objects import abandon_attachments
from sav.operations.ticket_change import change_ticket, locked_ticket, ticket_facts, unlocked_ticket
from sav.storage.file_refusals import FileTypeNotAllowed
from sav.storage.file_types import FileType, recognise
from sav.storage.object_store import ObjectStore, StorageUnavailable

log = structlog.get_logger(__name__)

ArrivalState = Literal["available", "quarantined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file that came in. `field` is where, for whoever must be told that it is wrong."""

    field: str
    name: str
    content: BinaryIO
    size: int


class MessageNotThere(Invalid):
    """The message that the file belongs to is not there."""

    code = "no_such_message"


def require_attaching(*, occasion: Occasion, ticket_id: int, was_asked_before: bool = False) -> None:
    """Refuses, before a byte of theirs is read, whoever may not attach anything to this ticket.

    Raises `NotFound`, `Forbidden` or `TicketClosedToReplies`; the last one not when the request
    `was_asked_before`, perhaps, and its answer is known.
    """
    ticket = unlocked_ticket(ticket_id, occasion=occasion)
    require(occasion.caller, "attach", ticket_facts(ticket))
    if not was_asked_before:
        _require_open(occasion.caller, ticket)


def attach_files(
    *,
    occasion: Occasion,
    ticket_id: int,
    files: Sequence[NewFile],
    store: ObjectStore,
    message_id: int | None = None,
    first_answer: FirstAnswer[Sequence[Attachment]] | None = None,
    arrival: ArrivalState,
) -> Sequence[Attachment]:
    """Stores files, of the ticket itself or of one of its messages; all of them, or none.

    Raises `FileTypeNotAllowed` with every file that is none of the allowed kinds, and `StorageUnavailable`.
    A file that arrives as `quarantined` cannot be downloaded until the virus scanner has passed it.
    """
    kinds = _recognised(files)
    rows = _announce(
        occasion=occasion,
        ticket_id=ticket_id,
        files=list(zip(files, kinds, strict=True)),
        message_id=message_id,
        first_answer=first_answer,
    )
    try:
        for row, file in zip(rows, files, strict=True):
            file.content.seek(0)
            store.put(row.file_path, file.content, length=file.size, mime_type=row.mime_type)
        _complete(
            occasion=occasion,
            ticket_id=ticket_id,
            rows=rows,
            message_id=message_id,
            first_answer=first_answer,
            arrival=arrival,
        )
    except BaseException:
        _give_up(occasion, ticket_id, rows)
        raise
    for row in rows:
        log.info(
            "file attached",
            action="attach_file",
            ticket_id=ticket_id,
            attachment_id=row.id,
            file_type=row.file_type,
            file_size=row.file_size,
        )
    return rows


def _recognised(files: Sequence[NewFile]) -> list[FileType]:
    kinds: list[FileType] = []
    refusals: list[FileTypeNotAllowed] = []
    for file in files:
        try:
            file.content.seek(0)
            kinds.append(recognise(file.content, file_name=file.name))
        except FileTypeNotAllowed as error:
            error.fields = (FieldError(file.field, error.code, error.detail),)
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        raise FileTypeNotAllowed(fields=[field for error in refusals for field in error.fields])
    return kinds


@retry_deadlocks
def _announce(
    *,
    occasion: Occasion,
    ticket_id: int,
    files: Sequence[tuple[NewFile, FileType]],
    message_id: int | None,
    first_answer: FirstAnswer[Sequence[Attachment]] | None,
) -> list[Attachment]:
    """Writes the rows that say which objects there may be from now on."""
    with transaction():
        ticket = locked_ticket(ticket_id, occasion=occasion)
        require(occasion.caller, "attach", ticket_facts(ticket))
        if first_answer:
            first_answer.look(now=occasion.now)
        _require_open(occasion.caller, ticket)
        _required_message(occasion.caller, ticket_id, message_id)
        return [_new_row(occasion, ticket_id, message_id, file, kind) for file, kind in files]


@retry_deadlocks
def _complete(
    *,
    occasion: Occasion,
    ticket_id: int,
    rows: Sequence[Attachment],
    message_id: int | None,
    first_answer: FirstAnswer[Sequence[Attachment]] | None,
    arrival: ArrivalState,
) -> None:
    """Makes the files visible; everything is asked again, because storing them took its time."""
    with change_ticket(ticket_id, occasion=occasion) as change:
        change.require("attach")
        if first_answer:
            first_answer.claim(now=occasion.now)
        _require_open(occasion.caller, change.ticket)
        message = _required_message(occasion.caller, ticket_id, message_id)
        pending = Attachment.id.in_([row.id for row in rows]) & (Attachment.state == "pending")
        if Attachment.update(state=arrival).where(pending).execute() != len(rows):
            raise StorageUnavailable("the upload took so long that it was swept away")
        internal = message is not None and message.is_internal
        for row in rows:
            row.state = arrival
            change.note("file_name", before=None, after=row.file_name)
            change.record(AttachmentAdded(attachment_id=row.id, message_id=message_id), internal=internal)
            if arrival == "quarantined":
                change.record(AttachmentQuarantined(attachment_id=row.id), internal=internal)
        if first_answer:
            first_answer.keep(rows)


def _require_open(caller: Caller, ticket: Ticket) -> None:
    """Closed to customers as it is to their replies; staff may still complete what is known of it."""
    if ticket.status == "closed" and (not caller.is_staff or owns(caller, ticket_facts(ticket))):
        raise TicketClosedToReplies


def _required_message(caller: Caller, ticket_id: int, message_id: int | None) -> Message | None:
    if message_id is None:
        return None
    try:
        return visible_message(caller, ticket_id, message_id)
    except NotFound:
        error = FieldError("message_id", MessageNotThere.code, MessageNotThere.public_sentence())
        raise MessageNotThere(fields=[error]) from None


def _new_row(
    occasion: Occasion, ticket_id: int, message_id: int | None, file: NewFile, kind: FileType
) -> Attachment:
    row = Attachment.create(
        ticket_id=ticket_id,
        message_id=message_id,
        user_id=occasion.caller.user_id,
        file_name=shown_name(file.name),
        file_path="",
        file_type=kind.file_type,
        file_size=file.size,
        mime_type=kind.mime_type,
        state="pending",
        created_at=occasion.now,
        updated_at=occasion.now,
    )
    row.file_path = object_key(ticket_id=ticket_id, attachment_id=row.id, file_name=file.name)
    row.save(only=[Attachment.file_path])
    return row


def _give_up(occasion: Occasion, ticket_id: int, rows: Sequence[Attachment]) -> None:
    try:
        abandon_attachments(ids=[row.id for row in rows], ticket_id=ticket_id, now=occasion.now)
    except Exception as error:
        # They stay pending, which nobody sees, until the daily sweep.
        log.warning(
            "an upload that failed is left for the sweep",
            action="attach_file",
            ticket_id=ticket_id,
            error=type(error).__name__,
        )
