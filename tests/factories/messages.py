"""Messages of a ticket."""

from typing import Any

from sav.models.tables import Message, Ticket
from tests.factories.tickets import WRITTEN_AT


def make_message(
    ticket: Ticket, *, user_id: int | None = 1, author_role: str = "customer", **fields: Any
) -> Message:
    """A stored public message, by default of customer 1."""
    at = fields.pop("at", WRITTEN_AT)
    return Message.create(
        **{
            "ticket_id": ticket.id,
            "user_id": user_id,
            "author_role": author_role,
            "author_name": f"{author_role.capitalize()} {user_id}",
            "author_email": f"{author_role}-{user_id}@example.com",
            "content": "Any news?",
            "is_internal": False,
            "created_at": at,
            "updated_at": at,
            **fields,
        }
    )
