"""Turns what happened into deliveries, each with the effect of sending it, in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import peewee

from sav.domain.effects import SEND_MAIL
from sav.domain.events import TicketClosed
from sav.domain.locales import Locale
from sav.domain.notifications import Happened, MailKind, Notice, TicketNow, notices
from sav.mail.rules import MailRules
from sav.models.database import database, is_duplicate, retry_deadlocks, transaction
from sav.models.tables import Agent, Contact, DueEffect, Event, MailDelivery, Ticket
from sav.operations import hints
from sav.operations.effect_claims import DESK, Claim, finish_effect
from sav.operations.event_log import RELAY_GRACE

SURVEY_NET = timedelta(days=2)
"""How long after a closing the net looks for one whose customer was not told."""
SURVEY_NET_DELAY = timedelta(minutes=10)
"""How long the net leaves a closing to the effect that it owes."""
TICKETS_A_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    email: str
    name: str | None
    locale: Locale


@retry_deadlocks
def notify(claim: Claim, *, rules: MailRules, now: datetime) -> None:
    """Writes the deliveries that a fact owes, and the token goes with it."""
    with transaction():
        if not finish_effect(claim):
            return
        event = Event.get(Event.ticket_id == claim.ticket_id, Event.sequence == claim.sequence)
        _write_deliveries(event, Ticket.get_by_id(claim.ticket_id), rules, now)


def make_up_for_surveys(claim: Claim, *, rules: MailRules, now: datetime) -> None:
    """Finds tickets that were closed of late without a mail to their customer, and writes these."""
    after = 0
    while batch := _closed_without_mail(now, after):
        for event in batch:
            _make_up(event, rules, now)
        after = batch[-1].id
    with transaction():
        finish_effect(claim)


@retry_deadlocks
def _make_up(event: Event, rules: MailRules, now: datetime) -> None:
    with transaction():
        _write_deliveries(event, Ticket.get_by_id(event.ticket_id), rules, now)


def _closed_without_mail(now: datetime, after: int) -> list[Event]:
    told = MailDelivery.select(MailDelivery.id).where(
        MailDelivery.ticket_id == Event.ticket_id, MailDelivery.kind == "closed"
    )
    query = (
        Event.select()
        .where(
            Event.name == TicketClosed.name,
            Event.occurred_at > now - SURVEY_NET,
            Event.occurred_at <= now - SURVEY_NET_DELAY,
            Event.id > after,
            ~peewee.fn.EXISTS(told),
        )
        .order_by(Event.id)
        .limit(TICKETS_A_BATCH)
    )
    return list(query)


def _write_deliveries(event: Event, ticket: Ticket, rules: MailRules, now: datetime) -> None:
    fact = Happened(name=event.name, data=event.data, actor_id=event.actor_id, actor_role=event.actor_role)
    about = TicketNow(
        user_id=ticket.user_id,
        assigned_to=ticket.assigned_to,
        is_deleted=ticket.deleted_at is not None,
        is_rated=ticket.satisfaction_rating is not None,
    )
    written = [
        delivery_id
        for notice in notices(fact, about)
        for reader in _readers(notice, ticket, rules)
        if (delivery_id := _insert_once(_delivery(event, ticket, notice.kind, reader, rules, now)))
    ]
    if written:
        _owe(written, now)


def _readers(notice: Notice, ticket: Ticket, rules: MailRules) -> Iterator[_Reader]:
    if notice.side == "requester":
        yield _requester(ticket, rules)
        return
    agent: Agent | None = None
    if notice.agent_id is not None:
        agent = Agent.get_or_none(Agent.user_id == notice.agent_id)
    if agent is not None and agent.email:
        yield _Reader(email=agent.email, name=agent.name, locale=rules.default_locale)
    elif notice.kind == "assigned":
        yield _Reader(email="", name=None, locale=rules.default_locale)
    elif rules.desk_address is not None:
        yield _Reader(email=rules.desk_address, name=None, locale=rules.default_locale)


def _requester(ticket: Ticket, rules: MailRules) -> _Reader:
    """The account's own address before the one that somebody gave with the ticket."""
    contact: Contact | None = None
    agent: Agent | None = None
    if ticket.user_id is not None:
        contact = Contact.get_or_none(Contact.user_id == ticket.user_id)
        # Staff have problems too.
        agent = None if contact else Agent.get_or_none(Agent.user_id == ticket.user_id)
    email = (contact and contact.email) or (agent and agent.email) or ticket.contact_email or ""
    name = (contact and contact.name) or (agent and agent.name) or ticket.contact_name
    locale = ticket.locale or (contact and contact.locale) or rules.default_locale
    return _Reader(email=email, name=name, locale=locale)


def _delivery(
    event: Event, ticket: Ticket, kind: MailKind, reader: _Reader, rules: MailRules, now: datetime
) -> dict[str, Any]:
    first = thread_id(ticket, rules)
    return {
        "message_id": first if kind == "received" else f"{uuid4().hex}@{rules.message_domain}",
        "ticket_id": ticket.id,
        "sequence": event.sequence,
        "kind": kind,
        "recipient": reader.email,
        "recipient_name": reader.name,
        "locale": reader.locale,
        "state": "due" if reader.email else "suppressed",
        "reason": None if reader.email else "no_address",
        "due_at": now,
        "updated_at": now,
    }


def thread_id(ticket: Ticket, rules: MailRules) -> str:
    """The id of the ticket's first mail, which all others answer."""
    return f"ticket-{ticket.id}.{int(ticket.created_at.timestamp())}@{rules.message_domain}"


def _insert_once(row: dict[str, Any]) -> int | None:
    """The new delivery's id when it is to be sent; None when it is not, or is there already."""
    try:
        delivery_id: int = MailDelivery.insert(**row).execute()
    except peewee.IntegrityError as error:
        if is_duplicate(error):
            return None
        raise
    return delivery_id if row["state"] == "due" else None


def _owe(delivery_ids: Sequence[int], now: datetime) -> None:
    DueEffect.insert_many(
        [
            {
                "effect": SEND_MAIL,
                "ticket_id": DESK,
                "sequence": delivery_id,
                "due_at": now + RELAY_GRACE,
                "created_at": now,
            }
            for delivery_id in delivery_ids
        ]
    ).execute()
    database.after_commit(lambda: hints.give({hints.Hint(SEND_MAIL, DESK)}))
