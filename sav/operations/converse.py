"""The conversation: replies and notes, their correction, and who has read them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sav.domain.caller import Caller
from sav.domain.errors import Conflict, Forbidden, NotFound
from sav.domain.events import (
    AuthorRole,
    MessageAdded,
    MessageDeleted,
    MessageEdited,
    NoteAdded,
    TicketReopened,
    TicketStatusChanged,
)
from sav.domain.occasion import Occasion
from sav.domain.permissions import owns, require_message_change, sees_internal
from sav.models.database import retry_deadlocks
from sav.models.message_sight import unread_messages, visible_messages
from sav.models.prepared import insert_new, update_changed
from sav.models.tables import Message, MessageReceipt, Ticket
from sav.operations.idempotency import FirstAnswer
from sav.operations.ticket_change import (
    TicketChange,
    change_ticket,
    require_version,
    ticket_facts,
)

CUSTOMER_SIDE: frozenset[AuthorRole] = frozenset({"customer", "guest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who a message is from, as the conversation shows them."""

    user_id: int | None
    role: AuthorRole
    name: str
    email: str


class TicketClosedToReplies(Conflict):
    """A closed ticket takes no more replies, and no more files; open a new one."""

    code = "ticket_closed"


@retry_deadlocks
def reply_to_ticket(
    *,
    occasion: Occasion,
    ticket_id: int,
    content: str,
    is_internal: bool = False,
    first_answer: FirstAnswer[Message] | None = None,
) -> Message:
    """Adds a public reply, or a note that only staff will ever see; returns the message."""
    with change_ticket(ticket_id, occasion=occasion) as change:
        change.require("write_note" if is_internal else "reply")
        if first_answer:
            first_answer.claim(now=occasion.now)
        if not is_internal and change.ticket.status == "closed":
            raise TicketClosedToReplies
        message = add_message(change, _author(occasion.caller, change), content, is_internal=is_internal)
        if first_answer:
            first_answer.keep(message)
    return message


@retry_deadlocks
def edit_message(
    *,
    occasion: Occasion,
    ticket_id: int,
    message_id: int,
    content: str,
    expected_versions: Collection[int] | None = None,
) -> Message:
    """Corrects a message's text; whether it is internal never changes."""
    with change_ticket(ticket_id, occasion=occasion) as change:
        message = _changeable_message(change, message_id, expected_versions)
        if message.content != content:
            change.note("content", before=message.content, after=content)
            message.content = content
            _save_message(change, message)
            change.record(MessageEdited(message_id=message.id), internal=message.is_internal)
    return message


@retry_deadlocks
def delete_message(
    *, occasion: Occasion, ticket_id: int, message_id: int, expected_versions: Collection[int] | None = None
) -> None:
    """Deletes a message from everybody's sight; its row remains."""
    with change_ticket(ticket_id, occasion=occasion) as change:
        message = _changeable_message(change, message_id, expected_versions)
        message.deleted_at = occasion.now
        _save_message(change, message)
        change.record(MessageDeleted(message_id=message.id), internal=message.is_internal)


@retry_deadlocks
def mark_read(*, occasion: Occasion, ticket_id: int, message_id: int | None = None) -> int:
    """Notes that the caller has read one message, or all that they can see; returns how many were new."""
    if occasion.caller.user_id is None:
        # Read state is per reader, and this one is nobody in particular.
        raise Forbidden
    with change_ticket(ticket_id, occasion=occasion) as change:
        if message_id is not None:
            visible_message(occasion.caller, ticket_id, message_id)
        unread = _unread(occasion.caller, ticket_id, message_id)
        if unread and _write_receipts(occasion, change.ticket, unread):
            # Not a change of the ticket: its version, and so everybody's If-Match, stays.
            Ticket.update(read_marks=Ticket.read_marks + 1).where(Ticket.id == change.ticket.id).execute()
    return len(unread)


def visible_message(caller: Caller, ticket_id: int, message_id: int) -> Message:
    """A message of a ticket that the caller is known to see; raises `NotFound` for a note by a customer."""
    visible = visible_messages(ticket_id, internal=sees_internal(caller))
    message: Message | None = visible.where(Message.id == message_id).first()
    if message is None:
        raise NotFound
    return message


def add_message(change: TicketChange, author: Author, content: str, *, is_internal: bool = False) -> Message:
    """Writes a message into the pending change, with all that follows from who wrote it."""
    message = Message(
        ticket_id=change.ticket.id,
        user_id=author.user_id,
        author_role=author.role,
        author_name=author.name,
        author_email=author.email,
        content=content,
        is_internal=is_internal,
        created_at=change.occasion.now,
        updated_at=change.occasion.now,
    )
    insert_new(message)
    if is_internal:
        change.record(NoteAdded(message_id=message.id), internal=True)
        return message
    if author.role not in CUSTOMER_SIDE and change.ticket.first_response_at is None:
        change.set(first_response_at=change.occasion.now)
    if author.role not in CUSTOMER_SIDE:
        change.ticket.unanswered_since = None
    change.record(MessageAdded(message_id=message.id, author_role=author.role))
    if author.role in CUSTOMER_SIDE:
        _customer_replied(change)
    else:
        _staff_replied(change)
    return message


def _author(caller: Caller, change: TicketChange) -> Author:
    role = side_of(caller, change.ticket)
    if role == "guest":
        ticket = change.ticket
        return guest_author(name=ticket.contact_name, email=ticket.contact_email)
    return Author(
        user_id=caller.user_id,
        role=role,
        name=caller.name or f"{role.capitalize()} {caller.user_id}",
        email=caller.email or "",
    )


def guest_author(*, name: str | None, email: str | None) -> Author:
    """A guest, as the ticket knows them: whoever holds its token writes in their name."""
    return Author(user_id=None, role="guest", name=name or "Guest", email=email or "")


def side_of(caller: Caller, ticket: Ticket) -> AuthorRole:
    """On which side of the conversation the caller stands: the owner is the customer, whatever their role."""
    if caller.role == "customer" or owns(caller, ticket_facts(ticket)):
        return "customer"
    if caller.role == "system":
        raise Forbidden
    return caller.role


def _customer_replied(change: TicketChange) -> None:
    ticket = change.ticket
    reopened, before = ticket.status == "resolved", ticket.status
    change.move("customer_reply")
    if reopened:
        change.set(resolved_at=None, reopen_count=ticket.reopen_count + 1)
        if ticket.unanswered_since is not None:
            # The resolution was no answer; the staff get their time anew.
            ticket.unanswered_since = change.occasion.now
        change.record(TicketReopened())
    elif ticket.status != before:
        change.record(TicketStatusChanged())


def _staff_replied(change: TicketChange) -> None:
    if change.ticket.status == "assigned":
        change.move("start")
        change.record(TicketStatusChanged())


def _changeable_message(
    change: TicketChange, message_id: int, expected_versions: Collection[int] | None
) -> Message:
    caller, now = change.occasion.caller, change.occasion.now
    message = visible_message(caller, change.ticket.id, message_id)
    require_message_change(caller, author_id=message.user_id, written_at=message.created_at, now=now)
    require_version(message, expected_versions, revision=message.revision)
    return message


def _save_message(change: TicketChange, message: Message) -> None:
    message.version += 1
    message.updated_at = change.occasion.now
    update_changed(message)


def _unread(caller: Caller, ticket_id: int, message_id: int | None) -> Sequence[Message]:
    query = unread_messages(ticket_id, reader_id=caller.user_id, internal=sees_internal(caller))
    return list(query if message_id is None else query.where(Message.id == message_id))


def _write_receipts(occasion: Occasion, ticket: Ticket, unread: Sequence[Message]) -> bool:
    """Returns whether it shows, in that a message was read by its other side for the first time."""
    caller, now = occasion.caller, occasion.now
    MessageReceipt.insert_many(
        [
            {"message_id": m.id, "reader_id": caller.user_id, "ticket_id": ticket.id, "read_at": now}
            for m in unread
        ]
    ).execute()
    # To a message, its other side is everybody who stands elsewhere than its author.
    by_customer = side_of(caller, ticket) in CUSTOMER_SIDE
    others = [m.id for m in unread if (m.author_role in CUSTOMER_SIDE) != by_customer]
    if not others:
        return False
    shown = Message.update(is_read=True, read_at=now).where(Message.id.in_(others), ~Message.is_read)
    return bool(shown.execute())
