"""What a guest is shown: another face than the account's, so that neither follows the other by accident."""

from collections.abc import Sequence

from pydantic import AwareDatetime

from sav.domain.authorship import guest_facing_name
from sav.domain.ticket_lifecycle import Status
from sav.http.documents import Answer, Document, PageMeta, rfc3339
from sav.models.tables import Attachment, Message, Ticket
from sav.operations.open_guest_ticket import GuestTicket
from sav.queries.guest_ticket import GuestTicketFace


class GuestMessageDocument(Answer):
    """A public message, as the ticket's number shows it. `attachments` names its files."""

    author_role: str
    author_name: str
    content: str
    attachments: list[str]
    created_at: AwareDatetime
    updated_at: AwareDatetime


class WrittenGuestMessageDocument(GuestMessageDocument):
    """The guest's own new message."""

    id: int


class GuestAttachmentDocument(Answer):
    """A file's metadata, as the ticket's number shows it; its bytes need the access token."""

    id: int
    file_name: str
    file_type: str
    file_size: int
    mime_type: str
    created_at: AwareDatetime


class GuestTicketSummary(Answer):
    """What a guest's ticket shows of itself to whoever knows its number."""

    id: int
    ticket_number: str
    subject: str
    description: str
    category: str | None
    status: Status
    first_response_at: AwareDatetime | None
    resolved_at: AwareDatetime | None
    closed_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class OpenedGuestTicketDocument(GuestTicketSummary):
    """The new ticket, and the token that writes to it. It is shown this once, and never again."""

    access_token: str


class GuestTicketDocument(GuestTicketSummary):
    """A guest's ticket with a part of its public messages, and its first 100 files."""

    messages: list[GuestMessageDocument]
    attachments: list[GuestAttachmentDocument]
    meta: PageMeta


class GuestRatingDocument(Answer):
    """How the guest has rated the help."""

    ticket_number: str
    status: Status
    satisfaction_rating: int
    satisfaction_comment: str | None


def guest_ticket_summary(ticket: Ticket) -> Document:
    return {
        "id": ticket.id,
        "ticket_number": ticket.ticket_number,
        "subject": ticket.subject,
        "description": ticket.description,
        "category": ticket.category,
        "status": ticket.status,
        "first_response_at": rfc3339(ticket.first_response_at),
        "resolved_at": rfc3339(ticket.resolved_at),
        "closed_at": rfc3339(ticket.closed_at),
        "created_at": rfc3339(ticket.created_at),
        "updated_at": rfc3339(ticket.updated_at),
    }


def opened_guest_ticket_document(opened: GuestTicket) -> Document:
    return {**guest_ticket_summary(opened.ticket), "access_token": opened.access_token}


def guest_ticket_document(face: GuestTicketFace) -> Document:
    names: dict[int, list[str]] = {}
    for attachment in face.attachments:
        if attachment.message_id is not None:
            names.setdefault(attachment.message_id, []).append(attachment.file_name)
    return {
        **guest_ticket_summary(face.ticket),
        "messages": [
            guest_message_document(message, names.get(message.id, [])) for message in face.messages.rows
        ],
        "attachments": [guest_attachment_document(attachment) for attachment in face.attachments],
        "meta": {"per_page": face.messages.per_page, "next_cursor": face.messages.next_cursor},
    }


def guest_message_document(message: Message, attachments: Sequence[str] = ()) -> Document:
    return {
        "author_role": message.author_role,
        "author_name": guest_facing_name(role=message.author_role, name=message.author_name),
        "content": message.content,
        "attachments": list(attachments),
        "created_at": rfc3339(message.created_at),
        "updated_at": rfc3339(message.updated_at),
    }


def written_guest_message_document(message: Message) -> Document:
    return {"id": message.id, **guest_message_document(message)}


def guest_attachment_document(attachment: Attachment) -> Document:
    return {
        "id": attachment.id,
        "file_name": attachment.file_name,
        "file_type": attachment.file_type,
        "file_size": attachment.file_size,
        "mime_type": attachment.mime_type,
        "created_at": rfc3339(attachment.created_at),
    }


def guest_rating_document(ticket: Ticket) -> Document:
    return {
        "ticket_number": ticket.ticket_number,
        "status": ticket.status,
        "satisfaction_rating": ticket.satisfaction_rating,
        "satisfaction_comment": ticket.satisfaction_comment,
    }
