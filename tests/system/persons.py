"""A person with a long history, written into the tables at once, and whether anything of them is left.

Black box: nothing here imports `sav`. The files are attached over HTTP, so that their objects are real.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pymysql

from tests.system.fleet import Fleet, token
from tests.system.foreign import Tables

MARKER = "qwxmarker"
EMAIL = f"{MARKER}@example.com"
AT = "2026-01-05 09:00:00.000000"
MESSAGES, FACTS, MAILS = 4, 4, 1
ROWS_A_TICKET = 1 + MESSAGES + FACTS + MAILS
"""One ticket stands for so many rows."""

_TICKET = (
    "INSERT INTO support_tickets (ticket_number, user_id, subject, description, status, priority, source, "
    "category, contact_email, contact_name, internal_notes, tags, metadata, satisfaction_rating, "
    "satisfaction_comment, first_response_at, resolved_at, closed_at, event_count, published_event_count, "
    "created_at, updated_at) "
    "VALUES (%s, %s, %s, %s, 'closed', 'high', 'web', 'delivery', %s, %s, %s, %s, %s, 4, %s, %s, %s, %s, 4, "
    "1, %s, %s)"
)
_MESSAGE = (
    "INSERT INTO ticket_messages (ticket_id, user_id, author_role, author_name, author_email, content, "
    "is_internal, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_FACT = (
    "INSERT INTO ticket_events (event_id, ticket_id, sequence, published_sequence, name, data, changes, "
    "actor_id, actor_role, occurred_at) VALUES (UUID(), %s, %s, %s, %s, %s, %s, %s, 'customer', %s)"
)
_MAIL = (
    "INSERT INTO mail_deliveries (message_id, ticket_id, sequence, kind, recipient, recipient_name, locale, "
    "state, due_at, sent_at, updated_at) VALUES (%s, %s, 1, 'received', %s, %s, 'fr', 'sent', %s, %s, "
    "UTC_TIMESTAMP(6))"
)


@contextmanager
def tables(settings: Mapping[str, str]) -> Iterator[pymysql.cursors.Cursor]:
    """A cursor on the service's database."""
    with Tables(settings).connection() as connection, connection.cursor() as cursor:
        yield cursor


def write_history(
    cursor: pymysql.cursors.Cursor, *, user_id: int, tickets: int, mark: str = MARKER
) -> list[int]:
    """So many closed tickets with what hangs on them, `mark` in all of it; gives their ids."""
    words, email = f"Words of {mark}", f"{mark}@example.com"
    # In one transaction: each commit would wait for the disk.
    cursor.execute("START TRANSACTION")
    cursor.executemany(
        _TICKET,
        [
            (
                f"WRITTEN-{user_id}-{n}", user_id, f"{mark} {n}", words, email, mark, words,
                json.dumps([mark]), json.dumps({"who": mark}), words, AT, AT, AT, AT, AT,
            )
            for n in range(tickets)
        ],
    )  # fmt: skip
    cursor.execute("SELECT id FROM support_tickets WHERE user_id = %s ORDER BY id", (user_id,))
    ids = [int(row[0]) for row in cursor.fetchall()]
    cursor.executemany(
        _MESSAGE,
        [
            (id_, user_id if n else 7, "customer" if n else "agent", mark, email, words, n == 0, AT, AT)
            for id_ in ids
            for n in range(MESSAGES)
        ],
    )
    changes = json.dumps({"subject": {"from": mark, "to": mark}})
    cursor.executemany(
        _FACT,
        [
            (
                id_, n + 1, None if n else 1, "ticket.updated" if n else "ticket.created",
                json.dumps({"ticket_id": id_, "user_id": user_id, "subject": mark}), changes, user_id, AT,
            )
            for id_ in ids
            for n in range(FACTS)
        ],
    )  # fmt: skip
    cursor.executemany(_MAIL, [(f"{id_}@written", id_, email, mark, AT, AT) for id_ in ids])
    cursor.execute("COMMIT")
    return ids


def attach_files(fleet: Fleet, ticket_ids: list[int], *, files: int) -> None:
    """Attaches files by an admin, in turn to each of the tickets."""
    headers = {"Authorization": f"Bearer {token('admin', 99)}"}
    with httpx.Client(base_url=fleet.url, headers=headers, timeout=60) as client:
        for number in range(files):
            path = f"/tickets/{ticket_ids[number % len(ticket_ids)]}/attachments"
            file = (f"{MARKER}-{number}.txt", f"bytes of {MARKER} {number}\n".encode() * 100)
            answer = client.post(path, files={"file": file})
            assert answer.status_code == 201, answer.text


def places_of(cursor: pymysql.cursors.Cursor, text: str) -> set[str]:
    """Every table and column in which a text stands, whatever tables there are."""
    cursor.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
    )
    found = set()
    for table, column in cursor.fetchall():
        cursor.execute(
            f"SELECT COUNT(*) FROM `{table}` WHERE LOWER(CAST(`{column}` AS CHAR)) LIKE %s",  # noqa: S608
            (f"%{text}%",),
        )
        if _one(cursor):
            found.add(f"{table}.{column}")
    return found


def count(cursor: pymysql.cursors.Cursor, query: str) -> int:
    """The one number that a query gives."""
    cursor.execute(query)
    return int(_one(cursor))


def _one(cursor: pymysql.cursors.Cursor) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]
