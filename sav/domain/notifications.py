"""Who is told what by mail: a fact, and what its ticket is like now, decide.

Nobody gets a mail about what they did themselves, with two exceptions that say something new: the receipt of
a ticket, and the question after its end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

from sav.domain import events

MailKind = Literal[
    "received", "reply", "resolved", "closed", "assigned", "customer_replied", "escalated", "file_refused"
]  # fmt: skip
Side = Literal["requester", "staff"]
DeliveryState = Literal["due", "sent", "failed", "recorded", "suppressed"]
Suppression = Literal["no_address", "unsubscribed", "deleted"]

MAIL_KINDS: tuple[MailKind, ...] = get_args(MailKind)
NON_ESSENTIAL: frozenset[MailKind] = frozenset({"closed"})
"""What one may unsubscribe from: all else is needed to follow one's ticket, or to do one's work."""
SURVEY_LIFETIME = timedelta(days=30)
"""How long after a ticket's end the link of its survey is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketNow:
    """What the decision asks about the ticket, as it is when a worker comes to it."""

    user_id: int | None
    assigned_to: int | None
    is_deleted: bool
    is_rated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """A fact out of the event log, with whoever did it."""

    name: str
    data: Mapping[str, Any]
    actor_id: int | None
    actor_role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One mail that is owed. Staff mail goes to `agent_id`, or to the desk's address when there is none."""

    kind: MailKind
    side: Side
    agent_id: int | None = None


def notices(fact: Happened, ticket: TicketNow) -> list[Notice]:
    """The mails that a fact owes; none about a ticket that is deleted."""
    if ticket.is_deleted:
        return []
    return list(_notices(fact, ticket))


def _notices(fact: Happened, ticket: TicketNow) -> Iterator[Notice]:
    match fact.name:
        case events.TicketCreated.name:
            yield Notice(kind="received", side="requester")
        case events.MessageAdded.name:
            yield from _about_message(fact, ticket)
        case events.TicketResolved.name:
            if not _did_it_themselves(fact, ticket.user_id):
                yield Notice(kind="resolved", side="requester")
        case events.TicketClosed.name:
            # To whoever closed it too: it asks how they were helped. Who has said so knows all of it.
            if not (ticket.is_rated and _did_it_themselves(fact, ticket.user_id)):
                yield Notice(kind="closed", side="requester")
        case events.TicketAssigned.name:
            agent_id = fact.data["agent_id"]
            # By now somebody else may have it.
            if agent_id == ticket.assigned_to and agent_id != fact.actor_id:
                yield Notice(kind="assigned", side="staff", agent_id=agent_id)
        case events.TicketEscalated.name:
            yield Notice(kind="escalated", side="staff", agent_id=ticket.assigned_to)
        case events.AttachmentRefused.name:
            yield Notice(kind="file_refused", side="staff", agent_id=ticket.assigned_to)


def _about_message(fact: Happened, ticket: TicketNow) -> Iterator[Notice]:
    if fact.data["author_role"] in ("agent", "admin"):
        if not _did_it_themselves(fact, ticket.user_id):
            yield Notice(kind="reply", side="requester")
    elif not _did_it_themselves(fact, ticket.assigned_to):
        yield Notice(kind="customer_replied", side="staff", agent_id=ticket.assigned_to)


def _did_it_themselves(fact: Happened, user_id: int | None) -> bool:
    return user_id is not None and fact.actor_id == user_id
