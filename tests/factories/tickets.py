"""Tickets, in any status, with the fields that this status always comes with."""

import itertools
from datetime import UTC, datetime
from typing import Any

from sav.domain.ticket_lifecycle import Status
from sav.models.tables import Ticket

WRITTEN_AT = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
ASSIGNEE = 7
_numbers = itertools.count(1)


def make_ticket(status: Status = "open", *, user_id: int | None = 1, **fields: Any) -> Ticket:
    """A stored ticket of customer 1, in the hands of agent 7 unless it is open; without any event yet."""
    at = fields.pop("at", WRITTEN_AT)
    return Ticket.create(
        **{
            "ticket_number": f"MADE-{next(_numbers):06d}",
            "user_id": user_id,
            "assigned_to": None if status == "open" else ASSIGNEE,
            "subject": "Lost parcel",
            "description": "It never came.",
            "status": status,
            "priority": "normal",
            "source": "web",
            "tags": [],
            "metadata": {},
            "resolved_at": at if status == "resolved" else None,
            "closed_at": at if status == "closed" else None,
            "created_at": at,
            "updated_at": at,
            **fields,
        }
    )
