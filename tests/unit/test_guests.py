"""What guests hold: numbers, tokens, addresses; and what they may learn of others."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sav.domain.access_tokens import LONGEST_TOKEN, access_token, hash_of_token, is_token_of
from sav.domain.authorship import guest_facing_name
from sav.domain.email_addresses import mailbox
from sav.domain.events import AuthorRole
from sav.domain.ticket_numbers import number_as_written, ticket_number
from tests.factories.tickets import WRITTEN_AT

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
suffixes = st.text(alphabet=CROCKFORD, min_size=8, max_size=8)
secrets = st.binary(min_size=32, max_size=32)


@given(secrets)
def test_a_token_opens_what_was_stored_of_it(secret: bytes) -> None:
    token = access_token(secret)
    assert len(token) == 43
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert token not in hash_of_token(token)
    assert is_token_of(hash_of_token(token), token)


@given(secrets, st.text(max_size=300))
def test_nothing_else_does(secret: bytes, other: str) -> None:
    token = access_token(secret)
    for wrong in {other, token[:-1], token + "x", token.swapcase(), hash_of_token(token), token * 4} - {
        token
    }:
        assert not is_token_of(hash_of_token(token), wrong)


@given(st.text(max_size=2 * LONGEST_TOKEN))
def test_without_a_token_nothing_is_right(presented: str) -> None:
    assert not is_token_of(None, presented)


@given(st.binary(min_size=5, max_size=5), st.integers(1, 100_000))
def test_a_number_is_found_however_it_was_typed(secret: bytes, sequence: int) -> None:
    number = ticket_number(prefix="TICKET", day=WRITTEN_AT.date(), sequence=sequence, guest_secret=secret)
    head, suffix = number[:-8], number[-8:]
    for typed in (
        number,
        number.lower(),
        f" {number}\n",
        head + suffix.replace("0", "O").replace("1", "I"),
        head + suffix.replace("0", "o").replace("1", "l"),
    ):
        assert number_as_written(typed) == number


@given(st.text(max_size=80))
def test_what_a_text_means_means_itself(text: str) -> None:
    number = number_as_written(text)
    if number is not None:
        assert number_as_written(number) == number
        assert number.isascii()
        assert number.isprintable()
        assert 1 <= len(number) <= 64


@given(
    st.text(alphabet=CROCKFORD, min_size=8, max_size=8), st.text(alphabet=CROCKFORD, min_size=8, max_size=8)
)
def test_two_numbers_are_never_one(one: str, other: str) -> None:
    first, second = (number_as_written(f"TICKET-20260329-001-{suffix}") for suffix in (one, other))
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "TICKET\x00", "é", "\N{LATIN SMALL LETTER DOTLESS I}", "\N{KELVIN SIGN}", "x" * 65],
)
def test_what_can_be_no_number(text: str) -> None:
    assert number_as_written(text) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ana@Example.com", " ana@example.COM\n", True),
        ("ana@example.com", "ana@example.com", True),
        ("ana@example.com", "anä@example.com", False),
        ("josé@example.com", "jose\N{COMBINING ACUTE ACCENT}@example.com", False),
        ("kate@example.com", "\N{KELVIN SIGN}ate@example.com", False),
        ("ines@example.com", "\N{LATIN SMALL LETTER DOTLESS I}nes@example.com", False),
        ("strasse@example.com", "straße@example.com", False),
        ("ana+shop@example.com", "ana@example.com", False),
        ("a.na@example.com", "ana@example.com", False),
    ],
)
def test_when_two_addresses_are_one_mailbox(one: str, other: str, same: bool) -> None:
    assert (mailbox(one) == mailbox(other)) is same


@given(st.sampled_from(["agent", "admin", "guest", "customer"]), st.text(max_size=80))
def test_no_name_shows_an_address(role: AuthorRole, name: str) -> None:
    shown = guest_facing_name(role=role, name=name)
    assert shown.strip()
    assert "@" not in shown
