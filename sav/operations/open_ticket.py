"""Opens a ticket."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sav.domain.deadlines import waiting_since
from sav.domain.errors import Forbidden
from sav.domain.events import TicketCreated
from sav.domain.locales import Locale
from sav.domain.occasion import Occasion
from sav.domain.permissions import require_priority
from sav.domain.sight_slots import slots_of
from sav.domain.ticket_lifecycle import Priority, Source
from sav.domain.ticket_numbers import GUEST_SUFFIX_BYTES, ticket_number
from sav.models.database import retry_deadlocks, transaction
from sav.models.prepared import insert_new, insert_rows_later
from sav.models.sight_counters import advance_counters
from sav.models.tables import Ticket, TicketTag
from sav.operations.event_log import Recorded, append_events, number_events
from sav.operations.idempotency import FirstAnswer
from sav.operations.ticket_change import ticket_facts
from sav.operations.ticket_numbering import next_sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """What a ticket is opened with. Without `user_id` and `contact_email` it is the caller's own."""

    subject: str
    description: str
    priority: Priority = "normal"
    category: str | None = None
    source: Source = "web"
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    user_id: int | None = None
    contact_email: str | None = None
    contact_name: str | None = None
    locale: Locale | None = None
    """The language that a guest has chosen to be written to in."""


@dataclass(frozen=True, slots=True)
class DeskRules:
    """The settings that decide about new tickets."""

    number_prefix: str
    customer_maximum_priority: Priority


@retry_deadlocks
def open_ticket(
    *, occasion: Occasion, new: NewTicket, rules: DeskRules, first_answer: FirstAnswer[Ticket] | None = None
) -> Ticket:
    """Opens a ticket for the caller, or, by staff, on somebody's behalf; returns it.

    Raises `Forbidden` when a customer asks for what is staff's to give, and what `FirstAnswer.record` raises.
    """
    _require(occasion, new, rules)
    user_id = _owner(occasion, new)
    if first_answer:
        # Before a number is taken: a repetition is answered without one.
        first_answer.look(now=occasion.now)
    number = new_ticket_number(prefix=rules.number_prefix, now=occasion.now, for_guest=user_id is None)
    with transaction():
        ticket = write_new_ticket(occasion=occasion, new=new, number=number, user_id=user_id)
        if first_answer:
            first_answer.record(ticket, now=occasion.now)
    return ticket


def new_ticket_number(*, prefix: str, now: datetime, for_guest: bool) -> str:
    """A number that nobody else gets; commits by itself, so call it before the ticket's transaction."""
    secret = secrets.token_bytes(GUEST_SUFFIX_BYTES) if for_guest else None
    return ticket_number(prefix=prefix, day=now.date(), sequence=next_sequence(now), guest_secret=secret)


def _require(occasion: Occasion, new: NewTicket, rules: DeskRules) -> None:
    caller = occasion.caller
    if caller.role == "guest":
        # They have a door of their own: `open_guest_ticket`.
        raise Forbidden
    require_priority(caller, new.priority, customer_maximum=rules.customer_maximum_priority)
    if caller.role != "customer":
        return
    if new.user_id not in (None, caller.user_id) or new.contact_email or new.contact_name:
        raise Forbidden("Only staff may open a ticket on somebody's behalf.")
    if new.metadata:
        raise Forbidden("Only staff may set metadata.")
    if new.source != "web":
        raise Forbidden("Only staff may say where a ticket came from.")


def _owner(occasion: Occasion, new: NewTicket) -> int | None:
    if new.user_id is not None or new.contact_email is not None:
        return new.user_id
    return occasion.caller.user_id


def write_new_ticket(
    *,
    occasion: Occasion,
    new: NewTicket,
    number: str,
    user_id: int | None,
    access_token_hash: str | None = None,
) -> Ticket:
    """Writes a ticket into the caller's transaction, with the fact that it was created."""
    ticket = Ticket(
        ticket_number=number,
        user_id=user_id,
        subject=new.subject,
        description=new.description,
        status="open",
        priority=new.priority,
        category=new.category,
        source=new.source,
        contact_email=new.contact_email,
        contact_name=new.contact_name,
        locale=new.locale,
        access_token_hash=access_token_hash,
        tags=new.tags,
        metadata=new.metadata,
        unanswered_since=waiting_since(priority=new.priority, now=occasion.now),
        event_count=0,
        published_event_count=0,
        created_at=occasion.now,
        updated_at=occasion.now,
    )
    created = TicketCreated(
        subject=new.subject, priority=new.priority, category=new.category, source=new.source
    )
    numbered = number_events(ticket, [Recorded(created, {})])
    insert_new(ticket)
    append_events(ticket, numbered, occasion=occasion)
    add_tags(ticket.id, new.tags)
    advance_counters(slots_of(ticket_facts(ticket)))
    return ticket


def add_tags(ticket_id: int, tags: list[str]) -> None:
    """Writes the index rows of a ticket's tags."""
    if tags:
        insert_rows_later(TicketTag, [{"ticket_id": ticket_id, "tag": tag} for tag in tags])
