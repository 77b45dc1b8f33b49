"""Who is calling: every token that must be refused, and the few that must not."""

import base64
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import assume, given
from hypothesis import strategies as st

from sav.domain.caller import Caller
from sav.domain.errors import SavError
from sav.http import authentication
from sav.http.authentication import (
    START_LEEWAY_SECONDS,
    InvalidToken,
    MissingToken,
    Refusal,
    SharedSecret,
    TokenVerifier,
    bearer_token,
    mint_token,
)
from sav.http.signing_keys import InvalidKeySet, KeySet, parse_key_set

HMAC_KEY = "a-secret-for-tests-with-32-bytes-and-more"
OTHER_HMAC_KEY = "another-secret-for-tests-also-32-bytes-long"
NOW = 1_700_000_000.0
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
ALICE = Caller(user_id=7, role="customer")

Claims = dict[str, Any]


class FixedKeys:
    """A published key set that never changes."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256", "ES256"})

    def __init__(self, *entries: Claims) -> None:
        self.key_set = parse_key_set(json.dumps({"keys": entries}).encode())

    def current(self) -> KeySet:
        return self.key_set

    def newer_than(self, seen: KeySet) -> KeySet:
        return seen


class ReplaceableSecret:
    """A source whose key set the test replaces, as a rotation would."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"HS256"})

    def __init__(self, secret: str) -> None:
        self.key_set = SharedSecret(secret).current()

    def current(self) -> KeySet:
        return self.key_set

    def newer_than(self, seen: KeySet) -> KeySet:
        return self.key_set


def published(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, **members: Any) -> Claims:
    family = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
    entry: Claims = family.to_jwk(key.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    return entry | members


def claims(**changes: Any) -> Claims:
    """Good claims, changed; a claim set to `...` is left out."""
    everything = {"sub": "7", "role": "customer", "exp": NOW + 60} | changes
    return {name: value for name, value in everything.items() if value is not ...}


def segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def forged(header: object, payload: object, key: bytes = HMAC_KEY.encode()) -> str:
    """A token of any header and payload, signed with HMAC-SHA256: PyJWT would refuse to make some."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signing_input = ".".join(map(segment, parts))
    return f"{signing_input}.{segment(hmac.digest(key, signing_input.encode(), hashlib.sha256))}"


def signed(**changes: Any) -> str:
    return forged({"alg": "HS256", "typ": "JWT"}, claims(**changes))


def unsigned(**header: str) -> str:
    """What `jwt.encode(claims, None, "none")` makes."""
    return ".".join(segment(json.dumps(part).encode()) for part in ({"alg": "none"} | header, claims())) + "."


def refused(verifier: TokenVerifier, token: str, *, now: float = NOW) -> Refusal:
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(token, now=now)
    return caught.value.reason


@pytest.fixture
def verifier() -> TokenVerifier:
    return TokenVerifier(SharedSecret(HMAC_KEY))


@pytest.fixture
def published_verifier() -> TokenVerifier:
    return TokenVerifier(FixedKeys(published(RSA_KEY, kid="r"), published(EC_KEY, kid="e")))


# --- What is accepted ---------------------------------------------------------------------------------------


def test_a_good_token_names_its_caller(verifier: TokenVerifier) -> None:
    token = signed(sub="42", role="agent", email="ada@example.org", name="Ada\u00a0Lovelace")
    assert verifier.verify(token, now=NOW) == Caller(42, "agent", "ada@example.org", "Ada\u00a0Lovelace")


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({"role": "customer"}, "customer"),
        ({"role": "user"}, "customer"),
        ({"role": "agent"}, "agent"),
        ({"role": "support"}, "agent"),
        ({"role": "admin"}, "admin"),
        ({"role": ..., "roles": ["user"]}, "customer"),
        ({"role": ..., "roles": ["customer", "support"]}, "agent"),
        ({"role": ..., "roles": ["admin", "user", "support"]}, "admin"),
        ({"role": ..., "roles": ["baker", None, 3, ["admin"], {}, "system", "user"]}, "customer"),
        ({"role": None, "roles": ["support"]}, "agent"),
        ({"role": "customer", "roles": ["admin"]}, "customer"),
    ],
)
def test_roles(verifier: TokenVerifier, changes: Claims, role: str) -> None:
    assert verifier.verify(signed(**changes), now=NOW).role == role


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("x" * 255, "x" * 255),
        ("Zoë 🦊", "Zoë 🦊"),
        ("x" * 256, None),
        ("", None),
        (7, None),
        (None, None),
        (["a@example.org"], None),
        ({"a": 1}, None),
        ("a@example.org\r\nBcc: b@example.org", None),
        ("nul\x00", None),
        ("lone \ud800 surrogate", None),
    ],
)
@pytest.mark.parametrize("claim", ["email", "name"])
def test_an_unfit_email_or_name_is_dropped(
    verifier: TokenVerifier, claim: str, value: object, kept: str | None
) -> None:
    assert getattr(verifier.verify(signed(**{claim: value}), now=NOW), claim) == kept


@pytest.mark.parametrize("sub", ["1", "7", str(2**63 - 1)])
def test_user_ids(verifier: TokenVerifier, sub: str) -> None:
    assert verifier.verify(signed(sub=sub), now=NOW).user_id == int(sub)


def test_a_secret_does_not_care_about_the_kid(verifier: TokenVerifier) -> None:
    assert verifier.verify(forged({"alg": "HS256", "kid": "any"}, claims()), now=NOW) == ALICE


@pytest.mark.parametrize(
    ("kid", "algorithm"), [("r", "RS256"), ("e", "ES256"), (None, "RS256"), (None, "ES256")]
)
def test_published_keys_verify(published_verifier: TokenVerifier, kid: str | None, algorithm: str) -> None:
    key = RSA_KEY if algorithm == "RS256" else EC_KEY
    token = jwt.encode(claims(), key, algorithm, headers={"kid": kid} if kid else None)
    assert published_verifier.verify(token, now=NOW) == ALICE


# --- What is refused ----------------------------------------------------------------------------------------

NO_INSTANTS: list[Any] = [
    *(None, "", str(NOW), True, [NOW], {}, 10**400, -(10**400), float("inf"), float("nan"), 2**53),
]

BAD_CLAIMS: list[tuple[Refusal, Claims]] = [
    *(
        (Refusal.BAD_SUBJECT, {"sub": sub})
        for sub in ["0", "-1", "abc", "", "07", "+7", " 7", "7 ", "7\n", "7.0"]
    ),
    *(
        (Refusal.BAD_SUBJECT, {"sub": sub})
        for sub in [str(2**63), "9" * 19, "9" * 5000, "\u0667", "\uff17", "1e3", "0x7"]
    ),
    *((Refusal.BAD_SUBJECT, {"sub": sub}) for sub in [..., 7, 7.0, True, None, ["7"], {"7": 7}]),
    *(
        (Refusal.UNKNOWN_ROLE, {"role": role})
        for role in [..., None, "", "system", "root", "Admin", "admin "]
    ),
    *((Refusal.UNKNOWN_ROLE, {"role": role}) for role in [7, True, ["admin"], {"admin": True}]),
    *(
        (Refusal.UNKNOWN_ROLE, {"role": ..., "roles": roles})
        for roles in [[], ["system"], ["baker"], [["admin"]]]
    ),
    *((Refusal.UNKNOWN_ROLE, {"role": ..., "roles": roles}) for roles in ["admin", {"admin": 1}, None, 7]),
    *((Refusal.UNKNOWN_ROLE, {"role": role, "roles": ["admin"]}) for role in ["system", "", 7]),
    (Refusal.NO_EXPIRY, {"exp": ...}),
    *((Refusal.EXPIRED, {"exp": exp}) for exp in [NOW, NOW - 0.5, NOW - 1, 0, -1]),
    *((Refusal.NOT_YET_VALID, {name: NOW + START_LEEWAY_SECONDS + 1}) for name in ["nbf", "iat"]),
    *((Refusal.MALFORMED, {name: value}) for name in ["exp", "nbf", "iat"] for value in NO_INSTANTS),
]


@pytest.mark.parametrize(("reason", "changes"), BAD_CLAIMS)
def test_bad_claims(verifier: TokenVerifier, reason: Refusal, changes: Claims) -> None:
    assert refused(verifier, signed(**changes)) == reason


GOOD = signed()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")

BAD_TOKENS: list[tuple[str, Refusal, str]] = [
    ("none", Refusal.ALGORITHM_NOT_ALLOWED, unsigned()),
    ("none with a signature", Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": "none"}, claims())),
    ("None", Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": "None"}, claims())),
    ("lower case", Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": "hs256"}, claims())),
    ("empty algorithm", Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": ""}, claims())),
    ("no algorithm", Refusal.ALGORITHM_NOT_ALLOWED, forged({}, claims())),
    ("algorithm of a wrong type", Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": ["HS256"]}, claims())),
    ("HS512", Refusal.ALGORITHM_NOT_ALLOWED, jwt.encode(claims(), HMAC_KEY * 2, "HS512")),
    ("RS256", Refusal.ALGORITHM_NOT_ALLOWED, jwt.encode(claims(), RSA_KEY, "RS256")),
    ("ES256", Refusal.ALGORITHM_NOT_ALLOWED, jwt.encode(claims(), EC_KEY, "ES256")),
    ("another secret", Refusal.BAD_SIGNATURE, forged({"alg": "HS256"}, claims(), OTHER_HMAC_KEY.encode())),
    ("empty key", Refusal.BAD_SIGNATURE, forged({"alg": "HS256"}, claims(), b"")),
    ("no signature", Refusal.BAD_SIGNATURE, f"{HEADER}.{PAYLOAD}."),
    ("another payload", Refusal.BAD_SIGNATURE, f"{HEADER}.{signed(sub='8').split('.')[1]}.{SIGNATURE}"),
    ("one segment", Refusal.MALFORMED, HEADER),
    ("two segments", Refusal.MALFORMED, f"{HEADER}.{PAYLOAD}"),
    ("four segments", Refusal.MALFORMED, f"{GOOD}.{SIGNATURE}"),
    ("a blank after it", Refusal.MALFORMED, GOOD + " "),
    ("a line end after it", Refusal.MALFORMED, GOOD + "\n"),
    ("empty", Refusal.MALFORMED, ""),
    ("dots", Refusal.MALFORMED, ".."),
    ("garbage", Refusal.MALFORMED, "!§$%&/()="),
    ("unicode", Refusal.MALFORMED, "é" + GOOD),
    ("a lone surrogate", Refusal.MALFORMED, GOOD + "\ud800"),
    ("huge", Refusal.MALFORMED, signed(padding="x" * 8192)),
    ("header is a list", Refusal.MALFORMED, forged([], claims())),
    ("header is no JSON", Refusal.MALFORMED, forged(b"{", claims())),
    ("header is no UTF-8", Refusal.MALFORMED, forged(b'{"alg":"\xff"}', claims())),
    ("header too deep", Refusal.MALFORMED, forged(b"[" * 3000, claims())),
    ("payload too deep", Refusal.MALFORMED, forged({"alg": "HS256"}, b"[" * 3000)),
    ("payload is a list", Refusal.MALFORMED, forged({"alg": "HS256"}, [])),
    ("payload is no JSON", Refusal.MALFORMED, forged({"alg": "HS256"}, b"sub=7")),
    ("payload is no UTF-8", Refusal.MALFORMED, forged({"alg": "HS256"}, b'{"sub":"\xff"}')),
    ("kid of a wrong type", Refusal.MALFORMED, forged({"alg": "HS256", "kid": 7}, claims())),
    ("unknown critical header", Refusal.MALFORMED, forged({"alg": "HS256", "crit": ["x"], "x": 1}, claims())),
    (
        "detached payload",
        Refusal.MALFORMED,
        forged({"alg": "HS256", "crit": ["b64"], "b64": False}, claims()),
    ),
]


@pytest.mark.parametrize(
    ("reason", "token"), [row[1:] for row in BAD_TOKENS], ids=[row[0] for row in BAD_TOKENS]
)
def test_bad_tokens(verifier: TokenVerifier, reason: Refusal, token: str) -> None:
    assert verifier.verify(GOOD, now=NOW) == ALICE
    assert refused(verifier, token) == reason


def rs256(kid: str | None, key: rsa.RSAPrivateKey = RSA_KEY) -> str:
    return jwt.encode(claims(), key, "RS256", headers={"kid": kid} if kid is not None else None)


@pytest.mark.parametrize(
    ("reason", "token"),
    [
        (Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": "HS256", "kid": "r"}, claims(), PUBLIC_PEM)),
        (Refusal.ALGORITHM_NOT_ALLOWED, forged({"alg": "HS256"}, claims(), PUBLIC_PEM)),
        (Refusal.ALGORITHM_NOT_ALLOWED, unsigned(kid="r")),
        (Refusal.ALGORITHM_NOT_ALLOWED, jwt.encode(claims(), RSA_KEY, "RS512", headers={"kid": "r"})),
        (Refusal.ALGORITHM_NOT_ALLOWED, jwt.encode(claims(), RSA_KEY, "PS256", headers={"kid": "r"})),
        (Refusal.ALGORITHM_NOT_ALLOWED, jwt.encode(claims(), EC_KEY, "ES256", headers={"kid": "r"})),
        (Refusal.ALGORITHM_NOT_ALLOWED, rs256("e")),
        (Refusal.BAD_SIGNATURE, forged({"alg": "RS256", "kid": "r"}, claims(), PUBLIC_PEM)),
        (Refusal.BAD_SIGNATURE, forged({"alg": "ES256", "kid": "e"}, claims())),
        (Refusal.UNKNOWN_KID, rs256("x")),
        (Refusal.UNKNOWN_KID, rs256("")),
        (Refusal.UNKNOWN_KID, rs256("../../dev/null")),
    ],
)
def test_bad_tokens_under_published_keys(
    published_verifier: TokenVerifier, reason: Refusal, token: str
) -> None:
    assert published_verifier.verify(rs256("r"), now=NOW) == ALICE
    assert refused(published_verifier, token) == reason


def test_without_a_kid_two_keys_of_one_algorithm_are_one_too_many() -> None:
    second = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    verifier = TokenVerifier(FixedKeys(published(RSA_KEY, kid="r"), published(second, kid="s")))
    assert verifier.verify(rs256("s", second), now=NOW) == ALICE
    assert refused(verifier, rs256(None)) == Refusal.AMBIGUOUS_KEY


def test_a_key_published_twice_is_one_key() -> None:
    verifier = TokenVerifier(FixedKeys(published(RSA_KEY, kid="r"), published(RSA_KEY, kid="r", use="sig")))
    assert verifier.verify(rs256("r"), now=NOW) == ALICE


@pytest.mark.parametrize(
    ("expected", "changes", "reason"),
    [
        ({"issuer": "shop"}, {}, Refusal.BAD_ISSUER),
        ({"issuer": "shop"}, {"iss": "other"}, Refusal.BAD_ISSUER),
        ({"issuer": "shop"}, {"iss": "shop "}, Refusal.BAD_ISSUER),
        ({"issuer": "shop"}, {"iss": ["shop"]}, Refusal.BAD_ISSUER),
        ({"issuer": "shop"}, {"iss": None}, Refusal.BAD_ISSUER),
        ({"audience": "sav"}, {}, Refusal.BAD_AUDIENCE),
        ({"audience": "sav"}, {"aud": "other"}, Refusal.BAD_AUDIENCE),
        ({"audience": "sav"}, {"aud": []}, Refusal.BAD_AUDIENCE),
        ({"audience": "sav"}, {"aud": ["other", 7]}, Refusal.BAD_AUDIENCE),
        ({"audience": "sav"}, {"aud": {"sav": 1}}, Refusal.BAD_AUDIENCE),
        ({"issuer": "shop", "audience": "sav"}, {"iss": "shop"}, Refusal.BAD_AUDIENCE),
        ({"issuer": "shop", "audience": "sav"}, {"aud": "sav"}, Refusal.BAD_ISSUER),
        ({"issuer": "shop"}, {"iss": "shop", "aud": "anything"}, None),
        ({"audience": "sav"}, {"aud": ["other", "sav"]}, None),
        ({"issuer": "shop", "audience": "sav"}, {"iss": "shop", "aud": "sav"}, None),
        ({}, {"iss": "anybody", "aud": ["anything"]}, None),
    ],
)
def test_issuer_and_audience(expected: dict[str, str], changes: Claims, reason: Refusal | None) -> None:
    verifier = TokenVerifier(SharedSecret(HMAC_KEY), **expected)
    if reason is None:
        assert verifier.verify(signed(**changes), now=NOW) == ALICE
    else:
        assert refused(verifier, signed(**changes)) == reason


def test_a_refusal_tells_the_caller_nothing_but_what_to_do(verifier: TokenVerifier) -> None:
    tokens = [token for *_, token in BAD_TOKENS] + [signed(**changes) for _, changes in BAD_CLAIMS]
    errors = []
    for token in tokens:
        with pytest.raises(InvalidToken) as caught:
            verifier.verify(token, now=NOW)
        errors.append(caught.value)
        assert not token or token not in str(caught.value)
        assert caught.value.__cause__ is None
    assert {error.code for error in errors} == {"unauthorized"}
    assert len({error.detail for error in errors}) == 1
    assert "sign in again" in errors[0].detail


# --- Time ---------------------------------------------------------------------------------------------------


def test_a_token_holds_from_nbf_up_to_but_not_at_exp(verifier: TokenVerifier) -> None:
    token = signed(nbf=NOW + START_LEEWAY_SECONDS, iat=NOW - 10, exp=NOW + 60)
    for _ in range(2):  # the second round meets the remembered token
        assert refused(verifier, token, now=NOW - 0.001) == Refusal.NOT_YET_VALID
        assert verifier.verify(token, now=NOW) == ALICE
        assert verifier.verify(token, now=NOW + 59.999) == ALICE
        assert refused(verifier, token, now=NOW + 60) == Refusal.EXPIRED


def test_without_now_the_clock_decides(verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed()
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert verifier.verify(token) == ALICE
    monkeypatch.setattr(time, "time", lambda: NOW + 60)
    with pytest.raises(InvalidToken):
        verifier.verify(token)


# --- The memory for verified tokens -------------------------------------------------------------------------


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was really computed."""
    seen: list[str] = []
    decode: Callable[..., Any] = jwt.decode

    def counting(token: str, *args: Any, **options: Any) -> Any:
        seen.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    return seen


def test_a_verified_token_is_not_computed_again(verifier: TokenVerifier, decodings: list[str]) -> None:
    token, other = signed(), signed(sub="8")
    assert [verifier.verify(token, now=NOW) for _ in range(5)] == [ALICE] * 5
    assert verifier.verify(other, now=NOW).user_id == 8
    assert decodings == [token, other]


def test_a_refused_token_is_not_remembered(verifier: TokenVerifier, decodings: list[str]) -> None:
    token = signed(exp=NOW)
    for _ in range(2):
        assert refused(verifier, token) == Refusal.EXPIRED
    assert decodings == [token, token]


def test_a_rotation_empties_the_memory(decodings: list[str]) -> None:
    source = ReplaceableSecret(HMAC_KEY)
    verifier = TokenVerifier(source)
    token = signed()
    assert verifier.verify(token, now=NOW) == ALICE
    source.key_set = SharedSecret(OTHER_HMAC_KEY).current()
    assert refused(verifier, token) == Refusal.BAD_SIGNATURE
    source.key_set = SharedSecret(HMAC_KEY).current()
    assert verifier.verify(token, now=NOW) == ALICE
    assert decodings == [token] * 3


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, decodings: list[str]) -> None:
    monkeypatch.setattr(authentication, "VERIFIED_TOKENS_KEPT", 2)
    verifier = TokenVerifier(SharedSecret(HMAC_KEY))
    first, second, third = (signed(sub=sub) for sub in "123")
    for token in [first, second, third, third, second, first]:
        verifier.verify(token, now=NOW)
    assert decodings == [first, second, third, first]


def test_the_memory_does_not_hold_tokens(verifier: TokenVerifier) -> None:
    token = signed()
    verifier.verify(token, now=NOW)
    assert list(verifier._verified) == [hashlib.sha256(token.encode()).digest()]
    assert token not in repr(verifier._verified)


# --- Any text, any claims -----------------------------------------------------------------------------------


def outcome(verifier: TokenVerifier, token: str) -> Caller | Refusal:
    try:
        return verifier.verify(token, now=NOW)
    except InvalidToken as refusal:
        return refusal.reason


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@given(st.text() | st.lists(st.binary().map(segment), max_size=4).map(".".join))
def test_no_text_is_accepted_or_breaks_anything(text: str) -> None:
    assert isinstance(outcome(TokenVerifier(SharedSecret(HMAC_KEY)), text), Refusal)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "x5c"]), ANYTHING),
    st.dictionaries(st.sampled_from(["alg", "kid"]), st.sampled_from(["HS256", "RS256", "none", "r", None])),
)
def test_no_header_makes_a_forged_token_good(header: Claims, likely: Claims) -> None:
    token = forged(header | likely, claims(), PUBLIC_PEM)
    for keys in (SharedSecret(HMAC_KEY), FixedKeys(published(RSA_KEY, kid="r"))):
        assert isinstance(outcome(TokenVerifier(keys), token), Refusal)


TIMES_AND_RIGHTS = ["sub", "role", "roles", "exp", "nbf", "iat"]


@given(st.dictionaries(st.sampled_from(TIMES_AND_RIGHTS), ANYTHING, min_size=1))
def test_any_claims_give_a_sound_caller_or_a_refusal(changes: Claims) -> None:
    found = outcome(TokenVerifier(SharedSecret(HMAC_KEY)), signed(**changes))
    if isinstance(found, Caller):
        assert found.role == "customer"
        assert str(found.user_id) == changes.get("sub", "7")
        assert changes.get("exp", NOW + 60) > NOW


@given(email=ANYTHING, name=st.text())
def test_no_email_or_name_spoils_a_token(email: object, name: str) -> None:
    found = outcome(TokenVerifier(SharedSecret(HMAC_KEY)), signed(email=email, name=name))
    assert isinstance(found, Caller)
    for kept, claimed in [(found.email, email), (found.name, name)]:
        assert kept in (None, claimed)
        assert kept is None or len(kept.encode()) <= 255 * 4


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("ABCDEFabcdef0123456789-_.= "))
def test_one_changed_character_spoils_a_token(position: int, character: str) -> None:
    assume(GOOD[position] != character)
    token = GOOD[:position] + character + GOOD[position + 1 :]
    assert isinstance(outcome(TokenVerifier(SharedSecret(HMAC_KEY)), token), Refusal)


# --- Key sources --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "x" * 31, "é" * 15, PUBLIC_PEM.decode()])
def test_a_weak_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="the secret must") as caught:
        SharedSecret(secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("secret", ["x" * 32, "é" * 16])
def test_32_bytes_are_enough(secret: str) -> None:
    token = forged({"alg": "HS256"}, claims(), secret.encode())
    assert TokenVerifier(SharedSecret(secret)).verify(token, now=NOW) == ALICE


GOOD_ENTRY = published(RSA_KEY, kid="good")


@pytest.mark.parametrize(
    "entry",
    [
        published(EC_KEY, kid="x", use="enc"),
        published(EC_KEY, kid="x", use=["sig"]),
        published(EC_KEY, kid="x", alg="ES384"),
        published(EC_KEY, kid="x", alg="RS256"),
        published(EC_KEY, kid="x", alg="HS256"),
        published(EC_KEY, kid="x", key_ops=["sign"]),
        published(EC_KEY, kid="x", crv="P-384"),
        published(ec.generate_private_key(ec.SECP384R1()), kid="x"),
        published(EC_KEY, kid=7),
        published(EC_KEY, kid="x", x="AA"),
        published(EC_KEY, kid="x", y=None),
        published(EC_KEY, kid="x", kty="RSA"),
        published(EC_KEY, kid="x", kty=["EC"]),
        jwt.get_algorithm_by_name("ES256").to_jwk(EC_KEY, as_dict=True) | {"kid": "x"},
        published(rsa.generate_private_key(public_exponent=65537, key_size=1024), kid="x"),
        published(RSA_KEY, kid="x", n=""),
        published(RSA_KEY, kid="x", e="AQ"),
        published(RSA_KEY, kid="x", alg="PS256"),
        {"kty": "oct", "k": segment(HMAC_KEY.encode()), "kid": "x", "alg": "HS256"},
        {"kty": "OKP", "crv": "Ed25519", "x": segment(bytes(32)), "kid": "x"},
        {},
        [],
        None,
        "key",
    ],
)
def test_an_unusable_published_key_is_ignored(entry: object) -> None:
    key_set = parse_key_set(json.dumps({"keys": [entry, GOOD_ENTRY]}).encode())
    assert [key.key_id for key in key_set.keys] == ["good"]
    with pytest.raises(InvalidKeySet):
        parse_key_set(json.dumps({"keys": [entry]}).encode())


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"use": "sig"},
        {"use": None},
        {"alg": "ES256"},
        {"alg": None},
        {"key_ops": ["verify"]},
        {"key_ops": None},
        {"kid": None},
        {"x5c": [], "more": 1},
    ],
)
def test_a_usable_published_key_is_used(members: Claims) -> None:
    key_set = parse_key_set(json.dumps({"keys": [published(EC_KEY, kid="x") | members]}).encode())
    assert [key.algorithm_name for key in key_set.keys] == ["ES256"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[1]",
        b"7",
        b'"keys"',
        b'{"keys": 7}',
        b'{"keys": "keys"}',
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": []}',
        b"\xff",
        b"<html>",
    ],
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(InvalidKeySet):
        parse_key_set(body)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "crv", "x", "y", "n", "e"]), ANYTHING
    ),
    st.sampled_from([published(RSA_KEY), published(EC_KEY)]),
)
def test_no_published_key_breaks_the_others(changes: Claims, entry: Claims) -> None:
    key_set = parse_key_set(json.dumps({"keys": [entry | changes, GOOD_ENTRY]}).encode())
    assert "good" in {key.key_id for key in key_set.keys}


def test_order_and_decoration_do_not_make_another_key_set() -> None:
    first, second = published(RSA_KEY, kid="r"), published(EC_KEY, kid="e")
    sets = [[first, second], [second, first], [first | {"use": "sig"}, second | {"alg": "ES256"}]]
    prints = [parse_key_set(json.dumps({"keys": entries}).encode()).fingerprint for entries in sets]
    assert len(set(prints)) == 1
    assert prints[0] != parse_key_set(json.dumps({"keys": [first]}).encode()).fingerprint
    renamed = [first, second | {"kid": "f"}]
    assert prints[0] != parse_key_set(json.dumps({"keys": renamed}).encode()).fingerprint


# --- The header ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("blanks", [" ", "   "])
def test_the_token_of_a_header(scheme: str, blanks: str) -> None:
    assert bearer_token(f"{scheme}{blanks}{GOOD}") == GOOD


@pytest.mark.parametrize("header", [None, ""])
def test_a_missing_header(header: str | None) -> None:
    with pytest.raises(MissingToken) as caught:
        bearer_token(header)
    assert caught.value.code == "unauthorized"


BAD_HEADERS = [
    *(" ", "Bearer", "Bearer ", f"Bearer{GOOD}", f"Bearer\t{GOOD}", f" Bearer {GOOD}", f"Bearer {GOOD} "),
    *(f"Bearer {GOOD}\n", f"Bearer {GOOD}, Bearer {GOOD}", f"Bearer {GOOD} {GOOD}", f'Bearer "{GOOD}"', GOOD),
    *("Basic dXNlcjpwYXNz", f"Token {GOOD}", f"Bearer: {GOOD}", "Bearer é", "Bearer =a", "Bearer a=b"),
    "Bearer " + "x" * (8 * 1024 - 6),
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_a_bad_header(header: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        bearer_token(header)
    assert caught.value.reason == Refusal.MALFORMED
    assert not isinstance(caught.value, MissingToken)


def test_a_header_of_8_kib_is_not_too_long() -> None:
    token = "x" * (8 * 1024 - 7)
    assert bearer_token(f"Bearer {token}") == token


@given(st.sampled_from(["", "Bearer ", "bearer  ", "Basic "]), st.text() | st.text("aZ09-_.~+/= ,"))
def test_what_a_header_yields_is_one_clean_token(scheme: str, rest: str) -> None:
    try:
        token = bearer_token(scheme + rest)
    except SavError:
        return
    assert (scheme + rest).lower().startswith("bearer ")
    assert token == (scheme + rest)[7:].lstrip(" ")
    assert token.isascii()
    assert not set(token) & set(" ,")


# --- Minting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["customer", "agent", "admin"])
def test_a_minted_token_is_accepted(role: Any) -> None:
    token = mint_token(
        secret=HMAC_KEY,
        user_id=2**63 - 1,
        role=role,
        email="ada@example.org",
        name="Ada",
        lifetime_seconds=60,
        now=NOW + 0.5,
        issuer="shop",
        audience="sav",
    )
    verifier = TokenVerifier(SharedSecret(HMAC_KEY), issuer="shop", audience="sav")
    assert verifier.verify(token, now=NOW + 0.5) == Caller(2**63 - 1, role, "ada@example.org", "Ada")
    assert verifier.verify(token, now=NOW + 60.4).role == role
    assert refused(verifier, token, now=NOW + 61) == Refusal.EXPIRED
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_what_was_not_given_is_not_in_the_token(verifier: TokenVerifier) -> None:
    token = mint_token(secret=HMAC_KEY, user_id=7, role="customer", lifetime_seconds=60, now=NOW)
    assert verifier.verify(token, now=NOW) == ALICE
    assert set(jwt.decode(token, options={"verify_signature": False})) == {"sub", "role", "iat", "exp"}


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "x" * 31},
        {"role": "system"},
        {"role": "user"},
        {"user_id": 0},
        {"user_id": -1},
        {"user_id": 2**63},
        {"lifetime_seconds": 0},
        {"lifetime_seconds": -1},
    ],
)
def test_what_cannot_be_minted(changes: Claims) -> None:
    good: Claims = {"secret": HMAC_KEY, "user_id": 7, "role": "customer", "lifetime_seconds": 60, "now": NOW}
    assert mint_token(**good)
    with pytest.raises(ValueError, match=r"must|no token"):
        mint_token(**good | changes)


def test_the_caller_cannot_be_changed_in_the_memory(verifier: TokenVerifier) -> None:
    caller = verifier.verify(signed(), now=NOW)
    with pytest.raises(dataclasses.FrozenInstanceError):
        caller.role = "admin"  # type: ignore[misc]
    assert verifier.verify(signed(), now=NOW) == ALICE
