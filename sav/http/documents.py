"""What goes out: each row as the caller may see it, and the schema of every document.

The functions are the only place where a row becomes JSON; the models beside them describe the result in
the OpenAPI document, and a test holds each real answer against them.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sav.domain.authorship import guest_facing_name
from sav.domain.caller import Caller
from sav.domain.permissions import sees_internal
from sav.domain.privacy import RequestSource, RequestState
from sav.domain.statistics import Spread, Statistics
from sav.domain.ticket_lifecycle import Priority, Source, Status
from sav.models.tables import Agent, Attachment, Event, Message, PrivacyRequest, Ticket
from sav.operations.open_guest_ticket import GuestTicket
from sav.queries.guest_ticket import GuestTicketFace
from sav.queries.pages import Page
from sav.queries.ticket_detail import TicketDetail

Document = dict[str, Any]
T = TypeVar("T")


def rfc3339(instant: datetime | None) -> str | None:
    """An instant in UTC, with microseconds and a Z."""
    return None if instant is None else instant.replace(tzinfo=None).isoformat("T", "microseconds") + "Z"


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


class SpreadDocument(Answer):
    """How long something took, in seconds; null where there was nothing."""

    mean: float | None
    median: float | None
    p90: float | None
    count: int


class DayDocument(Answer):
    """What happened on one day of the time zone."""

    date: date
    opened: int
    resolved: int
    closed: int


class AgentNumbersDocument(Answer):
    """An agent's work: the tickets they have now, and those of theirs that were resolved in the span."""

    agent_id: int
    name: str | None
    load: int
    capacity: int | None
    resolved: int


class SatisfactionDocument(Answer):
    """The ratings, from 1 to 5."""

    mean: float | None
    count: int
    distribution: dict[str, int]


class StatisticsDocument(Answer):
    """The numbers of a dashboard. The key of tickets without a category is empty."""

    total: int
    by_status: dict[str, int]
    by_priority: dict[str, int]
    by_category: dict[str, int]
    by_source: dict[str, int]
    per_day: list[DayDocument]
    first_response_seconds: SpreadDocument
    resolution_seconds: SpreadDocument
    agents: list[AgentNumbersDocument]
    satisfaction: SatisfactionDocument
    escalation_rate: float
    reopen_rate: float


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
    }


def detail_document(detail: TicketDetail, caller: Caller) -> Document:
    path = f"/tickets/{detail.ticket.id}"
    return {
        **ticket_document(detail.ticket, caller),
        "messages": [message_document(message, caller) for message in detail.messages],
        "attachments": [attachment_document(attachment, caller) for attachment in detail.attachments],
        "links": {"messages": f"{path}/messages", "attachments": f"{path}/attachments"},
    }


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


def statistics_document(numbers: Statistics) -> Document:
    return {
        "total": numbers.total,
        "by_status": numbers.by_status,
        "by_priority": numbers.by_priority,
        "by_category": numbers.by_category,
        "by_source": numbers.by_source,
        "per_day": [
            {
                "date": day.day.isoformat(),
                "opened": day.opened,
                "resolved": day.resolved,
                "closed": day.closed,
            }
            for day in numbers.per_day
        ],
        "first_response_seconds": _spread_document(numbers.first_response),
        "resolution_seconds": _spread_document(numbers.resolution),
        "agents": [
            {
                "agent_id": agent.agent_id,
                "name": agent.name,
                "load": agent.load,
                "capacity": agent.capacity,
                "resolved": agent.resolved,
            }
            for agent in numbers.agents
        ],
        "satisfaction": {
            "mean": numbers.satisfaction_mean,
            "count": numbers.satisfaction_count,
            "distribution": numbers.satisfaction_distribution,
        },
        "escalation_rate": numbers.escalation_rate,
        "reopen_rate": numbers.reopen_rate,
    }


def _spread_document(spread: Spread) -> Document:
    return {"mean": spread.mean, "median": spread.median, "p90": spread.p90, "count": spread.count}


class PrivacyRequestDocument(Answer):
    """What was asked for about a person's data. Whom it is about is there as a keyed hash alone."""

    id: int
    state: RequestState
    source: RequestSource
    requested_by: int | None
    subject_hash: str
    counts: dict[str, int]
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class ExportDocument(PrivacyRequestDocument):
    """An export: its archive, once it is there, can be downloaded until it expires."""

    failure: str | None
    archive_bytes: int | None
    archive_sha256: str | None
    expires_at: AwareDatetime | None


class ReceiptDocument(Answer):
    """What was erased, signed (Ed25519 over the statement as JSON with sorted keys and without spaces)."""

    statement: dict[str, Any]
    algorithm: str
    public_key: str
    signature: str


class ErasureDocument(PrivacyRequestDocument):
    """An erasure: how far it has come, and at its end a receipt."""

    step: str
    receipt: ReceiptDocument | None


class ErasureProgressDocument(ErasureDocument):
    """An erasure, with how many of the person's tickets were found and are done while it is at work."""

    tickets_found: int
    tickets_done: int


def export_document(export: PrivacyRequest, caller: Caller) -> Document:
    return {
        **_privacy_request(export),
        "failure": export.failure,
        "archive_bytes": export.object_size,
        "archive_sha256": export.object_sha256,
        "expires_at": rfc3339(export.expires_at),
    }


def erasure_document(erasure: PrivacyRequest, caller: Caller) -> Document:
    return {**_privacy_request(erasure), "step": erasure.step, "receipt": erasure.receipt}


def erasure_progress_document(erasure: PrivacyRequest, caller: Caller, done: int, found: int) -> Document:
    return {**erasure_document(erasure, caller), "tickets_found": found, "tickets_done": done}


def _privacy_request(request: PrivacyRequest) -> Document:
    return {
        "id": request.id,
        "state": request.state,
        "source": request.source,
        "requested_by": request.requested_by,
        "subject_hash": request.subject_hash,
        "counts": request.counts,
        "created_at": rfc3339(request.created_at),
        "started_at": rfc3339(request.started_at),
        "finished_at": rfc3339(request.finished_at),
    }


def page_document(page: Page[T], caller: Caller, render: Callable[[T, Caller], Document]) -> Document:
    meta: Document = {"per_page": page.per_page, "next_cursor": page.next_cursor}
    if page.total is not None:
        meta["total"] = page.total
    rows: Sequence[Document] = [render(row, caller) for row in page.rows]
    return {"data": rows, "meta": meta}
