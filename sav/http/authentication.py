"""Who is calling: from the `Authorization` header to a `Caller`, and the tokens that `sav token` mints."""

import hashlib
import math
import re
import threading
import time
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import jwt
from cachetools import LRUCache
from jwt import PyJWK

from sav.domain.caller import Caller, Role
from sav.domain.errors import SavError
from sav.http.signing_keys import JwksKeys, KeySet, KeySource, KeysUnavailable, SharedSecret

__all__ = [
    "InvalidToken",
    "JwksKeys",
    "KeysUnavailable",
    "MissingToken",
    "Refusal",
    "SharedSecret",
    "TokenVerifier",
    "Unauthorized",
    "bearer_token",
    "mint_token",
]

MAXIMUM_HEADER_BYTES = 8 * 1024
VERIFIED_TOKENS_KEPT = 10_000
LEEWAY_SECONDS = 0
START_LEEWAY_SECONDS = 5
"""A token that an auth service whose clock is a little ahead has just issued holds at once."""
LARGEST_USER_ID = 2**63 - 1
LONGEST_TEXT_CLAIM = 255

# Beyond it a float no longer tells seconds apart; no honest clock gets there.
_LATEST_INSTANT = 2**53

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.ASCII | re.IGNORECASE)
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)

# What a token may claim, and the role it means. `system` is missing on purpose: only the service is that.
_ROLES: dict[str, Role] = {
    "customer": "customer",
    "user": "customer",
    "agent": "agent",
    "support": "agent",
    "admin": "admin",
}
_FROM_LOWEST_TO_HIGHEST: tuple[Role, ...] = ("customer", "agent", "admin")


class Refusal(StrEnum):
    """Why a token was refused: for logs and metrics, never for the caller."""

    MALFORMED = "malformed"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    UNKNOWN_KID = "unknown_kid"
    AMBIGUOUS_KEY = "ambiguous_key"
    BAD_SIGNATURE = "bad_signature"
    NO_EXPIRY = "no_expiry"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    BAD_ISSUER = "bad_issuer"
    BAD_AUDIENCE = "bad_audience"
    BAD_SUBJECT = "bad_subject"
    UNKNOWN_ROLE = "unknown_role"


class Unauthorized(SavError):
    """Sign in first: this needs a valid access token."""

    code = "unauthorized"


class MissingToken(Unauthorized):
    """Sign in first: send your access token as `Authorization: Bearer <token>`."""


class InvalidToken(Unauthorized):
    """Your access token is not valid or no longer valid; sign in again and repeat the request."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__()
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token was found to say, with which keys, and when that holds (Unix seconds)."""

    caller: Caller
    key_set: KeySet
    valid_from: float
    valid_until: float

    def refusal_at(self, now: float) -> Refusal | None:
        if now >= self.valid_until:
            return Refusal.EXPIRED
        return Refusal.NOT_YET_VALID if now < self.valid_from else None


class TokenVerifier:
    """Turns access tokens into callers; one instance serves all threads.

    `issuer` and `audience` are checked only when they are given. Verified tokens are remembered until they
    expire or the key set changes.
    """

    def __init__(self, keys: KeySource, *, issuer: str | None = None, audience: str | None = None) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._verified: LRUCache[bytes, _Verified] = LRUCache(VERIFIED_TOKENS_KEPT)
        self._lock = threading.Lock()

    def verify(self, token: str, *, now: float | None = None) -> Caller:
        """The caller that `token` speaks for at `now` (Unix seconds; the system's clock if not given).

        Raises `InvalidToken`, or `KeysUnavailable` when there are no keys yet to check it with.
        """
        if not token.isascii() or len(token) > MAXIMUM_HEADER_BYTES:
            raise InvalidToken(Refusal.MALFORMED)
        # The digest, not the token: what sits in memory for hours should be of no use to anybody.
        digest = hashlib.sha256(token.encode()).digest()
        recalled = self._recall(digest)
        verified = recalled or self._examine(token)
        refusal = verified.refusal_at(time.time() if now is None else now)
        if refusal is not None:
            raise InvalidToken(refusal)
        if recalled is None:
            self._remember(digest, verified)
        return verified.caller

    def _recall(self, digest: bytes) -> _Verified | None:
        with self._lock:
            verified = self._verified.get(digest)
        # Outside the lock: asking for the current keys may wait for the auth service.
        if verified is None or verified.key_set is not self._keys.current():
            return None
        return verified

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        with self._lock:
            self._verified[digest] = verified

    def _examine(self, token: str) -> _Verified:
        claims, key_set = self._signed_claims(token)
        valid_from, valid_until = _validity(claims)
        caller = Caller(
            user_id=_user_id(claims),
            role=_role(claims),
            email=_text(claims.get("email")),
            name=_text(claims.get("name")),
        )
        return _Verified(caller, key_set, valid_from, valid_until)

    def _signed_claims(self, token: str) -> tuple[dict[str, Any], KeySet]:
        """The claims, once the signature is proven, and the keys that proved it."""
        header = _header(token)
        if header.get("alg") not in self._keys.algorithms:
            raise InvalidToken(Refusal.ALGORITHM_NOT_ALLOWED)
        key_set = self._keys.current()
        try:
            return self._decoded(token, _key(header, key_set)), key_set
        except InvalidToken as refusal:
            newer = self._keys.newer_than(key_set) if _may_be_a_rotation(refusal, header) else key_set
            if newer is key_set:
                raise
        return self._decoded(token, _key(header, newer)), newer

    def _decoded(self, token: str, key: PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                # Times, subject and role are ours: PyJWT takes the clock's time only, and "12" for a time.
                options={
                    "verify_aud": self._audience is not None,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.PyJWTError as error:
            # From None: PyJWT's messages quote the token, and causes end up in logs.
            raise InvalidToken(_refusal(error)) from None


def _refusal(error: jwt.PyJWTError) -> Refusal:
    match error:
        case jwt.InvalidSignatureError():
            return Refusal.BAD_SIGNATURE
        case jwt.InvalidIssuerError() | jwt.MissingRequiredClaimError(claim="iss"):
            return Refusal.BAD_ISSUER
        case jwt.InvalidAudienceError() | jwt.MissingRequiredClaimError(claim="aud"):
            return Refusal.BAD_AUDIENCE
        case _:
            return Refusal.MALFORMED


def _header(token: str) -> dict[str, Any]:
    """The token's header, which proves nothing yet: it says which key to try, and no more."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise InvalidToken(Refusal.MALFORMED) from None
    if not isinstance(header.get("alg"), str):
        raise InvalidToken(Refusal.ALGORITHM_NOT_ALLOWED)
    return header


def _key(header: dict[str, Any], key_set: KeySet) -> PyJWK:
    """The one key that can have signed this; what it verifies is the key's to say, not the token's."""
    named = key_set.named(header.get("kid"))
    fitting = [key for key in named if key.algorithm_name == header["alg"]]
    if not named:
        raise InvalidToken(Refusal.UNKNOWN_KID)
    if not fitting:
        raise InvalidToken(Refusal.ALGORITHM_NOT_ALLOWED)
    if len(fitting) > 1:
        raise InvalidToken(Refusal.AMBIGUOUS_KEY)
    return fitting[0]


def _may_be_a_rotation(refusal: InvalidToken, header: dict[str, Any]) -> bool:
    """Whether a newer key set could accept what this one refused; a token that names no key never says so."""
    if header.get("kid") is not None:
        return refusal.reason is Refusal.UNKNOWN_KID
    return refusal.reason in {Refusal.BAD_SIGNATURE, Refusal.ALGORITHM_NOT_ALLOWED, Refusal.AMBIGUOUS_KEY}


def _validity(claims: dict[str, Any]) -> tuple[float, float]:
    """From when (inclusive) until when (exclusive) the token holds, in Unix seconds."""
    if "exp" not in claims:
        raise InvalidToken(Refusal.NO_EXPIRY)
    starts = [_instant(claims[name]) for name in ("nbf", "iat") if name in claims]
    return max(starts, default=-math.inf) - START_LEEWAY_SECONDS, _instant(claims["exp"]) + LEEWAY_SECONDS


def _instant(value: object) -> float:
    """A JSON number of Unix seconds. `not <` also catches NaN, which is smaller than nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LATEST_INSTANT:
        raise InvalidToken(Refusal.MALFORMED)
    return float(value)


def _user_id(claims: dict[str, Any]) -> int:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _USER_ID.fullmatch(subject) or int(subject) > LARGEST_USER_ID:
        raise InvalidToken(Refusal.BAD_SUBJECT)
    return int(subject)


def _role(claims: dict[str, Any]) -> Role:
    """`role` decides when it is there, else the highest known one of `roles`."""
    if claims.get("role") is not None:
        claimed = [claims["role"]]
    else:
        claimed = claims["roles"] if isinstance(claims.get("roles"), list) else []
    known = [_ROLES[name] for name in claimed if isinstance(name, str) and name in _ROLES]
    if not known:
        raise InvalidToken(Refusal.UNKNOWN_ROLE)
    return max(known, key=_FROM_LOWEST_TO_HIGHEST.index)


def _text(value: object) -> str | None:
    """An optional claim, or None when it is too long, or unfit for a mail's header or for UTF-8."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT_CLAIM:
        return None
    return None if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value) else value


def bearer_token(header: str | None) -> str:
    """The token in an `Authorization` header.

    Raises `MissingToken` when the header is absent or empty, and `InvalidToken` when it is over 8 KiB or
    anything but one bearer token.
    """
    if not header:
        raise MissingToken
    match = _BEARER.fullmatch(header) if len(header) <= MAXIMUM_HEADER_BYTES else None
    if match is None:
        raise InvalidToken(Refusal.MALFORMED)
    return match[1]


def mint_token(
    *,
    secret: str,
    user_id: int,
    role: Literal["customer", "agent", "admin"],
    email: str | None = None,
    name: str | None = None,
    lifetime_seconds: float,
    now: float,
    issuer: str | None = None,
    audience: str | None = None,
) -> str:
    """A signed token (HS256) for `user_id`, valid from `now` (Unix seconds) for `lifetime_seconds`.

    Raises `ValueError` for what `TokenVerifier` would refuse: a weak secret, an id, a role or a lifetime.
    """
    key = SharedSecret(secret).current().keys[0]
    if role not in _FROM_LOWEST_TO_HIGHEST:
        raise ValueError(f"no token can carry the role {role!r}")
    if not 0 < user_id <= LARGEST_USER_ID or lifetime_seconds <= 0:
        raise ValueError("the user id and the lifetime must be positive, the id below 2**63")
    claims = {
        "sub": str(user_id),
        "role": role,
        "iat": math.floor(now),
        "exp": math.ceil(now + lifetime_seconds),
    }
    optional = {"email": email, "name": name, "iss": issuer, "aud": audience}
    return jwt.encode(claims | {claim: value for claim, value in optional.items() if value is not None}, key)
