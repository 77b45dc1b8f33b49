"""What a ticket's number looks like."""

import re
from datetime import date

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GUEST_SUFFIX_BYTES = 5
LONGEST_NUMBER = 64

_GUESTS = re.compile(r"(.+-[0-9]{8}-[0-9]{3,}-)([0-9A-Z]{8})")
_MISREAD = str.maketrans("OIL", "011")


def ticket_number(*, prefix: str, day: date, sequence: int, guest_secret: bytes | None = None) -> str:
    """`TICKET-20240115-001`; `day` is the UTC day, `sequence` counts from 1 within it.

    For guests the number alone opens the ticket, so theirs ends in a suffix made of `guest_secret`:
    `GUEST_SUFFIX_BYTES` random bytes, 40 bits that nobody can guess.
    """
    number = f"{prefix}-{day:%Y%m%d}-{sequence:03d}"
    return number if guest_secret is None else f"{number}-{_crockford(guest_secret)}"


def _crockford(secret: bytes) -> str:
    value, length = int.from_bytes(secret), len(secret) * 8 // 5
    return "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(length)))


def is_guests_number(number: str) -> bool:
    """Whether the ticket was a guest's when it was opened."""
    return _GUESTS.fullmatch(number) is not None


def number_as_written(text: str) -> str | None:
    """The number that somebody meant who typed `text`; None when it can be no ticket's.

    Capitals make no difference, nor does space around it, nor, in the guest's suffix, what Crockford's
    alphabet leaves out because people misread it. Each text means one number, so nothing is guessed sooner.
    """
    number = text.strip().upper()
    # `text`, because letters beyond ASCII may become some within it when they are made capitals.
    if not text.isascii() or not number.isprintable() or not 1 <= len(number) <= LONGEST_NUMBER:
        return None
    guests = _GUESTS.fullmatch(number)
    return guests[1] + guests[2].translate(_MISREAD) if guests else number
