"""What a guest's access token is: 256 random bits that are shown once, and kept as a hash alone."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

TOKEN_BYTES = 32
LONGEST_TOKEN = 128
"""Nothing longer is looked at: it is no token of ours."""

# No token has this hash, so a comparison with it takes its time and fails.
_NOBODYS = "0" * 64


def access_token(secret: bytes) -> str:
    """The token as it is shown: `TOKEN_BYTES` random bytes in 43 characters that are safe anywhere."""
    return urlsafe_b64encode(secret).decode().rstrip("=")


def hash_of_token(token: str) -> str:
    """SHA-256 in hex. A slow hash would add nothing: nobody can go through 2**256 tokens."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def is_token_of(stored_hash: str | None, token: str) -> bool:
    """Whether this is the token, in the same time for a wrong one and where there is none at all."""
    presented = hash_of_token(token[:LONGEST_TOKEN])
    return hmac.compare_digest(stored_hash or _NOBODYS, presented) and stored_hash is not None
