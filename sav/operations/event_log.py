"""The event log: what happened, and what is owed for it, in the transaction of what happened.

The log of the process and its numbers are told after the commit, from here too: nothing is ever logged or
counted that did not happen, and no kind of change is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from sav.domain.effects import OWED_BY_DESK
from sav.domain.events import PUBLISHED_NAMES, Fact
from sav.domain.occasion import Occasion
from sav.domain.subscriptions import owed_effects
from sav.models.database import database
from sav.models.prepared import Statement, given, insert_rows_later
from sav.models.tables import DueEffect, Event, Ticket
from sav.operations import hints
from sav.operations.desk_effects import desk_token
from sav.telemetry.facts import Happening, tell

RELAY_GRACE = timedelta(seconds=2)
"""How long the relay leaves a new effect to the hint that was given after its commit."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact, with from and to of every field it changed."""

    fact: Fact
    changes: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A recorded fact with its place in the ticket's log, and among what the ticket publishes."""

    recorded: Recorded
    sequence: int
    published_sequence: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What is appended to one ticket's log."""

    ticket: Ticket
    numbered: Sequence[Numbered]
    occasion: Occasion


def number_events(ticket: Ticket, recorded: Sequence[Recorded]) -> list[Numbered]:
    """Gives facts their places and advances the ticket's counters, before the ticket is saved.

    The ticket is new, or its row is locked: so places follow each other without a gap.
    """
    return [_number(ticket, item) for item in recorded]


def append_events(ticket: Ticket, numbered: Sequence[Numbered], *, occasion: Occasion) -> None:
    """Appends facts to a ticket's log with the effects they owe; hints and tells after the commit."""
    append_entries([Entry(ticket, numbered, occasion)])


def append_entries(entries: Sequence[Entry]) -> None:
    """The same for several tickets, whose facts follow each other in this order, in as many statements."""
    facts = [
        (entry, numbered, _event_row(entry.ticket, numbered, entry.occasion))
        for entry in entries
        for numbered in entry.numbered
    ]
    effects = [effect for entry in entries for effect in _effect_rows(entry)]
    insert_rows_later(Event, [row for _, _, row in facts])
    if effects:
        insert_rows_later(DueEffect, effects)
        due = {hints.Hint(effect["effect"], effect["ticket_id"]) for effect in effects}
        database.after_commit(lambda: hints.give(due))
    happenings = [_happening(entry.ticket, numbered, row) for entry, numbered, row in facts]
    database.after_commit(lambda: tell(happenings))


def append_first_facts(facts: Sequence[tuple[Ticket, Fact]], *, occasion: Occasion) -> None:
    """Begins the logs of many new tickets at once, each with one fact that owes nothing and is not told.

    Their rows have `event_count` 1 already.
    """
    Event.insert_many(
        [_event_row(ticket, Numbered(Recorded(fact, {}), 1, None), occasion) for ticket, fact in facts]
    ).execute()


def last_request_ids(tickets: Iterable[Ticket]) -> dict[int, str | None]:
    """By ticket the request that its last fact came of; what the desk does next is on behalf of it."""
    return dict(_LAST_REQUEST_IDS.run(ticket_ids=[ticket.id for ticket in tickets]).fetchall())


_LAST_REQUEST_IDS = Statement(
    lambda: (
        Event.select(Event.ticket_id, Event.request_id)
        .join(Ticket, on=(Event.ticket_id == Ticket.id) & (Event.sequence == Ticket.event_count))
        .where(Ticket.id.in_([given("ticket_ids")]))
    )
)


def _number(ticket: Ticket, recorded: Recorded) -> Numbered:
    ticket.event_count += 1
    if recorded.fact.name not in PUBLISHED_NAMES:
        return Numbered(recorded, ticket.event_count, None)
    ticket.published_event_count += 1
    return Numbered(recorded, ticket.event_count, ticket.published_event_count)


@cache
def _names_of(fact: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(fact))


def _event_row(ticket: Ticket, numbered: Numbered, occasion: Occasion) -> dict[str, Any]:
    fact = numbered.recorded.fact
    about = {"ticket_id": ticket.id, "ticket_number": ticket.ticket_number, "user_id": ticket.user_id}
    return {
        "event_id": str(uuid4()),
        "ticket_id": ticket.id,
        "sequence": numbered.sequence,
        "published_sequence": numbered.published_sequence,
        "name": fact.name,
        "data": {**about, **{name: getattr(fact, name) for name in _names_of(type(fact))}},  # type: ignore[arg-type]
        "changes": numbered.recorded.changes,
        "actor_id": occasion.caller.user_id,
        "actor_role": occasion.caller.role,
        "request_id": occasion.request_id,
        "occurred_at": occasion.now,
    }


def _effect_rows(entry: Entry) -> list[dict[str, Any]]:
    ticket, occasion = entry.ticket, entry.occasion
    owed = [
        (item, effect)
        for item in entry.numbered
        for effect in owed_effects(item.recorded.fact, item.recorded.changes)
    ]
    due_at = occasion.now + RELAY_GRACE
    # Once for all of these facts: it is about the desk as it will then be.
    by_desk = {effect for _, effect in owed if effect in OWED_BY_DESK}
    return [
        *(
            {
                "effect": effect,
                "ticket_id": ticket.id,
                "sequence": item.sequence,
                "due_at": due_at,
                "created_at": occasion.now,
            }
            for item, effect in owed
            if effect not in OWED_BY_DESK
        ),
        *(desk_token(effect, due_at=due_at, now=occasion.now) for effect in sorted(by_desk)),
    ]


def _happening(ticket: Ticket, numbered: Numbered, event: Mapping[str, Any]) -> Happening:
    changes = numbered.recorded.changes
    # Made now: whoever holds the ticket may change it further before the commit.
    answered_at = ticket.first_response_at if "first_response_at" in changes else None
    return Happening(
        fact=numbered.recorded.fact,
        changes=changes,
        ticket_id=ticket.id,
        priority=ticket.priority,
        event_id=event["event_id"],
        sequence=numbered.sequence,
        actor_id=event["actor_id"],
        actor_role=event["actor_role"],
        request_id=event["request_id"],
        first_response_after=answered_at - ticket.created_at if answered_at else None,
    )
