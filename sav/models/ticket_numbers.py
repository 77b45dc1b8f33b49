"""Rows as the numbers of a ticket: as it is, and as it was counted."""

from typing import Any

from sav.domain.statistics import TicketNumbers, micros_between
from sav.models.tables import CountedTicket, Ticket

NUMBER_COLUMNS = (
    Ticket.id,
    Ticket.status,
    Ticket.priority,
    Ticket.category,
    Ticket.source,
    Ticket.assigned_to,
    Ticket.satisfaction_rating,
    Ticket.escalated_at,
    Ticket.reopen_count,
    Ticket.created_at,
    Ticket.first_response_at,
    Ticket.resolved_at,
    Ticket.closed_at,
    Ticket.deleted_at,
)
"""What of a ticket's row its numbers are made of."""


def current_numbers(ticket: Ticket) -> TicketNumbers | None:
    """What a ticket counts as, as it is; None when it is deleted."""
    if ticket.deleted_at is not None:
        return None
    return TicketNumbers(
        status=ticket.status,
        priority=ticket.priority,
        category=ticket.category,
        source=ticket.source,
        assigned_to=ticket.assigned_to,
        rating=ticket.satisfaction_rating,
        escalated=ticket.escalated_at is not None,
        reopened=ticket.reopen_count > 0,
        created_at=ticket.created_at,
        resolved_at=ticket.resolved_at,
        closed_at=ticket.closed_at,
        first_response_micros=micros_between(ticket.created_at, ticket.first_response_at),
        resolution_micros=micros_between(ticket.created_at, ticket.resolved_at),
    )


def counted_numbers(row: CountedTicket) -> TicketNumbers:
    """What a ticket was counted as."""
    numbers: dict[str, Any] = {name: getattr(row, name) for name in TicketNumbers.__slots__}
    return TicketNumbers(**numbers)
