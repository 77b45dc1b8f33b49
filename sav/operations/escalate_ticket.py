"""Escalates an urgent ticket that waited too long; finds those whose deadline nobody has watched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import peewee

from sav.domain.assignment import choose_agent
from sav.domain.caller import SYSTEM
from sav.domain.deadlines import escalates_at
from sav.domain.effects import ESCALATE_TICKET
from sav.domain.errors import NotFound
from sav.domain.events import TicketEscalated
from sav.domain.occasion import Occasion
from sav.domain.ticket_lifecycle import SETTLED
from sav.models.database import database, retry_deadlocks, transaction
from sav.models.tables import DueEffect, Ticket
from sav.operations import hints
from sav.operations.assign_open_tickets import (
    AssignmentRules,
    give_to_chosen,
    locked_roster,
    note_assigned,
)
from sav.operations.effect_claims import Claim, finish_effect, wait_for_deadline
from sav.operations.ticket_change import TicketChange, change_ticket

TICKETS_A_BATCH = 500
"""How many overdue tickets one transaction of the watch takes on."""
BY_THE_WATCH = 0
"""The `sequence` of a token that the watch has made: no fact has this place, and there is one a ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRules:
    """The settings that decide when urgent tickets escalate, and whether somebody else gets them then."""

    timeout: timedelta
    reassign: bool
    assignment: AssignmentRules


@retry_deadlocks
def escalate_ticket(*, claim: Claim, rules: EscalationRules, now: datetime) -> None:
    """Escalates the ticket if its deadline has passed; before that, the token waits for it.

    Once a deadline: it ends with the escalation, in the same transaction. An answer that was given ends it
    too, and since both lock the ticket, one of the two comes first.
    """
    try:
        with change_ticket(claim.ticket_id, occasion=Occasion(SYSTEM, now, claim.request_id)) as change:
            ticket = change.ticket
            due_at = escalates_at(
                status=ticket.status, unanswered_since=ticket.unanswered_since, timeout=rules.timeout
            )
            if due_at is not None and due_at > now:
                wait_for_deadline(claim, until=due_at)
            elif finish_effect(claim) and due_at is not None:
                _escalate(change)
                if rules.reassign:
                    _reassign(change, rules.assignment)
    except NotFound:
        # It was deleted meanwhile.
        with transaction():
            finish_effect(claim)


def owe_missed_escalations(*, timeout: timedelta, now: datetime) -> int:
    """Owes the escalation of every ticket whose deadline has passed and that still waits; returns how many.

    It finds what no other token reminds of, and what the settings of today call late. A ticket that has a
    token already escalates once all the same.
    """
    total = 0
    while count := _owe_some(timeout=timeout, now=now):
        total += count
    return total


@retry_deadlocks
def _owe_some(*, timeout: timedelta, now: datetime) -> int:
    with transaction():
        ticket_ids = _missed(now - timeout)
        if ticket_ids:
            DueEffect.insert_many([_token(ticket_id, now) for ticket_id in ticket_ids]).execute()
            due = {hints.Hint(ESCALATE_TICKET, ticket_id) for ticket_id in ticket_ids}
            database.after_commit(lambda: hints.give(due))
    return len(ticket_ids)


def _missed(cutoff: datetime) -> Sequence[int]:
    owed = (
        (DueEffect.ticket_id == Ticket.id)
        & (DueEffect.effect == ESCALATE_TICKET)
        & (DueEffect.sequence == BY_THE_WATCH)
    )
    query = (
        Ticket.select(Ticket.id)
        .join(DueEffect, peewee.JOIN.LEFT_OUTER, on=owed)
        .where(
            Ticket.unanswered_since <= cutoff,
            Ticket.status.not_in(sorted(SETTLED)),
            Ticket.deleted_at.is_null(),
            DueEffect.id.is_null(),
        )
        .order_by(Ticket.unanswered_since, Ticket.id)
        .limit(TICKETS_A_BATCH)
    )
    return [ticket.id for ticket in query]


def _token(ticket_id: int, now: datetime) -> dict[str, Any]:
    return {
        "effect": ESCALATE_TICKET,
        "ticket_id": ticket_id,
        "sequence": BY_THE_WATCH,
        "due_at": now,
        "created_at": now,
    }


def _escalate(change: TicketChange) -> None:
    ticket, now = change.ticket, change.occasion.now
    waited = now - ticket.unanswered_since
    reason = "no_first_response" if ticket.first_response_at is None else "no_response_since_urgent"
    change.set(escalated_at=now)
    ticket.unanswered_since = None
    change.record(
        TicketEscalated(
            priority=ticket.priority, reason=reason, waited_seconds=max(0, int(waited.total_seconds()))
        )
    )


def _reassign(change: TicketChange, rules: AssignmentRules) -> None:
    """Gives the ticket of an agent who is not there to one who is, if there is one with room."""
    if change.ticket.assigned_to is None or not rules.cover(change.ticket.category):
        return
    roster = locked_roster()
    assignee = roster.get(change.ticket.assigned_to)
    if assignee is None or (assignee.active and assignee.available):
        return
    choice = choose_agent(roster.values(), category=change.ticket.category)
    if choice.agent_id is not None:
        give_to_chosen(change, choice, reason="escalated")
        note_assigned({choice.agent_id: change.occasion.now})
