"""What a ticket's number looks like, and what a guest's adds to it."""

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sav.domain.ticket_numbers import GUEST_SUFFIX_BYTES, ticket_number

DAY = date(2024, 1, 15)
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
secrets = st.binary(min_size=GUEST_SUFFIX_BYTES, max_size=GUEST_SUFFIX_BYTES)


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (1, "TICKET-20240115-001"),
        (42, "TICKET-20240115-042"),
        (999, "TICKET-20240115-999"),
        (1000, "TICKET-20240115-1000"),
        (123_456, "TICKET-20240115-123456"),
    ],
)
def test_three_digits_that_grow_when_they_must(sequence: int, expected: str) -> None:
    assert ticket_number(prefix="TICKET", day=DAY, sequence=sequence) == expected


def test_the_prefix_and_the_day_are_the_callers() -> None:
    assert ticket_number(prefix="SAV", day=date(2031, 12, 5), sequence=7) == "SAV-20311205-007"
    assert ticket_number(prefix="SAV", day=datetime(2031, 12, 5, 23, 59, tzinfo=UTC).date(), sequence=7) == (
        "SAV-20311205-007"
    )


@pytest.mark.parametrize(
    ("secret", "suffix"),
    [
        (b"\x00\x00\x00\x00\x00", "00000000"),
        (b"\xff\xff\xff\xff\xff", "ZZZZZZZZ"),
        (b"\x00\x00\x00\x00\x01", "00000001"),
        (b"\x08\x00\x00\x00\x00", "10000000"),
        (b"\x00\x44\x32\x14\xc7", "01234567"),
    ],
)
def test_a_guests_suffix_is_crockfords_base32(secret: bytes, suffix: str) -> None:
    number = ticket_number(prefix="TICKET", day=DAY, sequence=1, guest_secret=secret)
    assert number == f"TICKET-20240115-001-{suffix}"


def test_the_secret_has_forty_bits_at_least() -> None:
    assert GUEST_SUFFIX_BYTES * 8 >= 40


@given(secrets)
def test_no_bit_of_the_secret_is_lost(secret: bytes) -> None:
    suffix = ticket_number(prefix="T", day=DAY, sequence=1, guest_secret=secret).rpartition("-")[2]
    value = 0
    for letter in suffix:
        value = value * 32 + CROCKFORD.index(letter)
    assert value.to_bytes(GUEST_SUFFIX_BYTES) == secret


@given(st.integers(1, 10**7), st.dates(min_value=date(1970, 1, 1)), st.none() | secrets)
def test_a_number_tells_its_parts(sequence: int, day: date, secret: bytes | None) -> None:
    number = ticket_number(prefix="TICKET", day=day, sequence=sequence, guest_secret=secret)
    found = re.fullmatch(r"TICKET-(\d{8})-(\d{3,})(?:-([0-9A-HJKMNP-TV-Z]{8}))?", number)
    assert found, number
    assert datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC).date() == day
    assert int(found[2]) == sequence
    assert (found[3] is None) == (secret is None)
