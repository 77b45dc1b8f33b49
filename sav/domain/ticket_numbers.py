"""What a ticket's number looks like."""

from datetime import date

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GUEST_SUFFIX_BYTES = 5


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
