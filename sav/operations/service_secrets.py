"""Secrets that are made once, by whichever process needs them first, and shared by all."""

import secrets
from datetime import UTC, datetime

import peewee

from sav.models.database import is_duplicate, retry_deadlocks, transaction
from sav.models.tables import ServiceSecret

SECRET_BYTES = 32
_LINKS = "links"
_PRIVACY = "privacy"


def link_secret() -> bytes:
    """Signs the links of surveys, and hides the addresses of those who want no mail. Not in a transaction."""
    return known_link_secret() or _made(_LINKS)


def privacy_secret() -> bytes:
    """Hides whom a request about personal data named, and signs receipts. Not in a transaction."""
    return _known(_PRIVACY) or _made(_PRIVACY)


def known_link_secret() -> bytes | None:
    """The same for whoever only reads: without a secret no link was ever made, and none is good."""
    return _known(_LINKS)


def _known(name: str) -> bytes | None:
    row: ServiceSecret | None = ServiceSecret.get_or_none(ServiceSecret.name == name)
    return bytes.fromhex(row.secret) if row else None


@retry_deadlocks
def _made(name: str) -> bytes:
    try:
        with transaction():
            secret = secrets.token_hex(SECRET_BYTES)
            ServiceSecret.insert(name=name, secret=secret, created_at=datetime.now(UTC)).execute()
            return bytes.fromhex(secret)
    except peewee.IntegrityError as error:
        if not is_duplicate(error):
            raise
    # Somebody else was quicker.
    row: ServiceSecret = ServiceSecret.get(ServiceSecret.name == name)
    return bytes.fromhex(row.secret)
