"""The published events once more, from the event log: of a ticket, of some names, of a span of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from sav.domain.effects import PUBLISH_EVENT
from sav.models.tables import DueEffect, Event

PLACES_A_BATCH = 1000
"""How much of the log one statement looks at, however little of it is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events; None and an empty tuple mean any. `occurred_to` is no longer part of the span."""

    ticket_id: int | None = None
    names: tuple[str, ...] = ()
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event as it was published. `place` is where it stands in the reading that found it."""

    place: int
    event_id: str
    name: str
    published_sequence: int
    data: dict[str, Any]
    request_id: str | None
    occurred_at: datetime


def replay_span(wanted: Wanted) -> tuple[int, int] | None:
    """The first and the last place that may hold what is wanted; None when nothing is."""
    place = _place(wanted)
    first, last = (
        Event.select(peewee.fn.MIN(place), peewee.fn.MAX(place))
        .where(*_conditions(wanted))
        .scalar(as_tuple=True)
    )
    return None if first is None else (first, last)


def published_events(wanted: Wanted, *, after: int, until: int) -> Iterator[Sequence[PublishedEvent]]:
    """What is wanted behind one place and up to another, in batches; each ticket's events in their order.

    Leaves out events that still wait for their first publication: no copy may overtake the original.
    """
    for start in range(after, until, PLACES_A_BATCH):
        yield _batch(wanted, after=start, until=min(start + PLACES_A_BATCH, until))


def _batch(wanted: Wanted, *, after: int, until: int) -> list[PublishedEvent]:
    place = _place(wanted)
    waiting = DueEffect.select(DueEffect.id).where(
        DueEffect.ticket_id == Event.ticket_id,
        DueEffect.sequence == Event.sequence,
        DueEffect.effect == PUBLISH_EVENT,
    )
    rows = (
        Event.select()
        .where(
            place > after,
            place <= until,
            Event.published_sequence.is_null(False),
            ~peewee.fn.EXISTS(waiting),
            *_conditions(wanted),
        )
        .order_by(place)
    )
    return [_published_event(row, getattr(row, place.name)) for row in rows]


def _place(wanted: Wanted) -> peewee.Field:
    # Within a ticket both rise together, for whoever writes events holds the ticket's row. The log is read
    # by the key that finds the events: a ticket's sequence, or the id.
    return Event.id if wanted.ticket_id is None else Event.sequence


def _conditions(wanted: Wanted) -> list[Any]:
    conditions: list[Any] = []
    if wanted.ticket_id is not None:
        conditions.append(Event.ticket_id == wanted.ticket_id)
    if wanted.names:
        conditions.append(Event.name.in_(list(wanted.names)))
    if wanted.occurred_from is not None:
        conditions.append(Event.occurred_at >= wanted.occurred_from)
    if wanted.occurred_to is not None:
        conditions.append(Event.occurred_at < wanted.occurred_to)
    return conditions


def _published_event(row: Event, place: int) -> PublishedEvent:
    return PublishedEvent(
        place=place,
        event_id=row.event_id,
        name=row.name,
        published_sequence=row.published_sequence or 0,
        data=row.data,
        request_id=row.request_id,
        occurred_at=row.occurred_at,
    )
