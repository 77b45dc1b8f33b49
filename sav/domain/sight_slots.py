"""Which counters tell that what somebody may see has changed.

Every write to a ticket advances the counters (slots) of all whose sight it was or is in; a reader whose
slots have not moved would be answered the same again. There are many slots for one sight, and a ticket's id
says which of them is its own, so that writes to different tickets hardly ever wait for one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden
from sav.domain.permissions import TicketFacts

DESK_SLOTS = 64
"""For the open tickets, which every agent sees, and as many for all others, which only admins do."""
PERSON_SLOTS = 16
"""For the tickets of one customer, and for those in one agent's hands."""
PEOPLE = 4_096
"""People whose ids differ by a multiple of it share their slots: they only read anew more often."""

_OPEN = range(DESK_SLOTS)
_NOT_OPEN = range(DESK_SLOTS, 2 * DESK_SLOTS)
_OWNERS, _ASSIGNEES = 1_000_000, 2_000_000

ROSTER = 2 * DESK_SLOTS
"""Advanced when what numbers say of the agents changes."""


def slots_of(ticket: TicketFacts) -> Iterator[int]:
    """The slots of everybody who sees this ticket; `permissions.may_see` says who that is."""
    if ticket.ticket_id is None:
        raise ValueError("a ticket without an id is in nobody's sight")
    yield (_OPEN if ticket.status == "open" else _NOT_OPEN)[ticket.ticket_id % DESK_SLOTS]
    for people, user_id in ((_OWNERS, ticket.user_id), (_ASSIGNEES, ticket.assigned_to)):
        if user_id is not None:
            yield _person(people, user_id)[ticket.ticket_id % PERSON_SLOTS]


def slots_seen_by(caller: Caller) -> Sequence[range]:
    """The slots of all tickets in the caller's sight; raises `Forbidden` for a guest, who finds none."""
    match caller.role:
        case "admin" | "system":
            return (_OPEN, _NOT_OPEN)
        case "agent":
            return (_OPEN, _person(_ASSIGNEES, caller.user_id))
        case "customer":
            return (_person(_OWNERS, caller.user_id),)
        case "guest":
            raise Forbidden


def slots_counted_for(caller: Caller) -> Sequence[range]:
    """The slots of all that the caller's numbers are made of: the desk's for staff."""
    if caller.is_staff:
        return (_OPEN, _NOT_OPEN, range(ROSTER, ROSTER + 1))
    return slots_seen_by(caller)


def _person(people: int, user_id: int | None) -> range:
    first = people + (user_id or 0) % PEOPLE * PERSON_SLOTS
    return range(first, first + PERSON_SLOTS)
