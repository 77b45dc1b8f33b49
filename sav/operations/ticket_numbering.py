"""Hands out the sequence numbers of a day."""

from datetime import datetime

from sav.models.database import database, is_sqlite, transaction

_SERVER = (
    "INSERT INTO ticket_number_sequences (day, last_sequence) VALUES (%s, LAST_INSERT_ID(1)) "
    "ON DUPLICATE KEY UPDATE last_sequence = LAST_INSERT_ID(last_sequence + 1)"
)
_SQLITE = (
    "INSERT INTO ticket_number_sequences (day, last_sequence) VALUES (?, 1) "
    "ON CONFLICT (day) DO UPDATE SET last_sequence = last_sequence + 1 RETURNING last_sequence"
)


def next_sequence(now: datetime) -> int:
    """The next number of the UTC day of `now`, from 1; never the same twice.

    It commits by itself, before the ticket's own transaction: the day's row would otherwise be locked by
    every new ticket until its commit. A number whose ticket is then not written is never used.
    """
    day = f"{now:%Y%m%d}"
    if is_sqlite():
        with transaction():
            (sequence,) = database.execute_sql(_SQLITE, (day,)).fetchone()
            return int(sequence)
    # The server returns what LAST_INSERT_ID(…) was given with the statement's own answer.
    cursor = database.execute_sql(_SERVER, (day,))
    return int(cursor.lastrowid)
