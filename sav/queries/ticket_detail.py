"""One ticket, with the beginning of its conversation and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sav.domain.caller import Caller
from sav.domain.errors import NotFound
from sav.domain.permissions import TicketFacts, may_see, sees_internal
from sav.models.attachment_sight import visible_attachments
from sav.models.message_sight import visible_messages
from sav.models.tables import Attachment, Message, Ticket

EMBEDDED_ROWS = 100
"""How many messages, and how many files, a ticket's detail carries; the rest is behind its links."""


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """A ticket and what hangs on it, as far as the caller may see."""

    ticket: Ticket
    messages: Sequence[Message]
    attachments: Sequence[Attachment]


def visible_ticket(caller: Caller, ticket_id: int) -> Ticket:
    """A ticket in the caller's sight; raises `NotFound`."""
    ticket: Ticket | None = Ticket.get_or_none(Ticket.id == ticket_id, Ticket.deleted_at.is_null())
    if ticket is None or not may_see(
        caller,
        TicketFacts(
            user_id=ticket.user_id, assigned_to=ticket.assigned_to, status=ticket.status, ticket_id=ticket.id
        ),
    ):
        raise NotFound
    return ticket


def embedded_rows(caller: Caller, ticket: Ticket) -> TicketDetail:
    """The detail of a ticket that the caller is known to see."""
    internal = sees_internal(caller)
    messages = visible_messages(ticket.id, internal=internal).order_by(Message.id).limit(EMBEDDED_ROWS)
    attachments = (
        visible_attachments(ticket.id, internal=internal).order_by(Attachment.id).limit(EMBEDDED_ROWS)
    )
    return TicketDetail(ticket, list(messages), list(attachments))
