"""Rows as the numbers of a ticket: as it is, and as it was counted.

Rows are tuples of the columns named here: making objects of many thousands would take most of the time.
"""

from collections.abc import Sequence
from typing import Any

from sav.domain.statistics import TicketNumbers, micros_between
from sav.models.tables import CountedTicket, Ticket

NUMBER_COLUMNS = (
    Ticket.id,
    Ticket.created_at,
    Ticket.deleted_at,
    Ticket.status,
    Ticket.priority,
    Ticket.category,
    Ticket.source,
    Ticket.assigned_to,
    Ticket.satisfaction_rating,
    Ticket.escalated_at,
    Ticket.reopen_count,
    Ticket.first_response_at,
    Ticket.resolved_at,
    Ticket.closed_at,
)
"""What of a ticket's row its numbers are made of."""
COUNTED_NAMES = (
    "status", "priority", "category", "source", "assigned_to", "rating", "escalated", "reopened",
    "created_at", "resolved_at", "closed_at", "first_response_micros", "resolution_micros",
)  # fmt: skip
COUNTED_COLUMNS = (CountedTicket.ticket_id, *(getattr(CountedTicket, name) for name in COUNTED_NAMES))
"""What a ticket was counted as, and of which ticket that is."""


def current_numbers(row: Sequence[Any]) -> TicketNumbers | None:
    """What a ticket counts as, as it is, from its `NUMBER_COLUMNS`; None when it is deleted."""
    _, created_at, deleted_at, status, priority, category, source, assigned_to, rating, *rest = row
    escalated_at, reopen_count, first_response_at, resolved_at, closed_at = rest
    if deleted_at is not None:
        return None
    return TicketNumbers(
        status=status,
        priority=priority,
        category=category,
        source=source,
        assigned_to=assigned_to,
        rating=rating,
        escalated=escalated_at is not None,
        reopened=reopen_count > 0,
        created_at=created_at,
        resolved_at=resolved_at,
        closed_at=closed_at,
        first_response_micros=micros_between(created_at, first_response_at),
        resolution_micros=micros_between(created_at, resolved_at),
    )


def counted_numbers(row: Sequence[Any]) -> TicketNumbers | None:
    """What a ticket was counted as, from its `COUNTED_COLUMNS`; None when it was not."""
    ticket_id, *values = row
    return None if ticket_id is None else TicketNumbers(**dict(zip(COUNTED_NAMES, values, strict=True)))
