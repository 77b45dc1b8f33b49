"""Receipts: what was erased, signed, so that whoever holds one can show it; no word about whom."""

import base64
import hashlib
from collections.abc import Mapping
from typing import IO, Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "ed25519"


class BadReceipt(Exception):
    """It was not signed with this key, or was changed since."""


def signed(statement: Mapping[str, Any], *, secret: bytes) -> dict[str, Any]:
    """A receipt: the statement, its signature, and the public key that proves it, in base64."""
    key = _key(secret)
    return {
        "statement": dict(statement),
        "algorithm": ALGORITHM,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(key.sign(_canonical(statement))).decode(),
    }


def read_receipt(file: IO[bytes]) -> Any:
    """What somebody brings as a receipt, for `verified`; raises `BadReceipt` when it is no JSON at all."""
    try:
        return orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise BadReceipt from error


def verified(receipt: Any, *, public_key: bytes) -> dict[str, Any]:
    """The statement of a receipt that the holder of this key has signed; raises `BadReceipt`."""
    try:
        statement = receipt["statement"]
        signature = base64.b64decode(receipt["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _canonical(statement))
    except (KeyError, TypeError, ValueError, InvalidSignature) as error:
        raise BadReceipt from error
    return dict(statement)


def public_key(secret: bytes) -> bytes:
    """The service's own, by which its receipts are known."""
    return _key(secret).public_key().public_bytes_raw()


def _key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"receipts\0" + secret).digest())


def _canonical(statement: Mapping[str, Any]) -> bytes:
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
