"""The thinnest app that does the job: a token, a look at the input, SQL, an answer. Nothing else.

No idempotency, roles, request ids, logs, metrics, history, effects, problem documents, ETags, cursors. It is
what the service is measured against: what all of those cost together is the difference.

    PROBE_DATABASE=mysql://… PROBE_SECRET=… gunicorn benchmarks.probes.thinnest_app:app
"""

import os
import threading
from datetime import UTC, datetime
from typing import Any

import falcon
import jwt
import orjson

from benchmarks.probes.statements import (
    COLUMNS,
    LIST,
    MESSAGES,
    TICKET,
    Connection,
    connect,
    open_ticket,
    rows,
)

SECRET = os.environ["PROBE_SECRET"]
NAMES = [name.strip() for name in COLUMNS.split(",")]
JSON_COLUMNS = ("tags", "metadata")
_local = threading.local()


def connection() -> Connection:
    """This thread's own."""
    if not hasattr(_local, "connection"):
        _local.connection = connect(os.environ["PROBE_DATABASE"])
    found: Connection = _local.connection
    return found


def user(req: falcon.Request) -> int:
    try:
        claims = jwt.decode(
            (req.auth or "").removeprefix("Bearer "),
            SECRET,
            algorithms=["HS256"],
            options={"require": ["exp", "sub"]},
        )
        return int(claims["sub"])
    except (jwt.PyJWTError, ValueError):
        raise falcon.HTTPUnauthorized from None


def checked(body: Any) -> dict[str, Any]:
    """The fields of a new ticket, or 422."""
    if not isinstance(body, dict) or not {"subject", "description"} <= set(body):
        raise falcon.HTTPUnprocessableEntity
    subject, description = body["subject"], body["description"]
    priority = body.get("priority", "normal")
    if not (isinstance(subject, str) and 0 < len(subject.strip()) <= 255):
        raise falcon.HTTPUnprocessableEntity
    if not (isinstance(description, str) and 0 < len(description.strip()) <= 20_000):
        raise falcon.HTTPUnprocessableEntity
    if priority not in ("low", "normal", "high", "urgent"):
        raise falcon.HTTPUnprocessableEntity
    return {**body, "priority": priority}


def document(row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: orjson.loads(value) if name in JSON_COLUMNS else value
        for name, value in zip(NAMES, row, strict=True)
    }


class Tickets:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        owner = user(req)
        ticket = checked(orjson.loads(req.bounded_stream.read()))
        ticket_id = open_ticket(connection(), user_id=owner, **ticket)
        now = datetime.now(UTC)
        resp.status = 201
        resp.data = orjson.dumps(
            {**dict.fromkeys(NAMES), **ticket, "id": ticket_id, "user_id": owner, "created_at": now}
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [document(row) for row in rows(connection(), LIST, user(req))]
        resp.data = orjson.dumps({"data": found, "meta": {"per_page": 25}})


class Ticket:
    def on_get(self, req: falcon.Request, resp: falcon.Response, ticket_id: int) -> None:
        found = rows(connection(), TICKET, ticket_id, user(req))
        if not found:
            raise falcon.HTTPNotFound
        answer = document(found[0])
        if req.params:
            answer["messages"] = rows(connection(), MESSAGES, ticket_id)
        resp.data = orjson.dumps(answer)


app: falcon.App[Any, Any] = falcon.App()
app.add_route("/tickets", Tickets())
app.add_route("/tickets/{ticket_id:int}", Ticket())
