"""One ticket, with the beginning of its conversation and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import peewee

from sav.domain.caller import Caller, Role
from sav.domain.errors import NotFound
from sav.domain.permissions import TicketFacts, may_see, sees_internal
from sav.models.attachment_sight import visible_attachments
from sav.models.database import database, is_sqlite
from sav.models.message_sight import visible_messages
from sav.models.prepared import Prepared, given, rows_of_both
from sav.models.tables import SHOWN_OF_TICKETS, Attachment, Message, Ticket, revision_of

EMBEDDED_ROWS = 100
"""How many messages, and how many files, a ticket's detail carries; the rest is behind its links."""


_REVISION = (
    "SELECT version, read_marks, event_count, user_id, assigned_to, status FROM support_tickets "
    "WHERE deleted_at IS NULL AND id = "
)


def _ticket() -> peewee.ModelSelect[Ticket]:
    # Most tickets have no files: then nothing more is asked.
    attachments = Attachment.select(peewee.SQL("1")).where(Attachment.ticket_id == given("ticket_id"))
    return Ticket.select(
        *SHOWN_OF_TICKETS,
        Ticket.event_count,
        peewee.fn.EXISTS(attachments).alias("has_attachments"),
    ).where(Ticket.id == given("ticket_id"), Ticket.deleted_at.is_null())


def _messages(role: Role) -> Prepared[Message]:
    """Of a ticket that they see: they are read together with it, and nothing is read for a refusal."""
    seen = Ticket.select(peewee.SQL("1")).where(
        Ticket.id == given("ticket_id"), Ticket.deleted_at.is_null(), _in_sight_of(role)
    )
    internal = sees_internal(Caller(None, role))
    return Prepared(
        lambda: (
            visible_messages(given("ticket_id"), internal=internal)
            .where(peewee.fn.EXISTS(seen))
            .order_by(Message.id)
            .limit(EMBEDDED_ROWS)
        )
    )


def _in_sight_of(role: Role) -> Any:
    """`may_see` as a condition."""
    match role:
        case "admin" | "system":
            return peewee.SQL("1 = 1")
        case "agent":
            return (Ticket.status == "open") | (Ticket.assigned_to == given("user_id"))
        case "customer":
            return Ticket.user_id == given("user_id")
        case "guest":
            return (Ticket.id == given("ticket_of_token")) & Ticket.user_id.is_null()


def _attachments(*, internal: bool) -> Prepared[Attachment]:
    return Prepared(
        lambda: (
            visible_attachments(given("ticket_id"), internal=internal)
            .order_by(Attachment.id)
            .limit(EMBEDDED_ROWS)
        )
    )


_ONE_TICKET = Prepared(_ticket)
_SIGHT = Prepared(
    lambda: Ticket.select(Ticket.id, Ticket.user_id, Ticket.assigned_to, Ticket.status).where(
        Ticket.id == given("ticket_id"), Ticket.deleted_at.is_null()
    )
)
_MESSAGES = {role: _messages(role) for role in get_args(Role)}
# By whether internal notes, and what hangs on them, are in sight.
_ATTACHMENTS = {internal: _attachments(internal=internal) for internal in (False, True)}


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """A ticket and what hangs on it, as far as the caller may see."""

    ticket: Ticket
    messages: Sequence[Message]
    attachments: Sequence[Attachment]


def require_sight(caller: Caller, ticket_id: int) -> None:
    """Raises `NotFound` for a ticket that is not in the caller's sight."""
    _seen(caller, _SIGHT.first(ticket_id=ticket_id))


def _seen(caller: Caller, ticket: Ticket | None) -> Ticket:
    if ticket is None or not may_see(
        caller,
        TicketFacts(
            user_id=ticket.user_id, assigned_to=ticket.assigned_to, status=ticket.status, ticket_id=ticket.id
        ),
    ):
        raise NotFound
    return ticket


def visible_revision(caller: Caller, ticket_id: int) -> str:
    """The revision of a ticket in the caller's sight, by one key; raises `NotFound`.

    It moves with all that this caller is shown of the ticket, its messages and its files.
    """
    # As text: whoever asks for a ticket that is kept ready waits for nothing but this.
    row = database.execute_sql(
        _REVISION + ("?" if is_sqlite() else "%s"),
        (ticket_id,),
    ).fetchone()
    if row is None:
        raise NotFound
    version, read_marks, event_count, user_id, assigned_to, status = row
    if not may_see(caller, TicketFacts(user_id, assigned_to, status, ticket_id)):
        raise NotFound
    return revision_of(version, read_marks, event_count, internal=sees_internal(caller))


def visible_detail(caller: Caller, ticket_id: int) -> TicketDetail:
    """A ticket in the caller's sight with what hangs on it; raises `NotFound`."""
    # The ticket first: what is committed in between makes its revision old from the beginning.
    tickets, messages = rows_of_both(
        _ONE_TICKET,
        _MESSAGES[caller.role],
        ticket_id=ticket_id,
        user_id=caller.user_id,
        ticket_of_token=caller.ticket_id,
    )
    ticket = _seen(caller, tickets[0] if tickets else None)
    internal = sees_internal(caller)
    attachments = _ATTACHMENTS[internal].rows(ticket_id=ticket_id) if ticket.has_attachments else []
    return TicketDetail(ticket, messages, attachments)
