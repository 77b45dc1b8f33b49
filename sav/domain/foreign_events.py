"""What other services tell us, and what the desk makes of it."""

from dataclasses import dataclass
from typing import Literal

from sav.domain.ticket_lifecycle import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom an event is about: a user of the shop, or somebody known by e-mail alone."""

    user_id: int | None
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIssue:
    """Something is wrong with an order."""

    person: Person
    order_id: int | str
    issue_type: str | None
    subject: str
    description: str
    priority: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductIssue:
    """Something is wrong with a product."""

    person: Person
    product_id: int | str
    description: str
    priority: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRegistered:
    """Somebody has an account now. Only a verified e-mail proves whose the guest tickets are."""

    user_id: int
    email: str
    email_verified: bool
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeleted:
    """Somebody's account is gone, and their data must go. The e-mail only when it was certainly theirs."""

    user_id: int
    email: str | None


ForeignFact = OrderIssue | ProductIssue | UserRegistered | UserDeleted
ForeignName = Literal["order.issue", "product.issue_reported", "user.registered", "user.deleted"]

_PRIORITY_OF_SEVERITY: dict[str, Priority] = {
    "low": "low",
    "minor": "low",
    "high": "high",
    "major": "high",
    "critical": "urgent",
    "urgent": "urgent",
}


def priority_of_severity(severity: str | None) -> Priority:
    """How urgent a product's issue is to the desk; words that nobody agreed on are normal."""
    return _PRIORITY_OF_SEVERITY.get((severity or "").lower(), "normal")
