"""Tokens for links: short, for one purpose, and good for nothing when anything in them was changed."""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime

SIGNATURE_BYTES = 20
"""160 bits of HMAC-SHA256."""
_TICKET_BYTES = 8
_INSTANT_BYTES = 5
_MOST_CHARACTERS = 200


class BadToken(Exception):
    """The token was not made here, was changed, or its time is over."""


def survey_token(*, secret: bytes, ticket_id: int, expires_at: datetime) -> str:
    """Lets its holder rate this ticket until `expires_at`."""
    expiry = int(expires_at.timestamp()).to_bytes(_INSTANT_BYTES, "big")
    return _signed(secret, b"survey", ticket_id.to_bytes(_TICKET_BYTES, "big") + expiry)


def surveyed_ticket(token: str, *, secret: bytes, now: datetime) -> int:
    """The ticket that a token is about; raises `BadToken`."""
    content = _verified(secret, b"survey", token)
    if len(content) != _TICKET_BYTES + _INSTANT_BYTES:
        raise BadToken
    if datetime.fromtimestamp(int.from_bytes(content[_TICKET_BYTES:], "big"), UTC) <= now:
        raise BadToken
    return int.from_bytes(content[:_TICKET_BYTES], "big")


def unsubscribe_token(*, secret: bytes, address_hash: str) -> str:
    """Lets its holder say that this address wants no more mails that are not needed; good for ever."""
    return _signed(secret, b"unsubscribe", bytes.fromhex(address_hash))


def unsubscribed_address(token: str, *, secret: bytes) -> str:
    """The hash of the address that a token is about; raises `BadToken`."""
    content = _verified(secret, b"unsubscribe", token)
    if len(content) != hashlib.sha256().digest_size:
        raise BadToken
    return content.hex()


def address_hash(address: str, *, secret: bytes) -> str:
    """What is kept of an address that wants no mail: nobody without the secret can tell whose it is."""
    return hmac.new(secret, b"address\0" + address.encode(), hashlib.sha256).hexdigest()


def _signed(secret: bytes, purpose: bytes, content: bytes) -> str:
    return base64.urlsafe_b64encode(content + _signature(secret, purpose, content)).decode().rstrip("=")


def _verified(secret: bytes, purpose: bytes, token: str) -> bytes:
    if not token.isascii() or len(token) > _MOST_CHARACTERS:
        raise BadToken
    try:
        whole = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken from None
    content, signature = whole[:-SIGNATURE_BYTES], whole[-SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(secret, purpose, content)):
        raise BadToken
    return content


def _signature(secret: bytes, purpose: bytes, content: bytes) -> bytes:
    return hmac.new(secret, purpose + b"\0" + content, hashlib.sha256).digest()[:SIGNATURE_BYTES]
