"""What a guest may learn of who has written to them."""

import re

from sav.domain.events import AuthorRole

# What `Author` falls back to when an access token names nobody, such as "Agent 7": it holds a user's id.
_MADE_UP = re.compile(r"(Agent|Admin|Customer) [0-9]+")
_FALLBACK: dict[AuthorRole, str] = {
    "agent": "Support",
    "admin": "Support",
    "customer": "Customer",
    "guest": "Guest",
}


def guest_facing_name(*, role: AuthorRole, name: str) -> str:
    """Staff by their first name alone; nobody by an e-mail address or a user's id."""
    words = name.split()
    if not words or "@" in name or _MADE_UP.fullmatch(name):
        return _FALLBACK[role]
    return words[0] if role in ("agent", "admin") else name
