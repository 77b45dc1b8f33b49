"""Where the keys that verify tokens come from: one shared secret, or the auth service's key set (JWKS).

A source hands out immutable `KeySet`s. Whoever verifies holds one and asks again: the same object means that
nothing has changed, so what was verified with it still counts.
"""

import base64
import hashlib
import http.client
import json
import math
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

import structlog
from jwt import PyJWK, PyJWTError

from sav.domain.errors import SavError

MINIMUM_SECRET_BYTES = 32
MAXIMUM_KEY_SET_BYTES = 256 * 1024
MAXIMUM_BACK_OFF_SECONDS = 30.0
VAIN_FETCHES_AT_ONCE = 10
"""So many unknown `kid`s in a row are each looked for: a rotation is seen at once behind a few bad tokens."""

# A key set is renewed in the background once this share of its lifespan is over, so that under steady traffic
# no request ever waits for the auth service.
EARLY_RENEWAL_SHARE = 0.8

_CHUNK_BYTES = 16 * 1024
_MINIMUM_RSA_BITS = 2048

# What a published key may be: key type → the one algorithm it verifies, and its public members. Symmetric
# keys (`oct`) are not here: who can read a JWKS could sign with them.
_PUBLISHED_KEYS = {"RSA": ("RS256", ("n", "e")), "EC": ("ES256", ("crv", "x", "y"))}

_log = structlog.get_logger(__name__)


class KeysUnavailable(SavError):
    """Your access token cannot be verified at the moment; repeat the request a little later."""

    code = "keys_unavailable"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class InvalidKeySet(ValueError):
    """The auth service's answer is no key set, or holds no key that we may use."""


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """The keys of one moment. Two answers with the same keys are one `KeySet` object (see `JwksKeys`)."""

    keys: tuple[PyJWK, ...]
    fingerprint: bytes = b""
    names_its_keys: bool = True

    def named(self, kid: str | None) -> tuple[PyJWK, ...]:
        """The keys that a token with this `kid` can mean: without a name, any of them."""
        if kid is None or not self.names_its_keys:
            return self.keys
        return tuple(key for key in self.keys if key.key_id == kid)


class KeySource(Protocol):
    """Hands out key sets; `algorithms` is all that its keys can ever verify."""

    algorithms: ClassVar[frozenset[str]]

    def current(self) -> KeySet:
        """The keys that count now. Raises `KeysUnavailable`."""

    def newer_than(self, seen: KeySet) -> KeySet:
        """A later set than `seen` if there is one to be had now, else `seen` itself. Never raises."""


class SharedSecret:
    """One secret, known to the auth service and to us (HS256). A token's `kid` has no meaning here.

    Raises `ValueError` for a secret under 32 bytes and for one that is a public key.
    """

    algorithms: ClassVar[frozenset[str]] = frozenset({"HS256"})

    def __init__(self, secret: str) -> None:
        material = secret.encode()
        if len(material) < MINIMUM_SECRET_BYTES:
            raise ValueError(f"the secret must have at least {MINIMUM_SECRET_BYTES} bytes")
        encoded = base64.urlsafe_b64encode(material).decode()
        key = PyJWK({"kty": "oct", "k": encoded}, "HS256")
        try:
            key.Algorithm.prepare_key(material)
        except PyJWTError:
            # From None: the cause's traceback could carry the material into a log.
            raise ValueError("the secret must not be a public key or certificate") from None
        self._key_set = KeySet((key,), names_its_keys=False)

    def current(self) -> KeySet:
        return self._key_set

    def newer_than(self, seen: KeySet) -> KeySet:
        return seen


@dataclass(frozen=True, slots=True)
class _Held:
    """The last good key set; times are the clock's."""

    key_set: KeySet
    renew_at: float
    stale_at: float


@dataclass(slots=True, eq=False)
class _Fetch:
    """One request to the auth service that is under way; times are the clock's."""

    forced: bool
    started_at: float
    abandoned_at: float
    done: threading.Event = field(default_factory=threading.Event)


class JwksKeys:
    """The auth service's published keys (RS256, ES256), fetched when needed and kept for `lifespan_seconds`.

    Every fetch runs on a thread of its own and no lock is held meanwhile: who finds their key in the set at
    hand never waits for somebody else's fetch. Only these wait, for `timeout_seconds` at most: everyone,
    before the first good set; who brings an unknown `kid`; and whoever is first to find the set past its
    lifespan, unless the auth service has just failed. While it fails, the last good set serves; otherwise a
    withdrawn key is refused once its set is past its lifespan and that one fetch is over.

    A fetch for a `kid` that proves to be unknown uses up one of `vain_fetches_at_once`, and each
    `minimum_refresh_seconds` gives one back; without any left unknown ones cause no fetch. That time is also
    the first step of the back-off after a failure. `clock` counts seconds upwards.
    Raises `ValueError` for a URL that is not http(s) and for a time that is not positive.
    """

    algorithms: ClassVar[frozenset[str]] = frozenset(algorithm for algorithm, _ in _PUBLISHED_KEYS.values())

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 2.0,
        lifespan_seconds: float = 300.0,
        minimum_refresh_seconds: float = 5.0,
        vain_fetches_at_once: int = VAIN_FETCHES_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # urllib would open file: and ftp: as readily.
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ValueError("the JWKS URL must be an http(s) URL")
        if min(timeout_seconds, lifespan_seconds, minimum_refresh_seconds) <= 0:
            raise ValueError("the JWKS times must be positive")
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._lifespan_seconds = lifespan_seconds
        self._minimum_refresh_seconds = minimum_refresh_seconds
        self._vain_seconds_at_once = (vain_fetches_at_once - 1) * minimum_refresh_seconds
        self._clock = clock
        self._held: _Held | None = None  # replaced as a whole, so that readers need no lock
        self._lock = threading.Lock()  # guards what follows, and is never held during I/O
        self._in_flight: _Fetch | None = None
        self._failures = 0
        self._retry_at = -math.inf
        self._made_up_at = -math.inf
        """When all vain fetches will have been given back."""

    def current(self) -> KeySet:
        """The key set that counts now, renewed when its time has come.

        Raises `KeysUnavailable` when no good set was ever fetched and none is to be had now.
        """
        held = self._held
        if held is not None and self._clock() < held.renew_at:
            return held.key_set
        fetch, is_ours = self._join_fetch(forced=False)
        if fetch is not None and (held is None or (is_ours and self._must_wait(held))):
            fetch.done.wait(self._timeout_seconds)
        if self._held is None:
            raise KeysUnavailable(retry_after_seconds=self._retry_after_seconds())
        return self._held.key_set

    def newer_than(self, seen: KeySet) -> KeySet:
        """The set that replaced `seen`, fetched anew if the minimum interval allows; else `seen`.

        Waits `timeout_seconds` at most and never raises.
        """
        if self._latest(seen) is seen:
            fetch, _ = self._join_fetch(forced=True)
            if fetch is not None:
                fetch.done.wait(self._timeout_seconds)
        return self._latest(seen)

    def _latest(self, seen: KeySet) -> KeySet:
        return seen if self._held is None else self._held.key_set

    def _must_wait(self, held: _Held) -> bool:
        # Past its lifespan a set may hold a withdrawn key, so one look at the auth service comes first. Once
        # that has failed, waiting again would only slow callers down: the last good keys serve.
        return self._clock() >= held.stale_at and self._failures == 0

    def _retry_after_seconds(self) -> int:
        return math.ceil(max(1.0, self._retry_at - self._clock()))

    def _join_fetch(self, *, forced: bool) -> tuple[_Fetch | None, bool]:
        """The fetch under way, else a new one, else none while it is too early; and whether we started it."""
        with self._lock:
            now = self._clock()
            if self._in_flight is not None:
                if now < self._in_flight.abandoned_at:
                    return self._in_flight, False
                # A socket timeout does not bound name resolution or an answer that comes byte by byte.
                self._settle_failure(now)
            if now < self._retry_at or (forced and now < self._made_up_at - self._vain_seconds_at_once):
                return None, False
            fetch = _Fetch(forced, started_at=now, abandoned_at=now + self._timeout_seconds)
            self._in_flight = fetch
        threading.Thread(target=self._run, args=(fetch,), name="jwks-fetch", daemon=True).start()
        return fetch, True

    def _run(self, fetch: _Fetch) -> None:
        try:
            key_set: KeySet | None = parse_key_set(download(self._url, timeout_seconds=self._timeout_seconds))
        except Exception as error:  # whatever it was, those who wait must hear that it is over
            key_set = None
            _log.warning("jwks_fetch_failed", error=type(error).__name__, description=str(error)[:200])
        with self._lock:
            if self._in_flight is fetch:  # else it was given up, and its answer may be older than ours
                self._settle(fetch, key_set)
        fetch.done.set()

    def _settle(self, fetch: _Fetch, key_set: KeySet | None) -> None:
        if key_set is None:
            self._settle_failure(self._clock())
            return
        self._in_flight = None
        self._failures = 0
        before = self._held.key_set if self._held else None
        if before is not None and before.fingerprint == key_set.fingerprint:
            # Only a fetch that brought nothing new counts against the next unknown `kid`: forged ones cannot
            # hammer the auth service, while real rotations are seen at once however quickly they follow.
            key_set = before
            if fetch.forced:
                since = max(self._made_up_at, fetch.started_at)
                self._made_up_at = since + self._minimum_refresh_seconds
        self._held = _Held(
            key_set,
            renew_at=fetch.started_at + self._lifespan_seconds * EARLY_RENEWAL_SHARE,
            stale_at=fetch.started_at + self._lifespan_seconds,
        )

    def _settle_failure(self, now: float) -> None:
        self._in_flight = None
        back_off_seconds = self._minimum_refresh_seconds * 2 ** min(self._failures, 10)
        self._retry_at = now + min(
            back_off_seconds, max(MAXIMUM_BACK_OFF_SECONDS, self._minimum_refresh_seconds)
        )
        self._failures += 1


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The keys come from the configured address and from nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def download(url: str, *, timeout_seconds: float) -> bytes:
    """The body at `url`. Raises `OSError`, `http.client.HTTPException` or `InvalidKeySet` (too big)."""
    deadline = time.monotonic() + timeout_seconds
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "sav-service"})  # noqa: S310 - `JwksKeys` lets only http(s) pass
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(request, timeout=timeout_seconds) as response:
        return _read_within(response, deadline)


def _read_within(response: http.client.HTTPResponse, deadline: float) -> bytes:
    body = bytearray()
    # read1 returns with what has arrived; read would wait for a whole chunk, byte by byte if need be.
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAXIMUM_KEY_SET_BYTES:
            raise InvalidKeySet(f"the key set is larger than {MAXIMUM_KEY_SET_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the key set did not arrive in time")
    return bytes(body)


def parse_key_set(body: bytes) -> KeySet:
    """The usable keys of a JWKS document. Raises `InvalidKeySet`, also when not one key is usable.

    An empty set counts as a fault of the auth service, not as the withdrawal of every key: it must not lock
    everybody out.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidKeySet("the key set is not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InvalidKeySet("the key set has no list of keys")
    # Keyed by content: an entry published twice is one key, and order means nothing.
    usable = {_canonical(entry): key for entry in entries if (key := _usable_key(entry)) is not None}
    if not usable:
        raise InvalidKeySet("the key set holds no usable key")
    return KeySet(tuple(usable.values()), hashlib.sha256(b"\n".join(sorted(usable))).digest())


def _canonical(entry: dict[str, Any]) -> bytes:
    """What makes a key the key it is: its name, type and public members."""
    _, members = _PUBLISHED_KEYS[entry["kty"]]
    return json.dumps([entry.get(name) for name in ("kid", "kty", *members)]).encode()


def _usable_key(entry: object) -> PyJWK | None:
    """The key, or None for one that is not for signatures, not public, too weak or of another algorithm."""
    if not isinstance(entry, dict) or not _is_for_verifying(entry):
        return None
    algorithm, _ = _PUBLISHED_KEYS[entry["kty"]]
    # A key with its private half is known to everybody who can read this document.
    if "d" in entry or entry.get("alg") not in (None, algorithm):
        return None
    try:
        key = PyJWK(entry, algorithm)
    except (PyJWTError, ArithmeticError, LookupError, TypeError, ValueError):
        return None
    if algorithm == "ES256":
        return key if entry["crv"] == "P-256" else None
    return key if key.key.key_size >= _MINIMUM_RSA_BITS else None


def _is_for_verifying(entry: dict[str, Any]) -> bool:
    # Members that are null count as absent, as some serialisers write them.
    operations = entry.get("key_ops")
    return (
        isinstance(entry.get("kty"), str)
        and entry["kty"] in _PUBLISHED_KEYS
        and entry.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and isinstance(entry.get("kid"), str | None)
    )
