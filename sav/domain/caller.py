"""Who acts: a user of the shop, a member of the support staff, a guest, or the service itself."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["customer", "agent", "admin", "guest", "system"]

STAFF: frozenset[Role] = frozenset({"agent", "admin"})


@dataclass(frozen=True, slots=True)
class Caller:
    """An identity whose token was verified, a guest, or the service acting by itself (`SYSTEM`).

    `ticket_id` is the one ticket that a guest has shown the token of; nobody else has one.
    """

    user_id: int | None
    role: Role
    email: str | None = None
    name: str | None = None
    ticket_id: int | None = None

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF


SYSTEM = Caller(user_id=None, role="system", name="sav-service")
NOBODY = Caller(user_id=None, role="guest")
"""Somebody who has shown nothing: sees no ticket, and may do nothing to any."""


def guest_of(ticket_id: int) -> Caller:
    """The guest who has shown the token of this ticket, and may touch no other."""
    return Caller(user_id=None, role="guest", ticket_id=ticket_id)
