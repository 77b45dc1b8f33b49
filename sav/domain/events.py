"""The catalogue of facts: everything that can happen to a ticket, in the past tense.

A fact with a schema here under `PUBLISHED` leaves the service as a domain event; the others stay in the
event log, where they are the history. The fields are those of a published event's `data`, beyond
`ticket_id`, `ticket_number` and `user_id`, which every one carries. No field may hold a message's text,
internal content or a token.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from sav.domain.ticket_lifecycle import Priority, Source

SCHEMA_VERSION = 1

AuthorRole = Literal["customer", "agent", "admin", "guest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened to a ticket."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketCreated(Fact):
    """A new ticket was opened."""

    name: ClassVar[str] = "ticket.created"
    subject: str
    priority: Priority
    category: str | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketAssigned(Fact):
    """A ticket was given to an agent. `assigned_by` is `auto` or the user id of whoever did it."""

    name: ClassVar[str] = "ticket.assigned"
    agent_id: int
    previous_agent_id: int | None
    assigned_by: int | Literal["auto"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketResolved(Fact):
    """A ticket was marked as resolved, `resolution_seconds` after it was opened."""

    name: ClassVar[str] = "ticket.resolved"
    agent_id: int | None
    resolution_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketClosed(Fact):
    """A ticket was closed. `closed_by` is `auto` or the user id of whoever did it."""

    name: ClassVar[str] = "ticket.closed"
    closed_by: int | Literal["auto"] | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAdded(Fact):
    """A public message was added to a ticket's conversation."""

    name: ClassVar[str] = "ticket.message.new"
    message_id: int
    author_role: AuthorRole


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEscalated(Fact):
    """An urgent ticket waited too long for an answer."""

    name: ClassVar[str] = "ticket.escalated"
    priority: Priority
    reason: str
    waited_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SatisfactionReceived(Fact):
    """The customer rated how the ticket was handled, from 1 to 5."""

    name: ClassVar[str] = "ticket.satisfaction.received"
    rating: int


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
    NoteAdded,
    MessageEdited,
    MessageDeleted,
)
CATALOGUE: dict[str, type[Fact]] = {fact.name: fact for fact in (*PUBLISHED, *INTERNAL)}
PUBLISHED_NAMES: frozenset[str] = frozenset(fact.name for fact in PUBLISHED)
