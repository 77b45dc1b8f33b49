"""Whatever is wrong with a request: a problem document that says so, never a 500, and nothing has changed."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from wsgiref.validate import WSGIWarning

import jwt
import peewee
import pytest
from falcon.testing import Result, create_environ
from structlog.testing import capture_logs

from sav.http.requests import MAX_BODY_BYTES
from sav.models.database import DatabaseUnavailable
from sav.models.tables import Event
from tests.http.problems import every_row, nothing_changes, problem
from tests.plugins.desk import SECRET, Api

TICKET = {"subject": "Lost parcel", "description": "It never came."}

# Every operation that takes a body: who calls it, and a body that it accepts.
BODIES: dict[str, tuple[str, str, Any]] = {
    "open": ("POST", "/tickets", TICKET),
    "put": ("PUT", "/tickets/{ticket}", {"subject": "Found"}),
    "patch": ("PATCH", "/tickets/{ticket}", {"subject": "Found"}),
    "assign": ("POST", "/tickets/{ticket}/assign", {"agent_id": 7}),
    "resolve": ("POST", "/tickets/{ticket}/resolve", {"resolution": "Sent again."}),
    "close": ("POST", "/tickets/{ticket}/close", {"reason": "Done."}),
    "rate": ("POST", "/tickets/{ticket}/satisfaction", {"rating": 5}),
    "reply": ("POST", "/tickets/{ticket}/messages", {"content": "Where is it?"}),
    "correct": ("PUT", "/tickets/{ticket}/messages/{message}", {"content": "Where?"}),
    "correct by patch": ("PATCH", "/tickets/{ticket}/messages/{message}", {"content": "Where?"}),
    "mark read": ("POST", "/tickets/{ticket}/messages/{message}/mark-read", {}),
    "mark all read": ("POST", "/tickets/{ticket}/messages/mark-all-read", {}),
    "agent": ("PUT", "/agents/7", {"capacity": 3}),
    "availability": ("PUT", "/agents/me/availability", {"available": True}),
    "guest opens": ("POST", "/public/tickets", {**TICKET, "email": "guest@example.com"}),
    "guest rates": ("POST", "/public/tickets/{number}/satisfaction", {"rating": 5}),
    "guest replies": ("POST", "/public/tickets/{number}/messages", {"content": "Where is it?"}),
}
WITH_REQUIRED_FIELDS = {"open", "rate", "reply", "resolve", "correct"}
OPTIONAL = {"close", "mark read", "mark all read"}


class Rows:
    """A ticket with a message, an agent on the roster, and who may write to all of them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.admin = api.admin(99)
        self.agent = api.agent(7)
        self.agent.get("/agents/me")
        # The admin's own, so that they may rate it too.
        self.ticket = self.admin.opened()["id"]
        answer = self.admin.post(f"/tickets/{self.ticket}/messages", {"content": "Hello?"})
        self.message = answer.json["id"]
        # A guest's, resolved, so that it can be rated.
        opened = api.post("/public/tickets", BODIES["guest opens"][2]).json
        self.number, self.token = opened["ticket_number"], opened["access_token"]
        self.admin.post(f"/tickets/{opened['id']}/resolve", {"resolution": "Found."})

    def send(self, operation: str, content: bytes | str, **headers: str) -> Result:
        method, path, _ = BODIES[operation]
        caller = self.agent if operation == "availability" else self.admin
        return caller.call(
            method,
            path.format(ticket=self.ticket, message=self.message, number=self.number),
            body=content,
            headers={"Content-Type": "application/json", "X-Ticket-Token": self.token, **headers},
        )

    def send_json(self, operation: str, document: Any) -> Result:
        return self.send(operation, json.dumps(document))


@pytest.fixture
def rows(api: Api) -> Rows:
    return Rows(api)


def test_the_bodies_of_this_module_are_accepted_otherwise(rows: Rows) -> None:
    for operation in ("put", "patch", "reply", "correct", "correct by patch", "mark read", "mark all read",
                      "agent", "availability", "assign", "resolve", "rate", "close", "open", "guest opens",
                      "guest rates", "guest replies"):  # fmt: skip
        answer = rows.send_json(operation, BODIES[operation][2])
        assert answer.status_code in (200, 201), (operation, answer.text)


DEEP = 100_000
MALFORMED: dict[str, bytes] = {
    "cut short": b'{"subject": ',
    "no JSON": b"subject=Lost",
    "single quotes": b"{'subject': 'Lost'}",
    "trailing comma": b'{"subject": "Lost",}',
    "comment": b'{"subject": "Lost"} // parcel',
    "two documents": b"{}{}",
    "white space only": b"  \n ",
    "NaN": b'{"subject": NaN}',
    "Infinity": b'{"subject": Infinity}',
    "-Infinity": b'{"subject": -Infinity}',
    "1e400": b'{"subject": 1e400}',
    "-1e400": b'{"subject": -1e400}',
    "2**64": b'{"subject": 18446744073709551616}',
    "-2**63 - 1": b'{"subject": -9223372036854775809}',
    "5000 digits": b'{"subject": ' + b"9" * 5000 + b"}",
    "invalid UTF-8": b'{"subject": "\xff\xfe"}',
    "overlong UTF-8": b'{"subject": "\xc0\x80"}',
    "surrogate in UTF-8": b'{"subject": "\xed\xa0\x80"}',
    "Latin-1": '{"subject": "été"}'.encode("latin-1"),
    "UTF-16": '{"subject": "Lost"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"subject": "Lost"}',
    "lone high surrogate": rb'{"subject": "\ud800"}',
    "lone low surrogate": rb'{"subject": "\udc00x"}',
    "surrogates in the wrong order": rb'{"subject": "\udc00\ud800"}',
    "bare NUL": b'{"subject": "a\x00b"}',
    "bare newline in a string": b'{"subject": "a\nb"}',
    "one name twice": b'{"subject": "Lost", "subject": "Found"}',
    "one name twice, spelled differently": rb'{"subject": "Lost", "\u0073ubject": "Found"}',
    "one name twice, inside": b'{"metadata": {"a": [{"b": 1, "b": 2}]}}',
    "deep, open": b"[" * DEEP,
    "deep, closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep in a field": b'{"metadata": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
}


def test_a_body_that_is_no_json(rows: Rows) -> None:
    with nothing_changes():
        for content in MALFORMED.values():
            for operation in BODIES:
                problem(rows.send(operation, content), 400, "malformed_body")


def test_an_empty_body_where_one_is_needed(rows: Rows) -> None:
    with nothing_changes():
        for operation in BODIES.keys() - OPTIONAL:
            problem(rows.send(operation, b""), 400, "malformed_body")


def test_an_empty_body_where_none_is_needed(rows: Rows) -> None:
    for operation in ("mark read", "mark all read", "close"):
        assert rows.send(operation, b"").status_code == 200


def test_a_body_that_is_no_object(rows: Rows) -> None:
    with nothing_changes():
        for document in (None, [], [{}], "text", 1, 1.5, True):
            for operation in BODIES:
                error = problem(rows.send_json(operation, document), 422, "invalid", [""])["errors"][0]
                assert error["message"] == "The body must be a JSON object."


def test_unknown_fields_are_each_named(rows: Rows) -> None:
    with nothing_changes():
        for operation, (_, _, body) in BODIES.items():
            answer = rows.send_json(operation, {**body, "id": 5, "Subject": "x"})
            errors = problem(answer, 422, "invalid", ["id", "Subject"])["errors"]
            assert {error["code"] for error in errors} == {"unknown_field"}


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels - 1):
        document = {"a": document}
    return document


TEXT = ["", " ", "\t\n ", "a\x00b", None, 5, True, [], {}]
WRONG: list[tuple[str, str, list[Any]]] = [
    ("open", "subject", [*TEXT, "x" * 256, "é" * 256, "🎁" * 256]),
    ("open", "description", [*TEXT, "x" * 20_001, "🎁" * 20_001]),
    ("open", "priority", ["", "URGENT", "highest", None, 3, ["low"], {}]),
    ("open", "source", ["", "fax", "Web", None, 1]),
    ("open", "category", ["", " ", "a\x00b", "x" * 101, 5, True, [], {}]),
    ("open", "tags", [None, "a", {}, 1, [str(number) for number in range(21)]]),
    ("open", "tags.0", [[""], [" "], ["a\x00b"], ["x" * 51], [None], [5], [["a"]], [{}]]),
    ("open", "tags.2", [["a", "b", ""]]),
    ("open", "metadata", [None, [], "x", 1, nested(22), {"a": "x" * 16_384}, {"é" * 8_192: 1}]),
    ("open", "user_id", [0, -1, 2**63, 2**64 - 1, 1.5, 1e300, "1", True, [], {}]),
    ("open", "contact_email", ["", "a", "a@", "@b.c", "a@b", "a b@c.d", "a@b@c.d", "a@b\x00.c", 5, [],
                               "x" * 250 + "@b.com"]),
    ("put", "subject", [*TEXT, "x" * 256]),
    ("put", "description", [*TEXT, "x" * 20_001]),
    ("put", "status", ["", "done", "OPEN", None, 1, []]),
    ("put", "priority", ["", None, "top"]),
    ("put", "tags", [None, "a", [str(number) for number in range(21)]]),
    ("put", "internal_notes", ["", " ", "a\x00b", 5, "x" * 20_001]),
    ("put", "metadata", [None, [], nested(22), {"a": "x" * 16_384}]),
    ("patch", "subject", [*TEXT, "x" * 256]),
    ("assign", "agent_id", [None, 0, -1, 2**63, "7", 7.5, True, [7]]),
    ("resolve", "resolution", [*TEXT, "x" * 20_001]),
    ("close", "reason", ["", " ", "a\x00b", 5, "x" * 501]),
    ("rate", "rating", [None, 0, 6, -1, 2.5, 2**63, "5", True, [5]]),
    ("reply", "content", [*TEXT, "x" * 20_001]),
    ("reply", "is_internal", [None, 0, 1, "true", []]),
    ("correct", "content", [*TEXT, "x" * 20_001]),
    ("agent", "name", ["", " ", "a\x00b", 5, "x" * 256]),
    ("agent", "email", ["", "nobody", 5]),
    ("agent", "active", [None, 1, "true"]),
    ("agent", "capacity", [None, -1, 10_001, 2**63, 1.5, "5", True]),
    ("agent", "categories", [None, "order", {}, ["x"] * 51]),
    ("agent", "categories.0", [[""], [None], [5], ["x" * 101]]),
    ("availability", "available", [None, 0, 1, "yes", []]),
    ("guest opens", "email", ["", "a", "a@", "@b.c", "a@b", "a b@c.d", "a@b@c.d", "a@b\x00.c", 5, [], None,
                              "a@b.c\r\nBcc: d@e.f", "a@b\x85.c", "a@b.c\x15", "a\x7f@b.c",
                              "x" * 250 + "@b.com"]),
    ("guest opens", "name", ["", " ", "a\x00b", 5, "x" * 256]),
    ("guest opens", "subject", [*TEXT, "x" * 256]),
    ("guest opens", "description", [*TEXT, "x" * 20_001]),
    ("guest opens", "category", ["", " ", "a\x00b", "x" * 101, 5]),
    ("guest opens", "locale", ["", "de", "FR", "fr-FR", 5, []]),
    # What staff, or customers, may say of a ticket, a guest may not.
    ("guest opens", "priority", ["urgent"]),
    ("guest opens", "source", ["phone"]),
    ("guest opens", "user_id", [1]),
    ("guest opens", "tags", [["vip"]]),
    ("guest opens", "metadata", [{"a": 1}]),
    ("guest opens", "contact_email", ["a@b.cd"]),
    ("guest opens", "access_token", ["mine"]),
    ("guest rates", "rating", [None, 0, 6, 2.5, "5", True]),
    ("guest replies", "content", [*TEXT, "x" * 20_001]),
    ("guest replies", "is_internal", [True, False]),
]  # fmt: skip


def test_a_wrong_field_is_named_and_no_other(rows: Rows) -> None:
    with nothing_changes():
        for operation, field, values in WRONG:
            required = operation in (
                "open",
                "rate",
                "reply",
                "resolve",
                "correct",
                "guest opens",
                "guest replies",
            )
            body = BODIES[operation][2] if required else {}
            for value in values:
                answer = rows.send_json(operation, {**body, field.partition(".")[0]: value})
                problem(answer, 422, "invalid", [field])


def test_every_wrong_field_is_named_at_once(rows: Rows) -> None:
    wrong = {
        "subject": 5, "description": "", "priority": "huge", "category": "", "tags": ["a", 3, ""],
        "metadata": [], "source": "fax", "user_id": 0, "contact_email": "nope", "contact_name": "",
        "surprise": 1,
    }  # fmt: skip
    with nothing_changes():
        answer = rows.send_json("open", wrong)
        problem(answer, 422, "invalid", [*(wrong.keys() - {"tags"}), "tags.1", "tags.2"])


def test_a_rule_between_fields_is_told_of_together_with_the_others(rows: Rows) -> None:
    with nothing_changes():
        answer = rows.send_json("open", {"description": "It never came.", "contact_name": "Zoé"})
        problem(answer, 422, "invalid", ["subject", "contact_name"])


def test_a_missing_field_is_named(rows: Rows) -> None:
    with nothing_changes():
        problem(rows.send_json("open", {}), 422, "invalid", ["subject", "description"])
        problem(rows.send_json("guest opens", {}), 422, "invalid", ["email", "subject", "description"])
        for operation, field in {
            "assign": "agent_id", "resolve": "resolution", "rate": "rating", "reply": "content",
            "correct": "content", "availability": "available", "guest rates": "rating",
            "guest replies": "content",
        }.items():  # fmt: skip
            errors = problem(rows.send_json(operation, {}), 422, "invalid", [field])["errors"]
            assert errors[0]["code"] == "missing"


def test_what_just_fits_is_taken_and_comes_back_unchanged(rows: Rows) -> None:
    fits = {
        "subject": "🎁" * 255,
        "description": "é" * 19_999 + "\n",
        "category": "x" * 100,
        "tags": [f"{number:050}" for number in range(20)],
        "metadata": {
            "deep": nested(20),
            "big": 2**64 - 1,
            "small": -(2**63),
            "\x00": "\x00",
            "": [None, 1.5],
        },
        "user_id": 2**63 - 1,
        "contact_email": "x" * 249 + "@b.com",
        "contact_name": "z" * 255,
    }
    answer = rows.send_json("open", fits)

    assert answer.status_code == 201, answer.text
    stored = rows.admin.get(answer.headers["Location"]).json
    assert {name: stored[name] for name in fits} == fits


def test_whole_numbers_may_be_written_with_a_fraction_of_zero(rows: Rows) -> None:
    rows.send_json("resolve", {"resolution": "Sent again."})
    answer = rows.send("rate", b'{"rating": 4.0}')
    assert answer.json["satisfaction_rating"] == 4


# Bodies of a size


class Stream(io.BytesIO):
    """Counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


def send_raw(rows: Rows, content: Stream, **environ: str) -> Result:
    """A POST of a ticket as the server hands it over, with or without a length."""
    full = create_environ(path="/tickets", method="POST", headers=rows.admin.headers)
    full.update({"wsgi.input": content, "CONTENT_TYPE": "application/json", **environ})
    head: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        head.update(status=status, headers=headers)

    body = rows.api.client.app(full, start_response)
    return Result(body, head["status"], head["headers"])


def ticket_of(size: int) -> bytes:
    """A ticket's JSON, as long as asked for by its white space."""
    return json.dumps(TICKET).encode().ljust(size)


def test_a_mebibyte_is_taken_and_a_byte_more_is_not(rows: Rows) -> None:
    fits, too_long = ticket_of(MAX_BODY_BYTES), ticket_of(MAX_BODY_BYTES + 1)
    assert MAX_BODY_BYTES == 1024 * 1024
    assert rows.send("open", fits).status_code == 201
    assert send_raw(rows, Stream(fits), HTTP_TRANSFER_ENCODING="chunked").status_code == 201
    with nothing_changes():
        for operation in BODIES:
            problem(rows.send(operation, too_long), 413, "body_too_large")


def test_a_long_body_with_a_length_is_not_even_read(rows: Rows) -> None:
    stream = Stream(ticket_of(MAX_BODY_BYTES + 1))
    with nothing_changes():
        problem(send_raw(rows, stream, CONTENT_LENGTH=str(10**12)), 413, "body_too_large")
    assert stream.taken == 0


def test_a_long_body_without_a_length_is_read_no_further_than_the_limit(rows: Rows) -> None:
    stream = Stream(b" " * (3 * MAX_BODY_BYTES))
    with nothing_changes():
        problem(send_raw(rows, stream, HTTP_TRANSFER_ENCODING="chunked"), 413, "body_too_large")
    assert stream.taken <= MAX_BODY_BYTES + 1


def test_a_length_that_is_none(rows: Rows) -> None:
    with nothing_changes():
        for length in ("-1", "abc", "1.5", "0x10", "9" * 5000):
            answer = send_raw(rows, Stream(ticket_of(100)), CONTENT_LENGTH=length)
            problem(answer, 400, "bad_request")


def test_a_body_shorter_than_its_length_is_malformed(rows: Rows) -> None:
    with nothing_changes():
        problem(send_raw(rows, Stream(b'{"subject": '), CONTENT_LENGTH="500"), 400, "malformed_body")


OTHER_TYPES = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
    "application/jsonp", "text/json", "application/problem+json", "json", ";", "", "application / json",
]  # fmt: skip


def test_a_body_of_another_type(rows: Rows) -> None:
    with nothing_changes():
        for content_type in OTHER_TYPES:
            for operation, (_, _, body) in BODIES.items():
                answer = rows.send(operation, json.dumps(body), **{"Content-Type": content_type})
                problem(answer, 415, "unsupported_media_type")


def test_the_ways_to_say_json(rows: Rows) -> None:
    for content_type in ("application/json", "APPLICATION/JSON", "application/json; charset=utf-8"):
        answer = rows.send("open", json.dumps(TICKET), **{"Content-Type": content_type})
        assert answer.status_code == 201


# Paths and query strings

NO_IDS = [
    "0", "-1", "+1", "01", "1.0", "1e3", "1,2", "abc", "null", "NaN", str(2**63), str(2**64), "9" * 5000,
    "%00", "1%00", "%0A1", "1%0A", "%20", "1%20", "%2F", "%25", "%C3%A9", "%FF", "%F0%9F%8E%81", "٣", "'1'",
    "1;--", "*", "{}",
]  # fmt: skip


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    answer: dict[str, Any] = api.get("/openapi.json").json
    return answer


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            # What is beside the API takes no parameters of ours, and none of our bodies.
            if operation["tags"] != ["service"]:
                yield method.upper(), path, operation


def test_ids_that_are_none(rows: Rows, document: dict[str, Any]) -> None:
    good = {"{ticket_id}": str(rows.ticket), "{message_id}": str(rows.message), "{user_id}": "7",
            "{export_id}": "7", "{erasure_id}": "7"}  # fmt: skip
    asked = 0
    with nothing_changes():
        for method, path, _ in operations(document):
            body = TICKET if method in ("POST", "PUT", "PATCH") else None
            for wrong in (name for name in good if name in path):
                for no_id in NO_IDS:
                    ids = {**good, wrong: no_id if no_id.startswith("%") else quote(no_id, safe=";*'{}%")}
                    problem(rows.admin.call(method, filled(path, ids), body), 404, "not_found")
                    asked += 1
    assert asked >= 20 * len(NO_IDS)


def filled(path: str, ids: dict[str, str]) -> str:
    for name, text in ids.items():
        path = path.replace(name, text)
    return path


def is_page(path: str) -> bool:
    """Where the links in mails lead: what is wrong there is said to people, in test_mail_links.py."""
    return path.endswith("/{token}")


def test_rows_that_are_not_there(rows: Rows, document: dict[str, Any]) -> None:
    bodies = {(method, path): body for method, path, body in BODIES.values()}
    names = (
        "ticket_id",
        "message_id",
        "user_id",
        "ticket_number",
        "attachment_id",
        "export_id",
        "erasure_id",
    )
    ids = dict.fromkeys(names, 2**63 - 1)
    with nothing_changes():
        for method, path, _ in operations(document):
            # An admin's PUT adds an agent.
            if "{" not in path or (method, path) == ("PUT", "/agents/{user_id}") or is_page(path):
                continue
            template = path.replace("{ticket_id}", "{ticket}").replace("{message_id}", "{message}")
            body = bodies.get((method, template), {} if method == "POST" else None)
            problem(rows.admin.call(method, path.format(**ids), body), 404, "not_found")


def test_an_unknown_parameter_is_named_wherever_it_is_sent(rows: Rows, document: dict[str, Any]) -> None:
    ids = {"ticket_id": rows.ticket, "message_id": rows.message, "user_id": 7, "attachment_id": 7,
           "ticket_number": rows.number, "export_id": 7, "erasure_id": 7}  # fmt: skip
    token = {"X-Ticket-Token": rows.token}
    with nothing_changes():
        for method, path, operation in operations(document):
            if is_page(path):
                continue
            body = TICKET if "requestBody" in operation else None
            caller = rows.admin if "security" in operation else rows.api
            answer = caller.call(
                method, path.format(**ids), body, query_string="surprise=1&Status=open", headers=token
            )
            errors = problem(answer, 400, "invalid_query", ["surprise", "Status"])["errors"]
            assert {error["message"] for error in errors} == {"This parameter is not known."}


def test_a_parameter_with_a_strange_name(rows: Rows) -> None:
    for name in ("%00", "%FF", "%C3%A9", "a%20b", "status[]", "page.1"):
        answer = rows.admin.get("/tickets", query_string=f"{name}=1")
        assert answer.status_code == 400
        assert answer.json["errors"][0]["code"] == "unknown_field"


BAD_QUERIES: dict[str, list[str]] = {
    "per_page": ["", "0", "-1", "101", "1.0", "1e1", "1_0", "+5", "%201", "x", str(2**63), "9" * 5000],
    "page": ["", "0", "-1", "1.0", "x", str(2**63), str(2**64), "9" * 5000],
    "include_total": ["", "maybe", "2", "null"],
    "cursor": ["", "a" * 501],
    "status": ["", "OPEN", "done", "open,closed", "%00", "open%00"],
    "priority": ["", "URGENT", "1"],
    "source": ["", "fax"],
    "category": ["", "%20", "a%00b", "x" * 101],
    "tag": ["", "%20", "a%00b", "x" * 51],
    "assigned_to": ["", "0", "-1", "ME", "nobody", "1.0", "%201", str(2**63), "9" * 5000],
    "user_id": ["", "0", "-1", "me", "1.0", "abc", str(2**63), "9" * 5000],
    "created_from": ["", "today", "2026", "2026-02-30", "2026-13-01", "2026-3-29", "2026-W13-7", "1774780200",
                     "2026-03-29T10:30:00", "2026-03-29T25:00:00Z", "2026-03-29T10:30:00+25:00",
                     # A "+" that is not encoded is a space: no offset, which is not the same as UTC.
                     "2026-03-29T10:30:00+02:00", "0001-01-01T00:00:00%2B23:59", "0000-01-01", "0999-12-31",
                     "9999-12-31T23:59:59-10:00", "10000-01-01", "%00", "2026-03-29%00", "-1"],
    "created_to": ["", "yesterday", "2026-03-32", "0001-01-01", "9999-12-31T23:59:59-10:00"],
    "updated_from": ["", "now", "2026-03-29T10", "0001-01-01T00:00:00Z"],
    "q": ["", "%20%20", "a%00b", "x" * 201],
    "sort": ["", "id", "priority", "-id", "created_at,id", "%2Bcreated_at", "created_at;", "1"],
}  # fmt: skip
REPEATABLE = {"status", "priority", "source", "category", "tag"}


def test_a_wrong_parameter_is_named(rows: Rows) -> None:
    with nothing_changes():
        for name, value in ((name, value) for name, values in BAD_QUERIES.items() for value in values):
            answer = rows.admin.get("/tickets", query_string=f"{name}={value}")
            problem(answer, 400, "invalid_query", [f"{name}.0" if name in REPEATABLE else name])


def test_a_cursor_that_was_made_up(rows: Rows) -> None:
    with nothing_changes():
        for path in (
            "/tickets",
            f"/tickets/{rows.ticket}/messages",
            f"/tickets/{rows.ticket}/history",
            "/agents",
        ):
            for cursor in (
                "x",
                "%00",
                "%FF",
                "%C3%A9",
                "%20",
                "a" * 500,
                "W10",
                "bnVsbA",
                "e30",
                "-_",
                "====",
            ):
                problem(rows.admin.get(path, query_string=f"cursor={cursor}"), 400, "invalid_cursor")


def test_parameters_that_may_not_be_repeated(rows: Rows) -> None:
    for name, value in (("per_page", "5"), ("page", "1"), ("cursor", "x"), ("include_total", "true"),
                        ("assigned_to", "me"), ("user_id", "1"), ("created_from", "2026-01-01"), ("q", "a"),
                        ("sort", "created_at")):  # fmt: skip
        answer = rows.admin.get("/tickets", query_string=f"{name}={value}&{name}={value}")
        problem(answer, 400, "invalid_query", [name])


def test_every_wrong_parameter_is_named_at_once(rows: Rows) -> None:
    query = "per_page=0&page=x&status=open&status=done&sort=id&q=&surprise=1"
    answer = rows.admin.get("/tickets", query_string=query)
    problem(answer, 400, "invalid_query", ["per_page", "page", "status.1", "sort", "q", "surprise"])


NO_PATHS = [
    "/", "/ticket", "/tickets/1/2/3", "/tickets//messages", "/%00", "/%FF", "/%2e%2e/etc/passwd", "/é",
    "/tickets/1/messages/1/mark-read/x", "/docs/../setup.cfg", "/docs/nothing.js",
]  # fmt: skip
NO_METHODS = [
    ("DELETE", "/tickets"), ("PUT", "/tickets"), ("GET", "/tickets/1/close"), ("POST", "/tickets/1"),
    ("POST", "/health"), ("TRACE", "/tickets"),
]  # fmt: skip


def test_paths_and_methods_that_do_not_exist(rows: Rows) -> None:
    with nothing_changes():
        for path in NO_PATHS:
            problem(rows.admin.get(path), 404, "not_found")
        for method, path in NO_METHODS:
            answer = rows.admin.call(method, path)
            problem(answer, 405, "method_not_allowed")
            assert method not in answer.headers["Allow"].split(", ")
        with pytest.warns(WSGIWarning, match="BREW"):
            problem(rows.admin.call("BREW", "/tickets"), 400, "bad_request")


# Who calls


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    whole = {"sub": "1", "role": "admin", "exp": time.time() + 600, **claims}
    sent = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(sent, secret, algorithm=algorithm)


def foreign_tokens() -> dict[str, str | None]:
    head, body, signature = token().split(".")
    return {
        "none": None,
        "empty": "",
        "no scheme": token(),
        "another scheme": f"Basic {token()}",
        "no token": "Bearer ",
        "two tokens": f"Bearer {token()} {token()}",
        "garbage": "Bearer abc",
        "not ASCII": "Bearer é",
        "expired": f"Bearer {token(exp=time.time() - 1)}",
        "never expires": f"Bearer {token(exp=None)}",
        "not yet valid": f"Bearer {token(nbf=time.time() + 600)}",
        "another key": f"Bearer {token(secret='another secret, long enough for HS256')}",
        "unsigned": f"Bearer {head}.{body}.",
        "algorithm none": f"Bearer {jwt.encode({'sub': '1', 'role': 'admin'}, None, algorithm='none')}",
        "another algorithm": f"Bearer {token(secret=SECRET * 2, algorithm='HS512')}",
        "another signature": f"Bearer {head}.{body}.{signature[::-1]}",
        "another body": f"Bearer {head}.{token(sub='2').split('.')[1]}.{signature}",
        "no subject": f"Bearer {token(sub=None)}",
        "subject 0": f"Bearer {token(sub='0')}",
        "subject 2**63": f"Bearer {token(sub=str(2**63))}",
        "no role": f"Bearer {token(role=None)}",
        "role system": f"Bearer {token(role='system')}",
        "very long": f"Bearer {'a' * 20_000}",
    }


def test_a_token_that_is_not_good(rows: Rows) -> None:
    # Whatever else is wrong, a stranger is told nothing of it.
    requests = [
        ("GET", "/tickets", "surprise=1"), ("POST", "/tickets", ""), ("GET", "/tickets/abc", ""),
        ("DELETE", f"/tickets/{rows.ticket}", ""), ("PUT", "/agents/7", ""),
    ]  # fmt: skip
    with nothing_changes():
        for case, header in foreign_tokens().items():
            for method, path, query in requests:
                headers = {} if header is None else {"Authorization": header}
                answer = rows.api.call(method, path, body=b"{", query_string=query, headers=headers)
                assert answer.status_code == 401, case
                problem(answer, 401, "unauthorized")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert "expired" not in answer.text


def test_every_operation_that_is_no_open_door_asks_for_a_token(rows: Rows, document: dict[str, Any]) -> None:
    ids = {"ticket_id": rows.ticket, "message_id": rows.message, "user_id": 7, "attachment_id": 7,
           "export_id": 7, "erasure_id": 7}  # fmt: skip
    open_to_all = {"/health", "/status", "/ready", "/public/tickets", "/public/tickets/{ticket_number}"}
    with nothing_changes():
        for method, path, operation in operations(document):
            assert ("security" in operation) == (path not in open_to_all and not is_page(path))
            if operation.get("security") == [{"ticketToken": []}]:
                # To whoever has not its token, the ticket is not there.
                refused = rows.api.call(method, path.format(ticket_number=rows.number, attachment_id=7))
                problem(refused, 404, "not_found")
            elif "security" in operation:
                problem(rows.api.call(method, path.format(**ids)), 401, "unauthorized")


# Headers


def test_an_idempotency_key_that_is_none(rows: Rows) -> None:
    with nothing_changes():
        for key in ("", "x" * 256, "x" * 5000):
            for operation in ("open", "reply", "guest opens", "guest replies"):
                answer = rows.send(operation, json.dumps(BODIES[operation][2]), **{"Idempotency-Key": key})
                problem(answer, 400, "invalid_header")


def test_an_idempotency_key_that_comes_with_another_body(rows: Rows) -> None:
    rows.send("reply", b'{"content": "one"}', **{"Idempotency-Key": "k"})
    with nothing_changes():
        answer = rows.send("reply", b'{"content": "two"}', **{"Idempotency-Key": "k"})
        problem(answer, 422, "idempotency_mismatch")


GARBLED = [
    '"999.0"', '"0"', '""', "2.0", 'W/"2.0"', 'w/"2.0"', 'x"2.0"', '"2.0" x', '"2.0', "*,*", "**", "", ",",
    '"3.0";"2.0"', '"-2.0"', '"2e0.0"', '"' + "9" * 5000 + '"', '"é"', "\x01", '"2.0", garbage',
]  # fmt: skip


def test_an_if_match_that_matches_nothing(rows: Rows) -> None:
    """A condition that cannot hold refuses the request, and is never taken for none."""
    rows.send_json("put", {"subject": "Second version"})
    rows.send_json("correct", {"content": "Second version"})
    conditional = ("put", "patch", "assign", "resolve", "close", "rate", "correct", "correct by patch")
    with nothing_changes():
        for etag in GARBLED:
            for operation in conditional:
                answer = rows.send(operation, json.dumps(BODIES[operation][2]), **{"If-Match": etag})
                problem(answer, 412, "stale_version")
            for path in (f"/tickets/{rows.ticket}", f"/tickets/{rows.ticket}/messages/{rows.message}"):
                problem(rows.admin.delete(path, headers={"If-Match": etag}), 412, "stale_version")


SANE = ["x", "a b", "0af7651916cd43dd8448eb211c80319c", "a" * 128, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]
INSANE = ["", "a" * 129, "é", "a\tb", "a\x00b", "a\x7fb", "\x1b[31m", "a" * 10_000]


@pytest.mark.parametrize("request_id", SANE, ids=range(len(SANE)))
def test_a_sane_request_id_is_echoed_and_recorded(rows: Rows, request_id: str) -> None:
    headers = {"X-Request-ID": request_id}
    opened = rows.admin.post("/tickets", TICKET, headers=headers)
    assert opened.headers["X-Request-ID"] == request_id
    assert rows.admin.get("/health", headers=headers).headers["X-Request-ID"] == request_id
    assert Event.get(Event.ticket_id == opened.json["id"]).request_id == request_id
    for answer in (
        rows.api.get("/tickets", headers=headers),
        rows.admin.get("/nowhere", headers=headers),
        rows.admin.post("/tickets", {}, headers=headers),
        rows.admin.get("/tickets", query_string="page=0", headers=headers),
    ):
        assert answer.headers["X-Request-ID"] == answer.json["request_id"] == request_id


def test_an_insane_request_id_is_replaced(rows: Rows) -> None:
    given: set[str] = set()
    for request_id in INSANE:
        headers = {"X-Request-ID": request_id}
        opened = rows.admin.post("/tickets", TICKET, headers=headers)
        refused = rows.admin.get("/nowhere", headers=headers)
        given |= {opened.headers["X-Request-ID"], refused.headers["X-Request-ID"]}
        assert Event.get(Event.ticket_id == opened.json["id"]).request_id == opened.headers["X-Request-ID"]
        problem(refused, 404, "not_found")
    assert len(given) == 2 * len(INSANE)
    assert {len(request_id) for request_id in given} == {36}


# What goes wrong here


def test_a_500_carries_nothing_but_the_request_id(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("sav.http.tickets.open_ticket", fail)
    with nothing_changes(), capture_logs() as logs:
        answer = rows.send_json("open", TICKET)
    document = problem(answer, 500, "internal")
    assert [type(line["exc_info"]) for line in logs if line["log_level"] == "error"] == [RuntimeError]
    assert document["detail"] == "Something went wrong here; quote the request id."
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailable("OperationalError"),
        peewee.OperationalError(2013, "Lost connection to MySQL server during query"),
        peewee.OperationalError(2006, "MySQL server has gone away"),
        peewee.InterfaceError(0, ""),
        peewee.OperationalError(1205, "Lock wait timeout exceeded"),
        peewee.OperationalError("database is locked"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
def test_a_database_that_is_away(rows: Rows, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr("sav.http.tickets.open_ticket", fail)
    before = every_row()
    answer = rows.send_json("open", TICKET)
    problem(answer, 503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    # The connection that was lost is not used again.
    assert rows.admin.get("/tickets").status_code == 200
    assert every_row() == before
