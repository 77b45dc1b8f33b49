"""Who acts: a user of the shop, a member of the support staff, or the service itself."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["customer", "agent", "admin", "system"]

STAFF: frozenset[Role] = frozenset({"agent", "admin"})


@dataclass(frozen=True, slots=True)
class Caller:
    """An identity whose token was verified, or the service acting by itself (`SYSTEM`)."""

    user_id: int | None
    role: Role
    email: str | None = None
    name: str | None = None

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF


SYSTEM = Caller(user_id=None, role="system", name="sav-service")
