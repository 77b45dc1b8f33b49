"""What every error looks like, and a look at the whole database to see that it changed nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jsonschema_rs
from falcon.testing import Result

from tests.plugins.desk import TABLES

PROBLEM = jsonschema_rs.Draft202012Validator(
    {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "pattern": "^urn:sav:problem:[a-z_]+$"},
            "title": {"type": "string", "minLength": 3},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "minLength": 10},
            "code": {"type": "string", "pattern": "^[a-z_]+$"},
            "request_id": {"type": "string", "pattern": "^[ -~]{1,128}$"},
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["field", "code", "message"],
                    "properties": {
                        "field": {"type": "string", "pattern": "^[A-Za-z0-9_.]*$"},
                        "code": {"type": "string", "pattern": "^[a-z_]+$"},
                        "message": {"type": "string", "minLength": 5},
                    },
                    "additionalProperties": False,
                },
            },
            "allowed": {"type": "array", "items": {"type": "string"}},
        },
        "additionalProperties": False,
    }
)


def problem(answer: Result, status: int, code: str, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Asserts that this is that problem, about these fields and no others; returns its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json
    PROBLEM.validate(document)
    assert document["status"] == status
    assert document["code"] == code, document
    assert document["type"] == f"urn:sav:problem:{code}"
    assert document["request_id"] == answer.headers["X-Request-ID"]
    named = sorted({error["field"] for error in document.get("errors", [])})
    assert named == sorted(fields or []), document
    return document


def every_row() -> dict[str, list[Any]]:
    """All rows of all tables, versions and counters included."""
    return {table.__name__: sorted(map(repr, table.select().tuples())) for table in TABLES}


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = every_row()
    yield
    assert every_row() == before
