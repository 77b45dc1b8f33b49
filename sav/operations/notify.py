"""Turns what happened into deliveries, each with the effect of sending it, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from sav.models.prepared import Prepared, given, insert_rows
from sav.models.tables import Agent, Contact, DueEffect, Event, MailDelivery, Ticket
from sav.operations import hints
from sav.operations.due_effects import OF_ITS_FACT
from sav.operations.effect_claims import DESK, Claim, finish_effect, finish_effects
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


@dataclass(frozen=True, slots=True)
class _People:
    """Who may be written to about some tickets, by their user ids."""

    contacts: Mapping[int | None, Contact]
    agents: Mapping[int | None, Agent]

    @classmethod
    def of(cls, tickets: Iterable[Ticket]) -> _People:
        """The customers who opened them, and the agents who have them."""
        concerned = {(ticket.user_id, ticket.assigned_to) for ticket in tickets}
        customers = [user_id for user_id, _ in concerned if user_id is not None]
        anybody = list({user_id for pair in concerned for user_id in pair if user_id is not None})
        return cls(
            {row.user_id: row for row in (_CONTACTS.rows(user_ids=customers) if customers else [])},
            {row.user_id: row for row in (_AGENTS.rows(user_ids=anybody) if anybody else [])},
        )


_CONTACTS = Prepared(lambda: Contact.select().where(Contact.user_id.in_([given("user_ids")])))
_AGENTS = Prepared(lambda: Agent.select().where(Agent.user_id.in_([given("user_ids")])))
_TICKETS = Prepared(lambda: Ticket.select().where(Ticket.id.in_([given("ticket_ids")])))
_FACTS = Prepared(
    lambda: (
        Event.select()
        .join(DueEffect, on=OF_ITS_FACT)
        .where(DueEffect.id.in_([given("token_ids")]))
        .order_by(Event.id)
    )
)


@retry_deadlocks
def notify(claim: Claim, *, rules: MailRules, now: datetime) -> None:
    """Writes the deliveries that a fact owes, and the token goes with it."""
    with transaction():
        if not finish_effect(claim):
            return
        event = Event.get(Event.ticket_id == claim.ticket_id, Event.sequence == claim.sequence)
        _write_deliveries(event, Ticket.get_by_id(claim.ticket_id), rules, now)


@retry_deadlocks
def notify_together(claims: Sequence[Claim], *, rules: MailRules, now: datetime) -> None:
    """The same for several facts, in one transaction and as many statements as one fact needs.

    Raises, and has done nothing, when a token is somebody else's by now, a fact is not there, or a delivery
    is there already.
    """
    with transaction():
        # While the tokens are there, which lead to them.
        events = _FACTS.rows(token_ids=[claim.token_id for claim in claims])
        if not finish_effects(claims):
            raise LeaseLost
        if len(events) != len(claims):
            raise FactMissing
        ticket_ids = list({claim.ticket_id for claim in claims})
        tickets = {ticket.id: ticket for ticket in _TICKETS.rows(ticket_ids=ticket_ids)}
        people = _People.of(tickets.values())
        rows = [
            row
            for event in events
            for row in _deliveries(event, tickets[event.ticket_id], people, rules, now)
        ]
        if rows:
            insert_rows(MailDelivery, rows)
        if due := [row["message_id"] for row in rows if row["state"] == "due"]:
            sent_later = MailDelivery.select(MailDelivery.id).where(
                MailDelivery.ticket_id.in_(list(tickets)), MailDelivery.message_id.in_(due)
            )
            _owe([delivery.id for delivery in sent_later], now)


class LeaseLost(Exception):
    """Somebody else does it by now."""


class FactMissing(Exception):
    """A token leads to no fact: whose it is shows when each is told by itself."""


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
    rows = _deliveries(event, ticket, _People.of([ticket]), rules, now)
    written = [delivery_id for row in rows if (delivery_id := _insert_once(row))]
    if written:
        _owe(written, now)


def _deliveries(
    event: Event, ticket: Ticket, people: _People, rules: MailRules, now: datetime
) -> list[dict[str, Any]]:
    fact = Happened(name=event.name, data=event.data, actor_id=event.actor_id, actor_role=event.actor_role)
    about = TicketNow(
        user_id=ticket.user_id,
        assigned_to=ticket.assigned_to,
        is_deleted=ticket.deleted_at is not None,
        is_rated=ticket.satisfaction_rating is not None,
    )
    return [
        _delivery(event, ticket, notice.kind, reader, rules, now)
        for notice in notices(fact, about)
        for reader in _readers(notice, ticket, people, rules)
    ]


def _readers(notice: Notice, ticket: Ticket, people: _People, rules: MailRules) -> Iterator[_Reader]:
    if notice.side == "requester":
        yield _requester(ticket, people, rules)
        return
    agent = people.agents.get(notice.agent_id)
    if agent is not None and agent.email:
        yield _Reader(email=agent.email, name=agent.name, locale=rules.default_locale)
    elif notice.kind == "assigned":
        yield _Reader(email="", name=None, locale=rules.default_locale)
    elif rules.desk_address is not None:
        yield _Reader(email=rules.desk_address, name=None, locale=rules.default_locale)


def _requester(ticket: Ticket, people: _People, rules: MailRules) -> _Reader:
    """The account's own address before the one that somebody gave with the ticket."""
    contact = people.contacts.get(ticket.user_id)
    # Staff have problems too.
    agent = None if contact else people.agents.get(ticket.user_id)
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
    insert_rows(
        DueEffect,
        [
            {
                "effect": SEND_MAIL,
                "ticket_id": DESK,
                "sequence": delivery_id,
                "due_at": now + RELAY_GRACE,
                "created_at": now,
            }
            for delivery_id in delivery_ids
        ],
    )
    database.after_commit(lambda: hints.give({hints.Hint(SEND_MAIL, DESK)}))
