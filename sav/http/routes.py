"""How an HTTP request becomes a call of the desk: one decorator for every responder.

It authenticates, takes the request apart, hands the responder a `Call`, and writes its `Reply`. What it
knows of a responder is also what the OpenAPI document says of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import falcon
import orjson
import structlog
from pydantic import BaseModel

from sav.domain.caller import SYSTEM, Caller
from sav.domain.errors import Forbidden
from sav.domain.occasion import Occasion
from sav.http.authentication import bearer_token
from sav.http.desk import Desk
from sav.http.documents import Document, page_document
from sav.http.payloads import Body, ListQuery, Query
from sav.http.requests import (
    expected_versions,
    fingerprint,
    idempotency_key,
    is_known_to_caller,
    parse_body,
    parse_query,
    path_id,
    read_body,
)
from sav.models.database import ensure_connection
from sav.operations.idempotency import Answer, FirstAnswer
from sav.queries.pages import Page, PageRequest

RETRY_AFTER_SECONDS = 2
"""What a caller is told to wait when the database, the store or the auth service is away."""

Callers = Literal["anyone", "authenticated", "staff", "admin"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a responder takes, gives, and to whom.

    `callers` is the door; who may do what to which ticket is decided behind it, where the ticket is known.
    """

    summary: str
    callers: Callers
    answer: type[BaseModel]
    status: int = 200
    query: type[Query] = Query
    body: type[Body] | None = None
    body_optional: bool = False
    repeatable: bool = False
    """Takes an Idempotency-Key."""
    revisions: Literal["none", "read", "write"] = "none"
    """`read` gives an ETag and honours If-None-Match; `write` honours If-Match."""
    other_answers: tuple[int, ...] = ()
    """Statuses under which the same document is given too."""
    problems: tuple[int, ...] = ()
    """Problem statuses beyond those that its parts imply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a responder answers; `revision` becomes the ETag."""

    document: Document
    status: int = 200
    revision: str | None = None
    location: str | None = None
    next_page: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        headers = {"ETag": f'"{self.revision}"' if self.revision else None, "Location": self.location}
        if self.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if self.next_page:
            headers["Link"] = f'<{self.next_page}>; rel="next"'
        return {name: value for name, value in headers.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, taken apart and found well-formed."""

    request: falcon.Request
    caller: Caller
    now: datetime
    ids: Mapping[str, int]
    query: Any
    body: Any
    body_bytes: bytes
    expected_versions: frozenset[int] | None

    @property
    def occasion(self) -> Occasion:
        return Occasion(self.caller, self.now, self.request.context.request_id)

    @property
    def changes(self) -> dict[str, Any]:
        """Just the fields that the body names."""
        fields: dict[str, Any] = self.body.model_dump(exclude_unset=True)
        return fields

    @property
    def page(self) -> PageRequest:
        query: ListQuery = self.query
        return PageRequest(query.per_page, query.cursor, query.page, query.include_total)

    def has(self, revision: str) -> bool:
        """Whether the caller has this revision already, so that nothing but a 304 will be sent."""
        return is_known_to_caller(self.request, revision)

    def first_answer(self, reply_for: Callable[[T], Reply]) -> FirstAnswer[T] | None:
        """How the operation remembers its answer, when the caller sent an Idempotency-Key."""
        key_hash = idempotency_key(self.request)
        if key_hash is None:
            return None

        def render(result: T) -> Answer:
            reply = reply_for(result)
            return Answer(reply.status, reply.headers, orjson.dumps(reply.document).decode())

        return FirstAnswer(
            caller=f"{self.caller.role}:{self.caller.user_id}",
            key_hash=key_hash,
            fingerprint=fingerprint(self.request, self.body_bytes),
            render=render,
        )

    def page_reply(self, page: Page[T], render: Callable[[T, Caller], Document]) -> Reply:
        """A list's answer, with a link to its next page."""
        return Reply(document=page_document(page, self.caller, render), next_page=self._next(page))

    def _next(self, page: Page[Any]) -> str | None:
        if page.next_cursor is None:
            return None
        kept = {name: value for name, value in self.request.params.items() if name != "page"}
        query = urlencode({**kept, "cursor": page.next_cursor}, doseq=True)
        return f"{self.request.path}?{query}"


class Resource:
    """A resource knows its desk, and nothing else."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk


Responder = Callable[[Any, Call], Reply]


def responder(description: Description) -> Callable[[Responder], Callable[..., None]]:
    """Makes a Falcon responder of a function that takes a `Call` and returns a `Reply`."""

    def decorate(function: Responder) -> Callable[..., None]:
        @functools.wraps(function)
        def respond(self: Resource, req: falcon.Request, resp: falcon.Response, **ids: str) -> None:
            call = _call(self.desk, description, req, ids)
            _write(req, resp, function(self, call))

        respond.description = description  # type: ignore[attr-defined]
        return respond

    return decorate


def description_of(method: Any) -> Description | None:
    """What `responder` was told of a Falcon responder; None for one that was not made by it."""
    return getattr(method, "description", None)


def _call(desk: Desk, description: Description, req: falcon.Request, ids: Mapping[str, str]) -> Call:
    now = desk.clock()
    # Who calls is settled before anything else is looked at: a stranger learns nothing from errors.
    caller = SYSTEM if description.callers == "anyone" else _authenticate(desk, description, req)
    row_ids = {name: path_id(text) for name, text in ids.items()}
    query = parse_query(req, description.query)
    body_bytes = read_body(req) if description.body else b""
    body = _parsed_body(description, body_bytes)
    if description.callers != "anyone":
        ensure_connection()
        desk.roster.welcome(Occasion(caller, now, req.context.request_id))
    return Call(
        request=req,
        caller=caller,
        now=now,
        ids=row_ids,
        query=query,
        body=body,
        body_bytes=body_bytes,
        expected_versions=expected_versions(req),
    )


def _authenticate(desk: Desk, description: Description, req: falcon.Request) -> Caller:
    caller = desk.verifier.verify(bearer_token(req.get_header("Authorization")))
    structlog.contextvars.bind_contextvars(caller_id=caller.user_id, caller_role=caller.role)
    if description.callers == "staff" and not caller.is_staff:
        raise Forbidden
    if description.callers == "admin" and caller.role != "admin":
        raise Forbidden
    return caller


def _parsed_body(description: Description, body: bytes) -> Body | None:
    if description.body is None:
        return None
    if description.body_optional and not body:
        return description.body()
    return parse_body(body, description.body)


def _write(req: falcon.Request, resp: falcon.Response, reply: Reply) -> None:
    resp.set_headers(reply.headers)
    if req.method == "GET" and reply.revision and is_known_to_caller(req, reply.revision):
        resp.status = 304
        return
    resp.status = reply.status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(reply.document)
