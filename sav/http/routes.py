"""How an HTTP request becomes a call of the desk: one decorator for every responder.

It authenticates, takes the request apart, hands the responder a `Call`, and writes its `Reply`. What it
knows of a responder is also what the OpenAPI document says of it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import falcon
import orjson
import structlog
from pydantic import BaseModel

from sav.domain.caller import NOBODY, Caller
from sav.domain.errors import Forbidden, NotFound
from sav.domain.occasion import Occasion
from sav.http.authentication import bearer_token
from sav.http.desk import Desk
from sav.http.documents import Document, page_document
from sav.http.forms import FileForm
from sav.http.pages import page_headers
from sav.http.payloads import Body, ListQuery, Query
from sav.http.rate_limits import Admission
from sav.http.request_body import discard
from sav.http.requests import (
    expected_versions,
    fingerprint,
    idempotency_key,
    is_form,
    is_known_to_caller,
    parse_body,
    parse_form,
    parse_query,
    path_id,
    read_body,
    seal_of,
)
from sav.models.database import ensure_connection
from sav.operations.idempotency import Answer, FirstAnswer
from sav.queries.guest_ticket import guest_with_token
from sav.queries.pages import Page, PageRequest

RETRY_AFTER_SECONDS = 2
"""What a caller is told to wait when the database, the store or the auth service is away."""

Callers = Literal["anyone", "guest", "authenticated", "staff", "admin"]
TEXTS_IN_PATHS: Mapping[str, str] = {
    "ticket_number": "The ticket's number, or its id where one writes.",
    "token": "The token of the link in a mail.",
}
"""Path parameters that are no ids, with what they mean."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a responder takes, gives, and to whom.

    `callers` is the door; who may do what to which ticket is decided behind it, where the ticket is known.
    A `guest` shows the access token of the ticket that the path names; `anyone` shows nothing, and acts as
    somebody who may do nothing (`NOBODY`).
    """

    summary: str
    callers: Callers
    limited: bool = True
    """Whether the rate limits hold, where no account is needed; only probes are without."""
    guessable: bool = False
    """Whether a 404 is a wrong guess at a number or a token, of which an address may make only a few."""
    answer: type[BaseModel]
    status: int = 200
    query: type[Query] = Query
    body: type[Body] | None = None
    body_optional: bool = False
    form: FileForm | None = None
    """Takes files. The responder receives them itself, once it knows that it wants them."""
    repeatable: bool = False
    """Takes an Idempotency-Key."""
    revisions: Literal["none", "read", "write"] = "none"
    """`read` gives an ETag and honours If-None-Match; `write` honours If-Match."""
    other_answers: tuple[int, ...] = ()
    """Statuses under which the same document is given too."""
    secret: bool = False
    """The answer holds a secret: what is kept of it for an Idempotency-Key is encrypted."""
    page: bool = False
    """Answers a page for people, a 404 too; `answer` is then not used."""
    body_as_form: bool = False
    """Takes the body as a form too, as pages send it."""
    problems: tuple[int, ...] = ()
    """Problem statuses beyond those that its parts imply."""

    @property
    def is_open(self) -> bool:
        """Whether no account is needed."""
        return self.callers in ("anyone", "guest")

    @property
    def is_limited(self) -> bool:
        """Whether the rate limits hold."""
        return self.is_open and self.limited

    @property
    def counts_guesses(self) -> bool:
        """Whether a 404 counts as a wrong guess."""
        return self.is_limited and (self.guessable or self.callers == "guest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a responder answers; `revision` becomes the ETag."""

    document: Document = field(default_factory=dict)
    content: bytes | None = None
    """The document's JSON, where it is made already."""
    status: int = 200
    revision: str | None = None
    location: str | None = None
    next_page: str | None = None
    page: str | None = None
    """HTML for people, instead of the document."""

    def ready(self) -> Reply:
        """The same with its JSON made, to be given as often as one likes."""
        return replace(self, document={}, content=orjson.dumps(self.document))

    @property
    def headers(self) -> dict[str, str]:
        headers = {"ETag": f'"{self.revision}"' if self.revision else None, "Location": self.location}
        if self.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if self.page is not None:
            headers |= page_headers()
        if self.next_page:
            headers["Link"] = f'<{self.next_page}>; rel="next"'
        return {name: value for name, value in headers.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, taken apart and found well-formed."""

    request: falcon.Request
    description: Description
    caller: Caller
    now: datetime
    ids: Mapping[str, int]
    texts: Mapping[str, str]
    """The path's parameters that are no ids."""
    admission: Admission | None
    """How far the rate limits go, where they hold."""
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

    @property
    def is_conditional(self) -> bool:
        """Whether the caller may have what they ask for already."""
        return self.request.get_header("If-None-Match") is not None

    @property
    def guests_ticket_id(self) -> int:
        """The ticket whose token a guest has shown; raises `NotFound` for anybody else."""
        if self.caller.ticket_id is None:
            raise NotFound
        return self.caller.ticket_id

    @property
    def identity(self) -> str:
        """Whose Idempotency-Keys these are: a user's in their role, or those of one guest's ticket."""
        caller = self.caller
        return f"{caller.role}:{caller.ticket_id if caller.role == 'guest' else caller.user_id}"

    @property
    def is_repeatable(self) -> bool:
        """Whether the caller sent an Idempotency-Key, and so may have asked before."""
        return idempotency_key(self.request) is not None

    def first_answer(
        self,
        reply_for: Callable[[T], Reply],
        *,
        identity: str | None = None,
        content: bytes | None = None,
    ) -> FirstAnswer[T] | None:
        """How the operation remembers its answer, when the caller sent an Idempotency-Key.

        `content` is what the body says, where the same can be said in different bytes.
        """
        key = idempotency_key(self.request)
        if key is None:
            return None

        def render(result: T) -> Answer:
            reply = reply_for(result)
            return Answer(reply.status, reply.headers, orjson.dumps(reply.document).decode())

        return FirstAnswer(
            caller=identity or self.identity,
            key_hash=hashlib.sha256(key).hexdigest(),
            fingerprint=fingerprint(self.request, self.body_bytes if content is None else content),
            render=render,
            seal=seal_of(key) if self.description.secret else None,
        )

    def page_reply(self, page: Page[T], render: Callable[[T, Caller], Document]) -> Reply:
        """A list's answer, with a link to its next page."""
        return Reply(document=page_document(page, self.caller, render), next_page=self.page_after(page))

    def page_after(self, page: Page[Any]) -> str | None:
        """The path of the next page, when there is one."""
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
            with _heard_out(req) if description.form else nullcontext():
                now = self.desk.clock()
                admission = _admit(self.desk, description, req, resp, now)
                try:
                    call = _call(self.desk, description, req, ids, now, admission)
                    _write(req, resp, function(self, call))
                except NotFound:
                    if admission and description.counts_guesses:
                        admission.wrong_guess()
                    raise

        respond.description = description  # type: ignore[attr-defined]
        return respond

    return decorate


def description_of(method: Any) -> Description | None:
    """What `responder` was told of a Falcon responder; None for one that was not made by it."""
    return getattr(method, "description", None)


@contextmanager
def _heard_out(req: falcon.Request) -> Iterator[None]:
    """Lets whoever still sends files hear why they are refused."""
    req.context.is_known = False
    try:
        yield
    except Exception:
        discard(req, of_stranger=not req.context.is_known)
        raise


def _admit(
    desk: Desk, description: Description, req: falcon.Request, resp: falcon.Response, now: datetime
) -> Admission | None:
    """Lets a stranger in as far as the rate limits go; nobody else is counted."""
    if not description.is_limited:
        return None
    # What a stranger is told is for nobody's cache, be it on disk or on the way.
    resp.set_header("Cache-Control", "private, no-store")
    ensure_connection()
    admission = desk.public_door.admission(req, resp, now=now)
    admission.enter(guessing=description.counts_guesses)
    return admission


def _call(
    desk: Desk,
    description: Description,
    req: falcon.Request,
    parameters: Mapping[str, str],
    now: datetime,
    admission: Admission | None,
) -> Call:
    # Who calls is settled before anything else is looked at: a stranger learns nothing from errors.
    caller = _caller(desk, description, req, parameters)
    req.context.is_known = True
    row_ids = {name: path_id(text) for name, text in parameters.items() if name not in TEXTS_IN_PATHS}
    texts = {name: text for name, text in parameters.items() if name in TEXTS_IN_PATHS}
    query = parse_query(req, description.query)
    body_bytes = read_body(req, form=description.body_as_form) if description.body else b""
    body = _parsed_body(description, body_bytes, is_form=description.body_as_form and is_form(req))
    if not description.is_open:
        ensure_connection()
        desk.roster.welcome(Occasion(caller, now, req.context.request_id))
    return Call(
        request=req,
        description=description,
        caller=caller,
        now=now,
        ids=row_ids,
        texts=texts,
        admission=admission,
        query=query,
        body=body,
        body_bytes=body_bytes,
        expected_versions=expected_versions(req),
    )


def _caller(
    desk: Desk, description: Description, req: falcon.Request, parameters: Mapping[str, str]
) -> Caller:
    match description.callers:
        case "anyone":
            return NOBODY
        case "guest":
            # Without a token, and for a path that names nothing, the same is done: it takes the same time.
            token = req.get_header("X-Ticket-Token") or ""
            guest = guest_with_token(reference=parameters["ticket_number"], token=token)
            structlog.contextvars.bind_contextvars(ticket_id=guest.ticket_id, caller_role=guest.role)
            return guest
        case _:
            return _authenticate(desk, description, req)


def _authenticate(desk: Desk, description: Description, req: falcon.Request) -> Caller:
    caller = desk.verifier.verify(bearer_token(req.get_header("Authorization")))
    structlog.contextvars.bind_contextvars(caller_id=caller.user_id, caller_role=caller.role)
    if description.callers == "staff" and not caller.is_staff:
        raise Forbidden
    if description.callers == "admin" and caller.role != "admin":
        raise Forbidden
    return caller


def _parsed_body(description: Description, body: bytes, *, is_form: bool) -> Body | None:
    if description.body is None:
        return None
    if is_form:
        return parse_form(body, description.body)
    if description.body_optional and not body:
        return description.body()
    return parse_body(body, description.body)


def _write(req: falcon.Request, resp: falcon.Response, reply: Reply) -> None:
    resp.set_headers(reply.headers)
    if req.method in ("GET", "HEAD") and reply.revision and is_known_to_caller(req, reply.revision):
        resp.status = 304
        return
    resp.status = reply.status
    if reply.page is not None:
        resp.content_type = falcon.MEDIA_HTML
        resp.text = reply.page
        return
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(reply.document) if reply.content is None else reply.content
