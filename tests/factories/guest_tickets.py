"""Tickets of guests, and what opens them."""

import itertools
from typing import Any

from sav.domain.access_tokens import access_token, hash_of_token
from sav.domain.ticket_lifecycle import Status
from sav.models.tables import Ticket
from tests.factories.tickets import make_ticket

_secrets = itertools.count(1)


def make_guest_ticket(status: Status = "open", **fields: Any) -> tuple[Ticket, str]:
    """A stored ticket of ana@example.com, and its access token."""
    secret = next(_secrets)
    token = access_token(secret.to_bytes(32))
    number = f"TICKET-20260329-{secret:03d}-{secret:08d}"
    ticket = make_ticket(
        status,
        **{
            "user_id": None,
            "ticket_number": number,
            "contact_email": "ana@example.com",
            "contact_name": "Ana",
            "access_token_hash": hash_of_token(token),
            **fields,
        },
    )
    return ticket, token
