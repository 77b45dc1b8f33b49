"""What callers send, taken apart: path ids, query, body, conditions. Nothing unknown is ever ignored."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import falcon
import orjson
import pydantic
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic_core import ErrorDetails

from sav.domain.errors import FieldError, Invalid, NotFound, SavError
from sav.http.request_body import HungUp, RequestBody

MAX_BODY_BYTES = 1_048_576
"""The longest JSON body; the longest valid one is far shorter."""
BODY_SECONDS = 30
"""How long it may take to arrive."""
MAX_IDEMPOTENCY_KEY_LENGTH = 255
MAX_FORM_FIELDS = 20
LARGEST_ID = 2**63 - 1

Model = TypeVar("Model", bound=pydantic.BaseModel)

_ID = re.compile(r"[1-9][0-9]{0,18}")
_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_ETAGS = re.compile(rf"\s*{_ETAG.pattern}(?:\s*,\s*{_ETAG.pattern})*\s*")


class BadBody(SavError):
    """The body is not valid JSON in UTF-8, names a field twice, or has an integer beyond 64 bits."""

    code = "malformed_body"


class BadQuery(SavError):
    """The query string is wrong; `errors` names each wrong parameter."""

    code = "invalid_query"


class BadHeader(BadQuery):
    """A header is wrong."""

    code = "invalid_header"


class BodyTooLarge(SavError):
    """The body is longer than this service takes."""

    code = "body_too_large"


class UnsupportedBody(SavError):
    """The body must be JSON, with the content type application/json."""

    code = "unsupported_media_type"


def path_id(text: str) -> int:
    """An id from a path; raises `NotFound` for what can be no row's id."""
    if not _ID.fullmatch(text) or int(text) > LARGEST_ID:
        raise NotFound
    return int(text)


def parse_query(req: falcon.Request, model: type[Model]) -> Model:
    """The query string as `model`; raises `BadQuery` with every wrong or unknown parameter."""
    try:
        return model.model_validate(req.params)
    except pydantic.ValidationError as error:
        raise BadQuery(fields=_field_errors(error.errors(), "This parameter is not known.")) from None


def is_form(req: falcon.Request) -> bool:
    """Whether the body is what a page's form sends."""
    return (req.content_type or "").partition(";")[0].strip().lower() == falcon.MEDIA_URLENCODED


def parse_form(body: bytes, model: type[Model]) -> Model:
    """A form's fields as `model`; what was left empty was not given. Raises like `parse_body`."""
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=MAX_FORM_FIELDS, strict_parsing=bool(body))
    except ValueError:
        raise BadBody from None
    if len(dict(pairs)) < len(pairs):
        raise BadBody
    try:
        return model.model_validate_strings(dict(pairs), strict=False)
    except pydantic.ValidationError as error:
        raise Invalid(fields=_field_errors(error.errors(), "This field is not known.")) from None


def read_body(req: falcon.Request, *, form: bool = False) -> bytes:
    """The whole body, of JSON or, with `form`, of a form.

    Raises `UnsupportedBody`, `BodyTooLarge` or `BodyTooSlow`.
    """
    if (req.content_length or 0) > MAX_BODY_BYTES:
        raise BodyTooLarge
    body = _received(RequestBody(req, seconds=BODY_SECONDS))
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    if body and not _is_json(req.content_type) and not (form and is_form(req)):
        raise UnsupportedBody
    return body


def _received(body: RequestBody) -> bytes:
    pieces, size = [], 0
    try:
        while size <= MAX_BODY_BYTES and (piece := body.read(MAX_BODY_BYTES + 1 - size)):
            pieces.append(piece)
            size += len(piece)
    except HungUp:
        raise BadBody from None
    return b"".join(pieces)


def parse_body(body: bytes, model: type[Model]) -> Model:
    """The JSON body as `model`; raises `BadBody`, or `Invalid` with every wrong or unknown field."""
    try:
        content = orjson.loads(body)
        # What orjson lets pass: one name twice, of which it keeps the last, and integers that it rounds.
        _STRICTLY.decode(body.decode())
    except (ValueError, RecursionError):
        raise BadBody from None
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        raise Invalid(fields=_field_errors(error.errors(), "This field is not known.")) from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError


def _exact_integer(digits: str) -> None:
    if not -(2**63) <= int(digits) < 2**64:
        raise ValueError


_STRICTLY = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_int=_exact_integer)


def expected_versions(req: falcon.Request) -> frozenset[int] | None:
    """The versions that If-Match accepts; None when it accepts all."""
    header = req.get_header("If-Match")
    if header is None or header.strip() == "*":
        return None
    tags = [tag for weak, tag in _etags(header) if not weak]
    # An ETag begins with the version; what else it counts, as reads, is no reason to refuse a change.
    versions = (tag.partition(".")[0] for tag in tags)
    return frozenset(int(version) for version in versions if _ID.fullmatch(version))


def is_known_to_caller(req: falcon.Request, revision: str) -> bool:
    """Whether If-None-Match names this revision, so that the caller has it already."""
    header = req.get_header("If-None-Match")
    if header is None:
        return False
    return header.strip() == "*" or revision in {tag for _, tag in _etags(header)}


def _etags(header: str) -> list[tuple[str, str]]:
    """Each ETag of a list, with `W/` when it is weak; none at all of what is no list of them."""
    return _ETAG.findall(header) if _ETAGS.fullmatch(header) else []


def idempotency_key(req: falcon.Request) -> bytes | None:
    """The Idempotency-Key; raises `BadHeader` when it is empty or too long."""
    key = req.get_header("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH:
        raise BadHeader(f"Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} characters.")
    return key.encode("latin-1", "replace")


def seal_of(key: bytes) -> Fernet:
    """What encrypts an answer that holds a secret, under the Idempotency-Key that asks for it again."""
    derived = HKDF(hashes.SHA256(), length=32, salt=None, info=b"sav-service: stored answer").derive(key)
    return Fernet(urlsafe_b64encode(derived))


def fingerprint(req: falcon.Request, body: bytes) -> str:
    """SHA-256 of what makes two requests the same: method, path and body."""
    return hashlib.sha256(b"\n".join((req.method.encode(), req.path.encode(), body))).hexdigest()


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == falcon.MEDIA_JSON


def _field_errors(problems: Sequence[ErrorDetails], unknown: str) -> list[FieldError]:
    return [_field_error(problem, unknown) for problem in problems]


def _field_error(problem: ErrorDetails, unknown: str) -> FieldError:
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return FieldError(field, "unknown_field", unknown)
    code = {"value_error": "invalid_value", "assertion_error": "invalid_value"}.get(
        problem["type"], problem["type"]
    )
    message = _MESSAGES.get(problem["type"], problem["msg"])
    return FieldError(field, code, message.removeprefix("Value error, "))


# Where pydantic would speak of Python.
_MESSAGES = {
    "model_type": "The body must be a JSON object.",
    "dict_type": "Input should be a JSON object",
}


def repeatable(value: Any) -> Any:
    """A parameter that may be given several times arrives as a text when it is given once."""
    return [value] if isinstance(value, str) else value
