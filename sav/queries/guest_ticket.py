"""A guest's ticket, as its number shows it to anybody, and who may write to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import peewee

from sav.domain.access_tokens import is_token_of
from sav.domain.caller import Caller, guest_of
from sav.domain.errors import NotFound
from sav.domain.ticket_numbers import number_as_written
from sav.models.attachment_sight import visible_attachments
from sav.models.message_sight import visible_messages
from sav.models.tables import Attachment, Message, Ticket
from sav.queries.pages import Page, PageRequest, page_by_key
from sav.queries.ticket_detail import EMBEDDED_ROWS

LARGEST_ID = 2**63 - 1
NO_ID, NO_NUMBER = 0, ""
"""What no ticket has: nonsense is looked up too, so that it takes as long as everything else."""

_ID = re.compile(r"[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class GuestTicketFace:
    """A guest's ticket with a part of its public messages, and its files."""

    ticket: Ticket
    messages: Page[Message]
    attachments: list[Attachment]


def guest_ticket_face(*, number: str, page: PageRequest) -> GuestTicketFace:
    """What the number opens; raises `NotFound` for every number but that of a guest's living ticket."""
    ticket: Ticket | None = _guests().where(Ticket.ticket_number == _number(number)).first()
    if ticket is None:
        raise NotFound
    return face_of(ticket, page)


def face_of(ticket: Ticket, page: PageRequest) -> GuestTicketFace:
    """The public face of a ticket that is known to be a guest's."""
    messages = page_by_key(visible_messages(ticket.id, internal=False), Message.id, page)
    attachments = visible_attachments(ticket.id, internal=False).order_by(Attachment.id).limit(EMBEDDED_ROWS)
    return GuestTicketFace(ticket, messages, list(attachments))


def guest_with_token(*, reference: str, token: str) -> Caller:
    """The guest of the ticket with this id or number, if that is its token; else raises `NotFound`.

    One query that always gives one row of the same size, and one comparison: a wrong token, a ticket that is
    not there, a customer's, and what is no id at all are answered alike, and in the same time.
    """
    is_id = reference.isdecimal()
    which = Ticket.id == _id(reference) if is_id else Ticket.ticket_number == _number(reference)
    found: Any = (
        Ticket.select(peewee.fn.MAX(Ticket.id), peewee.fn.MAX(Ticket.access_token_hash))
        .where(which, Ticket.user_id.is_null(), Ticket.deleted_at.is_null())
        .tuples()
        .get()
    )
    ticket_id, token_hash = found
    if not is_token_of(token_hash, token):
        raise NotFound
    return guest_of(ticket_id)


def _guests() -> Any:
    # A ticket without any person is one that was erased.
    return Ticket.select().where(
        Ticket.user_id.is_null(), Ticket.contact_email.is_null(False), Ticket.deleted_at.is_null()
    )


def _id(text: str) -> int:
    return int(text) if _ID.fullmatch(text) and int(text) <= LARGEST_ID else NO_ID


def _number(text: str) -> str:
    return number_as_written(text) or NO_NUMBER
