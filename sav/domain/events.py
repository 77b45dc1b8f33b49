"""The catalogue of facts: everything that can happen to a ticket, in the past tense.

A fact with a schema here under `PUBLISHED` leaves the service as a domain event; the others stay in the
event log, where they are the history. The fields are those of a published event's `data`, beyond
those of `AboutTicket`, which every one carries. No field may hold a message's text, internal content or
a token. `docs/events.md` and `docs/asyncapi.json` are written from this module.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from sav.domain.meaning import Meaning
from sav.domain.ticket_lifecycle import Priority, Source

SCHEMA_VERSION = 1

AuthorRole = Literal["customer", "agent", "admin", "guest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutTicket:
    """What every published event says about its ticket."""

    ticket_id: Annotated[int, Meaning("The ticket's id, for `GET /tickets/{id}`.", example=42)]
    ticket_number: Annotated[
        str, Meaning("The ticket's number, as people quote it.", example="TICKET-20260115-001")
    ]
    user_id: Annotated[int | None, Meaning("The customer whose ticket it is; null for a guest's.", example=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened to a ticket."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketCreated(Fact):
    """A new ticket was opened."""

    name: ClassVar[str] = "ticket.created"
    subject: Annotated[str, Meaning("The subject, as the customer wrote it.", example="My parcel never came")]
    priority: Annotated[Priority, Meaning("How urgent it is now.", example="normal")]
    category: Annotated[
        str | None,
        Meaning(
            "What it is about, such as `order` or `product`; null when nobody has said.", example="order"
        ),
    ]
    source: Annotated[Source, Meaning("The way it came in.", example="web")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketAssigned(Fact):
    """A ticket was given to an agent. `assigned_by` is `auto` or the user id of whoever did it."""

    name: ClassVar[str] = "ticket.assigned"
    agent_id: Annotated[int, Meaning("The user id of the agent who has the ticket now.", example=7)]
    previous_agent_id: Annotated[
        int | None, Meaning("The user id of the agent who had it before; null when nobody had.", example=None)
    ]
    assigned_by: Annotated[
        int | Literal["auto"], Meaning("The user id of whoever assigned it, or `auto`.", example=99)
    ]
    reason: Annotated[
        str,
        Meaning(
            "Why: `manual`, `resolved`, or how the desk has chosen: `least_loaded`, or of several such "
            "`least_recently_assigned`; `escalated` when its agent was not there.",
            example="manual",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketResolved(Fact):
    """A ticket was marked as resolved, `resolution_seconds` after it was opened."""

    name: ClassVar[str] = "ticket.resolved"
    agent_id: Annotated[
        int | None, Meaning("The user id of the agent who has the ticket; null when nobody has.", example=7)
    ]
    resolution_seconds: Annotated[int, Meaning("Seconds from its opening until now.", example=5400)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketClosed(Fact):
    """A ticket was closed. `closed_by` is `auto` or the user id of whoever did it."""

    name: ClassVar[str] = "ticket.closed"
    closed_by: Annotated[
        int | Literal["auto"] | None,
        Meaning("The user id of whoever closed it, or `auto`; null for a guest.", example="auto"),
    ]
    reason: Annotated[
        str | None,
        Meaning("Why, when a reason was given; `resolved_and_quiet` by the desk itself.", example=None),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAdded(Fact):
    """A public message was added to a ticket's conversation."""

    name: ClassVar[str] = "ticket.message.new"
    message_id: Annotated[
        int, Meaning("The message, for `GET /tickets/{id}/messages/{message_id}`.", example=311)
    ]
    author_role: Annotated[AuthorRole, Meaning("What the author is to the desk.", example="customer")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEscalated(Fact):
    """An urgent ticket waited too long for an answer."""

    name: ClassVar[str] = "ticket.escalated"
    priority: Annotated[Priority, Meaning("The priority that made the deadline run.", example="urgent")]
    reason: Annotated[
        str,
        Meaning(
            "Which deadline was missed: `no_first_response`, or `no_response_since_urgent` when it was "
            "answered before it was made urgent.",
            example="no_first_response",
        ),
    ]
    waited_seconds: Annotated[
        int, Meaning("Seconds for which the ticket has waited for an answer.", example=7200)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SatisfactionReceived(Fact):
    """The customer rated how the ticket was handled, from 1 to 5."""

    name: ClassVar[str] = "ticket.satisfaction.received"
    rating: Annotated[int, Meaning("From 1, very dissatisfied, to 5, very satisfied.", example=5)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketUpdated(Fact):
    """Fields of a ticket were changed."""

    name: ClassVar[str] = "ticket.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketStatusChanged(Fact):
    """A ticket moved to another status without an event of its own (started, waiting, unassigned)."""

    name: ClassVar[str] = "ticket.status_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketReopened(Fact):
    """A resolved ticket came back to work, because the customer wrote again."""

    name: ClassVar[str] = "ticket.reopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDeleted(Fact):
    """A ticket was deleted; its rows remain."""

    name: ClassVar[str] = "ticket.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketImported(Fact):
    """A ticket came from a former system with all its past, of which nobody is told."""

    name: ClassVar[str] = "ticket.imported"
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteAdded(Fact):
    """An internal note was added, for staff only."""

    name: ClassVar[str] = "ticket.note.added"
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEdited(Fact):
    """A message's text was changed."""

    name: ClassVar[str] = "ticket.message.edited"
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDeleted(Fact):
    """A message was deleted."""

    name: ClassVar[str] = "ticket.message.deleted"
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentAdded(Fact):
    """A file was attached, to a message or to the ticket itself."""

    name: ClassVar[str] = "ticket.attachment.added"
    attachment_id: int
    message_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentDeleted(Fact):
    """A file was deleted; nobody sees it any more, and its object will be removed."""

    name: ClassVar[str] = "ticket.attachment.deleted"
    attachment_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentQuarantined(Fact):
    """A file that was attached waits for the virus scanner, and cannot be downloaded before."""

    name: ClassVar[str] = "ticket.attachment.quarantined"
    attachment_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentPassed(Fact):
    """The virus scanner found nothing in a file."""

    name: ClassVar[str] = "ticket.attachment.passed"
    attachment_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRefused(Fact):
    """The virus scanner found a virus in a file; nobody sees it any more, and its object will be removed."""

    name: ClassVar[str] = "ticket.attachment.refused"
    attachment_id: int
    virus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentLost(Fact):
    """A file's object is gone from the store, and so its row was removed too."""

    name: ClassVar[str] = "ticket.attachment.lost"
    attachment_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketErased(Fact):
    """What somebody wrote, and who they were, was erased; numbers and times stay."""

    name: ClassVar[str] = "ticket.erased"


PUBLISHED: tuple[type[Fact], ...] = (
    TicketCreated,
    TicketAssigned,
    TicketResolved,
    TicketClosed,
    MessageAdded,
    TicketEscalated,
    SatisfactionReceived,
)
INTERNAL: tuple[type[Fact], ...] = (
    TicketUpdated,
    TicketStatusChanged,
    TicketReopened,
    TicketDeleted,
    TicketImported,
    NoteAdded,
    MessageEdited,
    MessageDeleted,
    AttachmentAdded,
    AttachmentQuarantined,
    AttachmentPassed,
    AttachmentRefused,
    AttachmentDeleted,
    AttachmentLost,
    TicketErased,
)
CATALOGUE: dict[str, type[Fact]] = {fact.name: fact for fact in (*PUBLISHED, *INTERNAL)}
PUBLISHED_NAMES: frozenset[str] = frozenset(fact.name for fact in PUBLISHED)
