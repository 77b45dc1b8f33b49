"""The auth service's published keys, fetched from a real HTTP server that rotates, fails, hangs and lies."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sav.domain.caller import Caller
from sav.http.authentication import InvalidToken, JwksKeys, KeysUnavailable, Refusal, TokenVerifier
from sav.http.signing_keys import MAXIMUM_KEY_SET_BYTES

ALICE = Caller(user_id=7, role="customer")
RSA_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)]
EC_KEY = ec.generate_private_key(ec.SECP256R1())

LIFESPAN = 300.0
MINIMUM_REFRESH = 5.0
AT_ONCE_IN_VAIN = 3
# Long enough for the busiest machine; where the service hangs on purpose, what it costs whoever has to wait;
# and well below both, what counts as not having waited. All in seconds.
PATIENCE = 5.0
IMPATIENCE = 0.9
AT_ONCE = 0.6

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def algorithm_of(key: Key) -> str:
    return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"


def entry(key: Key, kid: str | None) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(algorithm_of(key))
    members: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return members | ({} if kid is None else {"kid": kid}) | {"use": "sig"}


TOKEN_LIFETIME_SECONDS = 24 * 3600
"""The tokens are made when this module is imported, long before its tests run."""


def token(key: Key, kid: str | None) -> str:
    claims = {"sub": "7", "role": "customer", "exp": time.time() + TOKEN_LIFETIME_SECONDS}
    return jwt.encode(claims, key, algorithm_of(key), headers=None if kid is None else {"kid": kid})


FIRST, SECOND, THIRD = (entry(key, kid) for key, kid in zip(RSA_KEYS, "abc", strict=True))
FIRST_TOKEN, SECOND_TOKEN, THIRD_TOKEN = (token(key, kid) for key, kid in zip(RSA_KEYS, "abc", strict=True))
FORGED_TOKEN = token(RSA_KEYS[1], "forged")


class AuthService:
    """A JWKS endpoint whose next answer the test decides; `requests` counts what reached it."""

    def __init__(self) -> None:
        self.requests = 0
        self.publish(FIRST)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.pause_between_bytes_seconds = 0.0
        self.open = threading.Event()
        self.open.set()
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks.json"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def publish(self, *entries: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": entries}).encode()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        # As they were when the question came: a test may hold one answer back and let a later one pass.
        body, status, open_ = self.body, self.status, self.open
        with self._lock:
            self.requests += 1
        open_.wait(5)
        try:
            handler.send_response(status)
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            if not self.pause_between_bytes_seconds:
                handler.wfile.write(body)
                return
            for byte in body:
                handler.wfile.write(bytes([byte]))
                time.sleep(self.pause_between_bytes_seconds)
        except OSError:
            pass  # the client has given up

    def stop(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def service() -> Iterator[AuthService]:
    service = AuthService()
    yield service
    service.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def keys_of(
    service: AuthService, clock: Clock, timeout_seconds: float, *, vain_fetches_at_once: int = 1
) -> JwksKeys:
    return JwksKeys(
        service.url,
        timeout_seconds=timeout_seconds,
        lifespan_seconds=LIFESPAN,
        minimum_refresh_seconds=MINIMUM_REFRESH,
        vain_fetches_at_once=vain_fetches_at_once,
        clock=clock,
    )


@pytest.fixture
def keys(service: AuthService, clock: Clock) -> JwksKeys:
    return keys_of(service, clock, PATIENCE)


@pytest.fixture
def verifier(keys: JwksKeys) -> TokenVerifier:
    return TokenVerifier(keys)


@pytest.fixture
def impatient(service: AuthService, clock: Clock) -> TokenVerifier:
    return TokenVerifier(keys_of(service, clock, IMPATIENCE))


def refused(verifier: TokenVerifier, token: str) -> Refusal:
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(token)
    return caught.value.reason


def eventually(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 2
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_so()


def fetches_in_flight() -> int:
    return sum(thread.name == "jwks-fetch" for thread in threading.enumerate())


def quiet() -> bool:
    return fetches_in_flight() == 0


Outcome = tuple[Caller | Refusal | str, float]


def timed(verifier: TokenVerifier, token: str) -> Outcome:
    """What verifying gave, and the seconds it took."""
    started = time.monotonic()
    try:
        found: Caller | Refusal | str = verifier.verify(token)
    except InvalidToken as error:
        found = error.reason
    except KeysUnavailable as error:
        found = error.code
    return found, time.monotonic() - started


def all_at_once(verifier: TokenVerifier, tokens: list[str]) -> list[Outcome]:
    """Each token verified on a thread of its own, all let go at the same moment."""
    barrier = threading.Barrier(len(tokens))

    def one(token: str) -> Outcome:
        barrier.wait(5)
        return timed(verifier, token)

    with ThreadPoolExecutor(len(tokens)) as threads:
        return list(threads.map(one, tokens))


# --- Everyday -----------------------------------------------------------------------------------------------


def test_one_fetch_serves_rsa_and_elliptic_keys(service: AuthService, verifier: TokenVerifier) -> None:
    service.publish(FIRST, entry(EC_KEY, "e"))
    assert verifier.verify(FIRST_TOKEN) == ALICE
    assert verifier.verify(token(EC_KEY, "e")) == ALICE
    assert verifier.verify(token(RSA_KEYS[0], None)) == ALICE
    assert service.requests == 1


def test_threads_that_come_first_share_one_fetch(service: AuthService, verifier: TokenVerifier) -> None:
    found = all_at_once(verifier, [token(RSA_KEYS[0], "a") for _ in range(10)])
    assert [outcome for outcome, _ in found] == [ALICE] * 10
    assert service.requests == 1


def test_the_set_is_renewed_early_without_anybody_waiting(
    service: AuthService, verifier: TokenVerifier, keys: JwksKeys, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    clock.now += LIFESPAN * 0.79
    assert verifier.verify(FIRST_TOKEN) == ALICE
    assert service.requests == 1
    service.open.clear()
    clock.now += LIFESPAN * 0.02
    outcome, seconds = timed(verifier, FIRST_TOKEN)
    assert outcome == ALICE
    assert seconds < AT_ONCE
    held = keys.current()
    service.open.set()
    assert eventually(quiet)
    assert service.requests == 2
    assert keys.current() is held, "the same keys must stay the same object, or every token is verified anew"
    clock.now += LIFESPAN * 0.5
    assert keys.current() is held
    assert service.requests == 2, "the renewal must count from when it was made"


# --- Rotation -----------------------------------------------------------------------------------------------


def test_rotations_are_seen_at_once_however_quickly_they_follow(
    service: AuthService, verifier: TokenVerifier
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    for entries, new in [
        ((FIRST, SECOND), SECOND_TOKEN),
        ((SECOND, THIRD), THIRD_TOKEN),
        ((FIRST,), FIRST_TOKEN),
    ]:
        service.publish(*entries)
        assert verifier.verify(new) == ALICE
    assert service.requests == 4
    assert refused(verifier, SECOND_TOKEN) == Refusal.UNKNOWN_KID


def test_a_renewal_without_change_does_not_put_off_a_rotation(
    service: AuthService, verifier: TokenVerifier, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    clock.now += LIFESPAN
    assert verifier.verify(FIRST_TOKEN) == ALICE
    assert service.requests == 2
    service.publish(SECOND)
    assert verifier.verify(SECOND_TOKEN) == ALICE


def test_who_holds_an_old_set_gets_the_new_one_without_a_fetch(
    service: AuthService, verifier: TokenVerifier, keys: JwksKeys
) -> None:
    old = keys.current()
    service.publish(SECOND)
    assert verifier.verify(SECOND_TOKEN) == ALICE
    assert keys.newer_than(old) is keys.current() is not old
    assert service.requests == 2


def test_a_rotation_of_a_key_without_a_name_is_seen_at_once(
    service: AuthService, verifier: TokenVerifier
) -> None:
    service.publish(entry(RSA_KEYS[0], None))
    old, new = token(RSA_KEYS[0], None), token(RSA_KEYS[1], None)
    assert verifier.verify(old) == ALICE
    service.publish(entry(RSA_KEYS[1], None))
    assert verifier.verify(new) == ALICE
    assert refused(verifier, old) == Refusal.BAD_SIGNATURE


def test_a_rotation_ends_what_was_remembered(service: AuthService, verifier: TokenVerifier) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    service.publish(SECOND)
    assert verifier.verify(FIRST_TOKEN) == ALICE, "nothing has told us yet"
    assert verifier.verify(SECOND_TOKEN) == ALICE
    assert refused(verifier, FIRST_TOKEN) == Refusal.UNKNOWN_KID


def test_a_withdrawn_key_stops_at_the_end_of_the_lifespan(
    service: AuthService, verifier: TokenVerifier, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    service.publish(SECOND)
    clock.now += LIFESPAN * 0.79
    assert verifier.verify(FIRST_TOKEN) == ALICE
    clock.now += LIFESPAN * 0.21
    assert refused(verifier, FIRST_TOKEN) == Refusal.UNKNOWN_KID


# --- Outages ------------------------------------------------------------------------------------------------


def test_the_last_good_keys_serve_while_the_service_is_gone(
    service: AuthService, verifier: TokenVerifier, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    service.stop()
    for _ in range(5):
        clock.now += LIFESPAN * 2
        assert verifier.verify(FIRST_TOKEN) == ALICE
        assert verifier.verify(token(RSA_KEYS[0], "a")) == ALICE
        assert refused(verifier, FORGED_TOKEN) == Refusal.UNKNOWN_KID


def test_attempts_back_off_during_an_outage_and_end_with_it(
    service: AuthService, verifier: TokenVerifier, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    service.status = 500
    clock.now += LIFESPAN
    attempts = []
    for _ in range(120):
        assert verifier.verify(FIRST_TOKEN) == ALICE
        assert refused(verifier, FORGED_TOKEN) == Refusal.UNKNOWN_KID
        assert eventually(quiet)
        attempts.append(service.requests)
        clock.now += 1
    seconds = [second for second in range(120) if second == 0 or attempts[second] > attempts[second - 1]]
    assert seconds == [0, 5, 15, 35, 65, 95]
    assert attempts[-1] == 7
    service.status = 200
    service.publish(SECOND)
    clock.now += 30
    assert verifier.verify(SECOND_TOKEN) == ALICE
    assert refused(verifier, FIRST_TOKEN) == Refusal.UNKNOWN_KID
    assert service.requests == 9, "the one that brought the rotation, and one for the kid it withdrew"

    service.status = 500
    clock.now += LIFESPAN
    for requests in (10, 11):
        assert verifier.verify(SECOND_TOKEN) == ALICE
        assert eventually(quiet)
        assert service.requests == requests, "the next outage starts with the shortest wait again"
        clock.now += MINIMUM_REFRESH


def test_without_ever_a_key_set_nobody_can_be_told_anything(
    service: AuthService, verifier: TokenVerifier, clock: Clock
) -> None:
    service.status = 503
    for _ in range(3):
        with pytest.raises(KeysUnavailable) as caught:
            verifier.verify(FIRST_TOKEN)
        assert caught.value.code == "keys_unavailable"
        assert caught.value.retry_after_seconds == MINIMUM_REFRESH
    assert service.requests == 1
    assert refused(verifier, "garbage") == Refusal.MALFORMED
    symmetric = jwt.encode({"sub": "7"}, "x" * 32, "HS256")
    assert refused(verifier, symmetric) == Refusal.ALGORITHM_NOT_ALLOWED
    service.status = 200
    clock.now += MINIMUM_REFRESH
    assert verifier.verify(FIRST_TOKEN) == ALICE


def test_nobody_listens(clock: Clock, service: AuthService, verifier: TokenVerifier) -> None:
    service.stop()
    outcome, seconds = timed(verifier, FIRST_TOKEN)
    assert outcome == "keys_unavailable"
    assert seconds < AT_ONCE


# --- Hanging ------------------------------------------------------------------------------------------------


def test_a_hanging_service_delays_one_caller_once(
    service: AuthService, impatient: TokenVerifier, clock: Clock
) -> None:
    assert impatient.verify(FIRST_TOKEN) == ALICE
    service.open.clear()
    clock.now += LIFESPAN
    found = all_at_once(impatient, [token(RSA_KEYS[0], "a") for _ in range(5)])
    assert [outcome for outcome, _ in found] == [ALICE] * 5
    waited = [seconds for _, seconds in found if seconds >= AT_ONCE]
    assert len(waited) == 1, "the first to find the set too old has to ask; nobody else"
    assert waited[0] < IMPATIENCE + AT_ONCE
    assert eventually(quiet)
    clock.now += MINIMUM_REFRESH
    later = all_at_once(impatient, [FIRST_TOKEN] * 5)
    assert [outcome for outcome, _ in later] == [ALICE] * 5
    assert max(seconds for _, seconds in later) < AT_ONCE
    assert eventually(lambda: service.requests == 3)


def test_an_unknown_kid_that_waits_does_not_delay_known_ones(
    service: AuthService, impatient: TokenVerifier
) -> None:
    assert impatient.verify(FIRST_TOKEN) == ALICE
    service.open.clear()
    with ThreadPoolExecutor(1) as other:
        unknown = other.submit(timed, impatient, FORGED_TOKEN)
        assert eventually(lambda: service.requests == 2)
        found = all_at_once(impatient, [token(RSA_KEYS[0], "a") for _ in range(4)])
        assert not unknown.done(), "or this would prove nothing"
    assert [outcome for outcome, _ in found] == [ALICE] * 4
    assert max(seconds for _, seconds in found) < AT_ONCE
    outcome, seconds = unknown.result()
    assert outcome == Refusal.UNKNOWN_KID
    assert AT_ONCE < seconds < IMPATIENCE + AT_ONCE


def test_a_service_that_hangs_from_the_start(service: AuthService, impatient: TokenVerifier) -> None:
    service.open.clear()
    found = all_at_once(impatient, [token(RSA_KEYS[0], "a") for _ in range(5)])
    assert [outcome for outcome, _ in found] == ["keys_unavailable"] * 5
    assert max(seconds for _, seconds in found) < IMPATIENCE + AT_ONCE
    assert eventually(quiet)
    assert timed(impatient, FIRST_TOKEN)[1] < AT_ONCE
    assert service.requests == 1


def test_an_answer_that_comes_byte_by_byte_is_given_up(
    service: AuthService, impatient: TokenVerifier
) -> None:
    service.pause_between_bytes_seconds = 0.05
    outcome, seconds = timed(impatient, FIRST_TOKEN)
    assert outcome == "keys_unavailable"
    assert IMPATIENCE <= seconds < IMPATIENCE + AT_ONCE
    assert eventually(quiet)


def test_a_late_answer_does_not_replace_a_newer_one(
    service: AuthService, verifier: TokenVerifier, keys: JwksKeys, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    service.open.clear()
    service.publish(FIRST, SECOND)
    clock.now += LIFESPAN * 0.9
    keys.current()
    assert eventually(lambda: service.requests == 2)
    clock.now += PATIENCE  # by the clock, the fetch is overdue; by the socket, not yet
    assert verifier.verify(FIRST_TOKEN) == ALICE
    clock.now += MINIMUM_REFRESH
    held_back, service.open = service.open, threading.Event()
    service.open.set()
    service.publish(THIRD)
    assert verifier.verify(THIRD_TOKEN) == ALICE
    assert fetches_in_flight() == 1, "the first answer must still be to come"
    held_back.set()
    assert eventually(quiet)
    assert [key.key_id for key in keys.current().keys] == ["c"]


# --- Hostile callers ----------------------------------------------------------------------------------------


def test_a_storm_of_forged_kids_causes_one_fetch_an_interval(
    service: AuthService, verifier: TokenVerifier, clock: Clock
) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    for storm in range(1, 4):
        tokens = [token(RSA_KEYS[1], f"forged-{storm}-{number}") for number in range(40)]
        found = all_at_once(verifier, tokens)
        assert [outcome for outcome, _ in found] == [Refusal.UNKNOWN_KID] * 40
        assert service.requests == 1 + storm
        clock.now += MINIMUM_REFRESH - 0.1
        assert [refused(verifier, forged) for forged in tokens[:5]] == [Refusal.UNKNOWN_KID] * 5
        assert service.requests == 1 + storm, "one after the other they must not get further than all at once"
        clock.now += 0.1
    assert verifier.verify(FIRST_TOKEN) == ALICE
    assert service.requests == 4


def test_a_rotation_is_seen_at_once_behind_some_unknown_kids(service: AuthService, clock: Clock) -> None:
    verifier = TokenVerifier(keys_of(service, clock, PATIENCE, vain_fetches_at_once=AT_ONCE_IN_VAIN))
    assert verifier.verify(FIRST_TOKEN) == ALICE
    for number in range(AT_ONCE_IN_VAIN - 1):
        assert refused(verifier, token(RSA_KEYS[1], f"forged-{number}")) == Refusal.UNKNOWN_KID
    service.publish(SECOND)
    assert verifier.verify(SECOND_TOKEN) == ALICE


def test_unknown_kids_in_vain_are_so_many_and_given_back_one_by_one(
    service: AuthService, clock: Clock
) -> None:
    verifier = TokenVerifier(keys_of(service, clock, PATIENCE, vain_fetches_at_once=AT_ONCE_IN_VAIN))
    assert verifier.verify(FIRST_TOKEN) == ALICE
    numbers = itertools.count()

    def fetches_of(tries: int) -> int:
        before = service.requests
        for _ in range(tries):
            assert refused(verifier, token(RSA_KEYS[1], f"forged-{next(numbers)}")) == Refusal.UNKNOWN_KID
        return service.requests - before

    assert fetches_of(10) == AT_ONCE_IN_VAIN
    for _ in range(2):
        clock.now += MINIMUM_REFRESH
        assert fetches_of(10) == 1
    clock.now += 10 * MINIMUM_REFRESH
    assert fetches_of(10) == AT_ONCE_IN_VAIN


def test_forged_tokens_of_other_kinds_cause_no_fetch(service: AuthService, verifier: TokenVerifier) -> None:
    assert verifier.verify(FIRST_TOKEN) == ALICE
    assert refused(verifier, token(RSA_KEYS[1], "a")) == Refusal.BAD_SIGNATURE
    assert refused(verifier, token(EC_KEY, "a")) == Refusal.ALGORITHM_NOT_ALLOWED
    symmetric = jwt.encode({"sub": "7"}, "x" * 32, "HS256", headers={"kid": "unknown"})
    assert refused(verifier, symmetric) == Refusal.ALGORITHM_NOT_ALLOWED
    assert service.requests == 1


# --- Answers that are no key set ----------------------------------------------------------------------------

BAD_ANSWERS: dict[str, tuple[int, bytes]] = {
    "not found": (404, json.dumps({"keys": [SECOND]}).encode()),
    "server error": (500, json.dumps({"keys": [SECOND]}).encode()),
    "empty": (200, b""),
    "no JSON": (200, b"<html>Sign in</html>"),
    "cut off": (200, json.dumps({"keys": [SECOND]}).encode()[:-3]),
    "no keys": (200, b'{"keys": []}'),
    "only a symmetric key": (200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "b"}]}'),
    "only encryption": (200, json.dumps({"keys": [SECOND | {"use": "enc"}]}).encode()),
    "too big": (200, json.dumps({"keys": [SECOND]}).encode() + b" " * MAXIMUM_KEY_SET_BYTES),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_a_bad_answer_counts_as_an_outage(
    service: AuthService, verifier: TokenVerifier, clock: Clock, answer: str
) -> None:
    good = service.status, service.body
    service.status, service.body = BAD_ANSWERS[answer]
    assert timed(verifier, SECOND_TOKEN)[0] == "keys_unavailable"
    assert service.requests == 1

    service.status, service.body = good
    clock.now += MINIMUM_REFRESH
    assert verifier.verify(FIRST_TOKEN) == ALICE

    service.status, service.body = BAD_ANSWERS[answer]
    clock.now += LIFESPAN
    assert refused(verifier, SECOND_TOKEN) == Refusal.UNKNOWN_KID
    assert verifier.verify(FIRST_TOKEN) == ALICE
    assert service.requests == 3


def test_a_set_of_nearly_the_greatest_size_is_read(service: AuthService, verifier: TokenVerifier) -> None:
    service.body += b" " * (MAXIMUM_KEY_SET_BYTES - len(service.body))
    assert verifier.verify(FIRST_TOKEN) == ALICE


def test_redirects_are_not_followed(service: AuthService, verifier: TokenVerifier) -> None:
    elsewhere = AuthService()
    service.status, service.headers = 302, {"Location": elsewhere.url}
    try:
        assert timed(verifier, FIRST_TOKEN)[0] == "keys_unavailable"
        assert (service.requests, elsewhere.requests) == (1, 0)
    finally:
        elsewhere.stop()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/jwks",
        "data:application/json,{}",
        "example.org",
        "http://",
        "",
    ],
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        JwksKeys(url)


@pytest.mark.parametrize("name", ["timeout_seconds", "lifespan_seconds", "minimum_refresh_seconds"])
def test_times_are_positive(name: str) -> None:
    times: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match="positive"):
        JwksKeys("http://127.0.0.1/", **times)
