"""Every error leaves as one kind of document: RFC 9457 `application/problem+json`."""

from typing import Any

import falcon
import orjson
import structlog

from sav.domain import errors
from sav.domain.rate_limits import RateLimited
from sav.domain.ticket_lifecycle import InvalidTransition
from sav.http.authentication import InvalidToken, KeysUnavailable, MissingToken
from sav.http.forms import LengthRequired, UploadsBusy
from sav.http.request_body import BodyTooSlow
from sav.http.requests import BadBody, BadQuery, BodyTooLarge, UnsupportedBody
from sav.http.routes import RETRY_AFTER_SECONDS
from sav.http.signed_files import RangeNotSatisfiable
from sav.models.database import (
    DATABASE_ERRORS,
    DatabaseUnavailable,
    drop_connection,
    is_connection_lost,
    is_out_of_space,
    is_passing,
)
from sav.operations.idempotency import AlreadyAnswered
from sav.queries.pages import InvalidCursor, PageTooDeep
from sav.queries.statement_limit import SearchTooSlow
from sav.storage.file_refusals import FileTypeNotAllowed
from sav.storage.object_store import StorageUnavailable

log = structlog.get_logger(__name__)


class DatabaseAway(errors.SavError):
    """The database does not answer right now; try again shortly."""

    code = "database_unavailable"


class StorageAway(errors.SavError):
    """The store of attachments does not answer right now; try again shortly."""

    code = "storage_unavailable"


# The first class that an error is an instance of decides.
STATUS_OF: tuple[tuple[type[errors.SavError], int], ...] = (
    (MissingToken, 401),
    (InvalidToken, 401),
    (KeysUnavailable, 503),
    (DatabaseAway, 503),
    (RateLimited, 429),
    (StorageAway, 503),
    (UploadsBusy, 503),
    (BodyTooSlow, 408),
    (LengthRequired, 411),
    (RangeNotSatisfiable, 416),
    (BadBody, 400),
    (BadQuery, 400),
    (InvalidCursor, 400),
    (PageTooDeep, 400),
    (BodyTooLarge, 413),
    (UnsupportedBody, 415),
    (FileTypeNotAllowed, 415),
    (SearchTooSlow, 503),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.StaleVersion, 412),
    (errors.Invalid, 422),
)

TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    411: "Length required",
    412: "Precondition failed",
    413: "Content too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Invalid",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


def register(app: falcon.App[Any, Any]) -> None:
    """Makes every way to fail end here."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _falcon_error)
    app.add_error_handler(errors.SavError, _sav_error)
    app.add_error_handler(AlreadyAnswered, _first_answer)
    app.add_error_handler(DatabaseUnavailable, _database_away)
    app.add_error_handler(StorageUnavailable, _storage_away)
    app.add_error_handler(DATABASE_ERRORS, _database_error)


def write_problem(
    req: falcon.Request, resp: falcon.Response, *, status: int, code: str, detail: str, **members: Any
) -> None:
    """Fills the answer with a problem document."""
    document = {
        "type": f"urn:sav:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": req.context.request_id,
        **members,
    }
    resp.status = status
    resp.content_type = "application/problem+json"
    resp.data = orjson.dumps(document)
    resp.text = None


def _sav_error(req: falcon.Request, resp: falcon.Response, error: errors.SavError, params: Any) -> None:
    status = next(status for kind, status in STATUS_OF if isinstance(error, kind))
    members: dict[str, Any] = {}
    if error.fields:
        members["errors"] = [
            {"field": item.field, "code": item.code, "message": item.message} for item in error.fields
        ]
    if isinstance(error, InvalidTransition):
        members["allowed"] = list(error.allowed)
    if isinstance(error, errors.StaleVersion):
        resp.set_header("ETag", f'"{error.current_revision}"')
    if status == 401:
        resp.set_header("WWW-Authenticate", "Bearer")
        log.info("token refused", action="authenticate", reason=getattr(error, "reason", "missing"))
    if isinstance(error, RangeNotSatisfiable):
        resp.set_header("Content-Range", f"bytes */{error.size}")
    if status in (429, 503):
        resp.set_header("Retry-After", str(getattr(error, "retry_after_seconds", RETRY_AFTER_SECONDS)))
    write_problem(req, resp, status=status, code=error.code, detail=error.detail, **members)


def _falcon_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
    status = falcon.http_status_to_code(error.status)
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "bad_request")
    detail = {404: errors.NotFound.public_sentence(), 405: "This resource does not allow that method."}
    if error.headers:
        resp.set_headers(error.headers)
    write_problem(
        req, resp, status=status, code=code, detail=detail.get(status, error.title or "The request is wrong.")
    )


def _first_answer(req: falcon.Request, resp: falcon.Response, replay: AlreadyAnswered, params: Any) -> None:
    resp.status = replay.answer.status
    resp.set_headers(replay.answer.headers)
    resp.set_header("Idempotency-Replayed", "true")
    resp.content_type = falcon.MEDIA_JSON
    resp.data = replay.answer.body.encode()


def _database_away(req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
    log.warning("database away", action="http_request", error=type(error).__name__)
    _sav_error(req, resp, DatabaseAway(), params)


def _storage_away(req: falcon.Request, resp: falcon.Response, error: StorageUnavailable, params: Any) -> None:
    log.warning("storage away", action="http_request", error=type(error.__cause__ or error).__name__)
    _sav_error(req, resp, StorageAway(), params)


def _database_error(req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
    if is_connection_lost(error):
        drop_connection()
        _database_away(req, resp, error, params)
    elif is_passing(error) or is_out_of_space(error):
        _database_away(req, resp, error, params)
    else:
        _unexpected(req, resp, error, params)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
    log.error("unexpected error", action="http_request", error=type(error).__name__, exc_info=error)
    write_problem(
        req, resp, status=500, code="internal", detail="Something went wrong here; quote the request id."
    )
