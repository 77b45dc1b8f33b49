"""The SQL of the probes, on the service's own tables; what a driver can do, and no more."""

import uuid
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson
import pymysql

from tests.servers.addresses import Address

Connection: TypeAlias = "pymysql.connections.Connection[Any]"

INSERT_TICKET = (
    "INSERT INTO support_tickets (ticket_number, user_id, subject, description, status, priority, category, "
    "source, tags, metadata, event_count, published_event_count, created_at, updated_at) "
    "VALUES (%s, %s, %s, %s, 'open', %s, %s, 'web', '[]', '{}', 1, 1, %s, %s)"
)
INSERT_EVENT = (
    "INSERT INTO ticket_events (event_id, ticket_id, sequence, published_sequence, name, data, changes, "
    "actor_id, actor_role, request_id, occurred_at) "
    "VALUES (%s, %s, 1, 1, 'ticket.created', %s, '{}', %s, 'customer', %s, %s)"
)
COLUMNS = (
    "id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, "
    "contact_email, contact_name, first_response_at, resolved_at, closed_at, escalated_at, resolution_notes, "
    "satisfaction_rating, satisfaction_comment, tags, metadata, reopen_count, version, created_at, updated_at"
)
TICKET = f"SELECT {COLUMNS} FROM support_tickets WHERE id = %s AND user_id = %s AND deleted_at IS NULL"  # noqa: S608
LIST = (
    f"SELECT {COLUMNS} FROM support_tickets WHERE user_id = %s AND deleted_at IS NULL "  # noqa: S608
    "ORDER BY created_at DESC, id DESC LIMIT 25"
)
MESSAGES = (
    "SELECT id, ticket_id, user_id, author_role, author_name, author_email, content, is_internal, is_read, "
    "read_at, version, created_at, updated_at FROM ticket_messages "
    "WHERE ticket_id = %s AND deleted_at IS NULL AND is_internal = 0 ORDER BY id LIMIT 100"
)


def connect(address: str) -> Connection:
    """A connection of the driver itself, as durable and as isolated as the service's own."""
    at = Address.parse(address)
    return pymysql.connect(
        host=at.host,
        port=at.port,
        database=at.path,
        user=at.user,
        password=at.password,
        charset="utf8mb4",
        # Commits are said; a BEGIN is not, which saves its round trip.
        autocommit=False,
        init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )


def open_ticket(connection: Connection, *, user_id: int, subject: str, description: str, **given: Any) -> int:
    """A ticket and its event in one transaction; returns the ticket's id."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    number, priority, category = uuid.uuid4().hex, given.get("priority", "normal"), given.get("category")
    with connection.cursor() as cursor:
        cursor.execute(INSERT_TICKET, (number, user_id, subject, description, priority, category, now, now))
        ticket_id = int(cursor.lastrowid)
        data = orjson.dumps({"ticket_id": ticket_id, "ticket_number": number, "subject": subject}).decode()
        cursor.execute(INSERT_EVENT, (str(uuid.uuid4()), ticket_id, data, user_id, number, now))
    connection.commit()
    return ticket_id


def rows(connection: Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
