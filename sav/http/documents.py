"""What goes out: each row as the caller may see it, and the schema of every document.

The functions are the only place where a row becomes JSON; the models beside them describe the result in
the OpenAPI document, and a test holds each real answer against them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sav.domain.caller import Caller
from sav.domain.permissions import sees_internal
from sav.domain.ticket_lifecycle import Priority, Source, Status
from sav.models.fields import utc_text
from sav.models.tables import Agent, Attachment, Event, Message, Ticket
from sav.queries.pages import Page
from sav.queries.ticket_detail import TicketDetail

Document = dict[str, Any]
T = TypeVar("T")


def rfc3339(instant: datetime | None) -> str | None:
    """An instant in UTC, with microseconds and a Z."""
    return None if instant is None else utc_text(instant, "T") + "Z"


class Answer(BaseModel):
    """What is not described is not sent."""

    model_config = ConfigDict(extra="forbid")


class PageMeta(Answer):
    """`total` is there when `include_total=true` asked for it."""

    per_page: int
    next_cursor: str | None
    total: int | None = None


class TicketDocument(Answer):
    """A ticket. `internal_notes` is there for staff only."""

    id: int
    ticket_number: str
    user_id: int | None
    assigned_to: int | None
    subject: str
    description: str
    status: Status
    priority: Priority
    category: str | None
    source: Source
    contact_email: str | None
    contact_name: str | None
    first_response_at: AwareDatetime | None
    resolved_at: AwareDatetime | None
    closed_at: AwareDatetime | None
    escalated_at: AwareDatetime | None
    resolution_notes: str | None
    internal_notes: str | None = None
    satisfaction_rating: int | None
    satisfaction_comment: str | None
    tags: list[str]
    metadata: dict[str, Any]
    reopen_count: int
    version: int
    created_at: AwareDatetime
    updated_at: AwareDatetime


class MessageDocument(Answer):
    """A message. `is_read` and `read_at` say whether the other side has read it."""

    id: int
    ticket_id: int
    user_id: int | None
    author_role: str
    author_name: str
    author_email: str | None
    content: str
    is_internal: bool
    is_read: bool
    read_at: AwareDatetime | None
    version: int
    created_at: AwareDatetime
    updated_at: AwareDatetime


class AttachmentDocument(Answer):
    """A file's metadata; its bytes are behind its download.

    A file in quarantine waits for the virus scanner and cannot be downloaded yet.
    """

    id: int
    ticket_id: int
    message_id: int | None
    user_id: int | None
    file_name: str
    file_type: str
    file_size: int
    mime_type: str
    state: Literal["available", "quarantined"]
    created_at: AwareDatetime
    updated_at: AwareDatetime


class LinkedAttachmentDocument(AttachmentDocument):
    """A file's metadata, and a link to its bytes that is good for an hour for whoever holds it.

    There is none while it is in quarantine.
    """

    file_url: str | None


class AttachmentsDocument(Answer):
    """The files that were attached, in the order in which they were sent."""

    data: list[AttachmentDocument]


class DownloadDocument(Answer):
    """A link to a file's bytes, for whoever holds it, and until when it is good."""

    url: str
    expires_at: AwareDatetime


class TicketLinks(Answer):
    """Where the rest of the conversation and of the files is."""

    messages: str
    attachments: str


class TicketDetailDocument(TicketDocument):
    """A ticket with its first 100 messages and its first 100 files."""

    messages: list[MessageDocument]
    attachments: list[AttachmentDocument]
    links: TicketLinks


class AgentDocument(Answer):
    """A member of the roster."""

    user_id: int
    name: str | None
    email: str | None
    active: bool
    available: bool
    capacity: int
    categories: list[str]
    last_assigned_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class HistoryDocument(Answer):
    """Something that happened to a ticket: what, when, by whom, and from and to of each field."""

    sequence: int
    event: str
    occurred_at: AwareDatetime
    actor_id: int | None
    actor_role: str
    changes: dict[str, dict[str, Any]]
    data: dict[str, Any]
    request_id: str | None


class PageDocument(Answer, Generic[T]):
    """One part of a list."""

    data: list[T]
    meta: PageMeta


class Done(Answer):
    """It is done."""

    message: str


class UnreadCount(Answer):
    """How many messages the caller has not read."""

    count: int


class Health(Answer):
    """The process is alive."""

    status: str
    service: str


class Readiness(Answer):
    """Whether everything that requests need answers; the broker and the replica are not among it.

    `replica` is there when there is one.
    """

    status: str
    database: str
    storage: str
    broker: str
    replica: str | None = None


class DatabaseStatus(Answer):
    """Whether the database answers."""

    status: str
    database: str


def ticket_document(ticket: Ticket, caller: Caller) -> Document:
    document: Document = {
        "id": ticket.id,
        "ticket_number": ticket.ticket_number,
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
        "first_response_at": rfc3339(ticket.first_response_at),
        "resolved_at": rfc3339(ticket.resolved_at),
        "closed_at": rfc3339(ticket.closed_at),
        "escalated_at": rfc3339(ticket.escalated_at),
        "resolution_notes": ticket.resolution_notes,
        "satisfaction_rating": ticket.satisfaction_rating,
        "satisfaction_comment": ticket.satisfaction_comment,
        "tags": ticket.tags,
        "metadata": ticket.metadata,
        "reopen_count": ticket.reopen_count,
        "version": ticket.version,
        "created_at": rfc3339(ticket.created_at),
        "updated_at": rfc3339(ticket.updated_at),
    }
    if sees_internal(caller):
        document["internal_notes"] = ticket.internal_notes
    return document


def message_document(message: Message, caller: Caller) -> Document:
    by_customer = message.author_role in ("customer", "guest")
    return {
        "id": message.id,
        "ticket_id": message.ticket_id,
        "user_id": message.user_id,
        "author_role": message.author_role,
        "author_name": message.author_name,
        # Customers answer here, not to an agent's own address.
        "author_email": message.author_email if by_customer or sees_internal(caller) else None,
        "content": message.content,
        "is_internal": bool(message.is_internal),
        "is_read": bool(message.is_read),
        "read_at": rfc3339(message.read_at),
        "version": message.version,
        "created_at": rfc3339(message.created_at),
        "updated_at": rfc3339(message.updated_at),
    }


def attachment_document(attachment: Attachment, caller: Caller) -> Document:
    return {
        "id": attachment.id,
        "ticket_id": attachment.ticket_id,
        "message_id": attachment.message_id,
        "user_id": attachment.user_id,
        "file_name": attachment.file_name,
        "file_type": attachment.file_type,
        "file_size": attachment.file_size,
        "mime_type": attachment.mime_type,
        "state": attachment.state,
        "created_at": rfc3339(attachment.created_at),
        "updated_at": rfc3339(attachment.updated_at),
    }


def detail_document(detail: TicketDetail, caller: Caller) -> Document:
    path = f"/tickets/{detail.ticket.id}"
    return {
        **ticket_document(detail.ticket, caller),
        "messages": [message_document(message, caller) for message in detail.messages],
        "attachments": [attachment_document(attachment, caller) for attachment in detail.attachments],
        "links": {"messages": f"{path}/messages", "attachments": f"{path}/attachments"},
    }


def agent_document(agent: Agent, caller: Caller) -> Document:
    return {
        "user_id": agent.user_id,
        "name": agent.name,
        "email": agent.email,
        "active": bool(agent.active),
        "available": bool(agent.available),
        "capacity": agent.capacity,
        "categories": agent.categories,
        "last_assigned_at": rfc3339(agent.last_assigned_at),
        "created_at": rfc3339(agent.created_at),
        "updated_at": rfc3339(agent.updated_at),
    }


def history_document(event: Event, caller: Caller) -> Document:
    return {
        "sequence": event.sequence,
        "event": event.name,
        "occurred_at": rfc3339(event.occurred_at),
        "actor_id": event.actor_id,
        "actor_role": event.actor_role,
        "changes": event.changes,
        "data": event.data,
        "request_id": event.request_id,
    }


def page_document(page: Page[T], caller: Caller, render: Callable[[T, Caller], Document]) -> Document:
    meta: Document = {"per_page": page.per_page, "next_cursor": page.next_cursor}
    if page.total is not None:
        meta["total"] = page.total
    rows: Sequence[Document] = [render(row, caller) for row in page.rows]
    return {"data": rows, "meta": meta}
