"""The secret behind the links in mails: made once, by whichever process needs it first, and shared by all."""

import secrets
from datetime import UTC, datetime

import peewee

from sav.models.database import is_duplicate, retry_deadlocks, transaction
from sav.models.tables import ServiceSecret

SECRET_BYTES = 32
_LINKS = "links"


def link_secret() -> bytes:
    """Signs the links of surveys, and hides the addresses of those who want no mail. Not in a transaction."""
    row: ServiceSecret | None = ServiceSecret.get_or_none(ServiceSecret.name == _LINKS)
    return bytes.fromhex(row.secret if row else _made())


def known_link_secret() -> bytes | None:
    """The same for whoever only reads: without a secret no link was ever made, and none is good."""
    row: ServiceSecret | None = ServiceSecret.get_or_none(ServiceSecret.name == _LINKS)
    return bytes.fromhex(row.secret) if row else None


@retry_deadlocks
def _made() -> str:
    try:
        with transaction():
            secret = secrets.token_hex(SECRET_BYTES)
            ServiceSecret.insert(name=_LINKS, secret=secret, created_at=datetime.now(UTC)).execute()
            return secret
    except peewee.IntegrityError as error:
        if not is_duplicate(error):
            raise
    # Somebody else was quicker.
    row: ServiceSecret = ServiceSecret.get(ServiceSecret.name == _LINKS)
    return row.secret
