"""`/openapi.json` says all there is to say, and the truth; `/docs` shows it without any other host."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import falcon.inspect
import jsonschema_rs
import pytest
import schemathesis
from falcon.testing import Result
from structlog.testing import capture_logs

from sav.domain.rate_limits import RateLimit
from sav.domain.signed_tokens import survey_token, unsubscribe_token
from sav.http import documents, guest_documents, payloads, privacy_documents, statistics_documents
from sav.http.app import routes
from sav.models.database import DatabaseUnavailable
from sav.models.tables import Attachment, PrivacyRequest, Ticket
from sav.operations.service_secrets import link_secret
from tests.factories.forms import PNG, TEXT, form, text_of
from tests.plugins.desk import MAXIMUM_FILE_BYTES, Api

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch")
# Of HTTP itself, not of this API: OpenAPI leaves them out.
TRANSPORT_HEADERS = {"content-type", "content-length"}
PROBES = {"/health", "/status", "/ready"}
LINKS = {"/public/surveys/{token}", "/public/unsubscribe/{token}"}
OPEN_DOORS = {"/public/tickets", "/public/tickets/{ticket_number}", *LINKS}
FOR_GUESTS = {
    "/public/tickets/{ticket_number}/messages",
    "/public/tickets/{ticket_number}/satisfaction",
    "/public/tickets/{ticket_number}/attachments",
    "/public/tickets/{ticket_number}/attachments/{attachment_id}/download",
}


@pytest.fixture
def document(api: Api) -> Json:
    answer = api.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    loaded: Json = answer.json
    return loaded


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Those of the API; what is beside it is in `service_operations`."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] != ["service"]:
                yield path, method, operation


def service_operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == ["service"]:
                yield path, method, operation


def schemas(part: Any) -> Iterator[Json]:
    """Every schema in the document: what stands under `schema` or among the components, and all inside it."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "schema":
                yield value
            elif name == "schemas":
                yield from value.values()
            yield from schemas(value)
    elif isinstance(part, list):
        for value in part:
            yield from schemas(value)


# Valid


def test_it_is_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    # Against the OpenAPI Initiative's own schema of the format.
    schemathesis.openapi.from_dict(document).validate()


def test_every_schema_is_a_json_schema(document: Json) -> None:
    found = list(schemas(document))
    assert len(found) > 100
    for schema in found:
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_reference_leads_somewhere_and_every_component_is_used(document: Json) -> None:
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references == set(document["components"]["schemas"])
    used = {
        name
        for _, _, operation in operations(document)
        for scheme in operation.get("security", [])
        for name in scheme
    }
    assert used == set(document["components"]["securitySchemes"])


def test_every_operation_has_a_name_a_summary_and_a_tag_of_its_own(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for _, _, operation in operations(document):
        assert operation["summary"]
        assert set(operation["tags"]) <= tags


def test_every_pattern_takes_linear_time(document: Json) -> None:
    """Clients check what they send against these; a long text must not keep them busy."""
    patterns = {schema["pattern"] for schema in every_schema(document) if "pattern" in schema}
    long_texts = (" " * 20_000, "a" * 20_000 + "\x00", " a" * 10_000 + "\x00", "a@" + "." * 250 + "@")
    assert patterns
    started = time.process_time()
    for pattern in patterns:
        for text in long_texts:
            re.search(pattern, text)
    assert time.process_time() - started < 0.5


def every_schema(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from every_schema(value)
    elif isinstance(part, list):
        for value in part:
            yield from every_schema(value)


# Complete


def test_every_route_and_method_is_there(api: Api, document: Json) -> None:
    served = {
        (path, method)
        for path, resource in routes(api.desk).items()
        for method in METHODS
        if hasattr(resource, f"on_{method}")
    }
    assert {(path, method) for path, method, _ in operations(document)} == served
    assert len(served) >= 26


def test_what_is_served_beside_the_api_is_there_too(api: Api, document: Json) -> None:
    served = {route.path.replace(":path", "") for route in falcon.inspect.inspect_routes(api.client.app)}
    assert set(document["paths"]) == served
    for path, method, operation in service_operations(document):
        real = path.replace("{name}", "swagger_style.css").replace("{key}", "a/b")
        answer = api.call(method.upper(), real)
        declared = operation["responses"][str(answer.status_code)]
        assert answer.headers["Content-Type"].partition(";")[0] in declared["content"], path
        sent = {name.lower() for name in answer.headers} - TRANSPORT_HEADERS
        assert sent <= {name.lower() for name in declared["headers"]}, path


def test_every_path_parameter_is_there(document: Json) -> None:
    for path, _, operation in operations(document):
        declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_every_query_parameter_is_there(document: Json) -> None:
    pages = set(payloads.ListQuery.model_fields)
    lists = {
        "/tickets": set(payloads.TicketListQuery.model_fields),
        "/tickets/{ticket_id}/messages": pages,
        "/tickets/{ticket_id}/history": pages,
        "/tickets/{ticket_id}/attachments": pages,
        "/tickets/{ticket_id}/attachments/message/{message_id}": pages,
        "/agents": pages,
        "/privacy/exports": pages,
        "/privacy/erasures": pages,
        "/public/tickets/{ticket_number}": set(payloads.ThreadQuery.model_fields),
    }
    for path, method, operation in operations(document):
        declared = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
        if method == "get" and path in lists:
            assert declared == lists[path], path
        else:
            assert not pages & declared, f"{path} is a list that this test does not know"


def test_conditions_keys_and_request_ids_are_there(document: Json) -> None:
    def takes(header: str) -> set[str]:
        return {
            f"{method.upper()} {path}"
            for path, method, operation in operations(document)
            if header in {p["name"] for p in operation["parameters"] if p["in"] == "header"}
        }

    ticket, message = "/tickets/{ticket_id}", "/tickets/{ticket_id}/messages/{message_id}"
    actions = ("assign", "resolve", "close", "satisfaction")
    assert takes("X-Request-ID") == {f"{method.upper()} {path}" for path, method, _ in operations(document)}
    assert takes("Idempotency-Key") >= {"POST /tickets", f"POST {ticket}/messages"}
    assert takes("If-None-Match") >= {f"GET {ticket}", f"GET {message}"}
    assert takes("If-Match") >= {
        *(f"{method} {path}" for method in ("PUT", "PATCH", "DELETE") for path in (ticket, message)),
        *(f"POST {ticket}/{action}" for action in actions),
    }


def test_bodies_and_answers_have_no_other_fields_than_these(document: Json) -> None:
    known = document["components"]["schemas"]
    for model in vars(payloads).values():
        if isinstance(model, type) and issubclass(model, payloads.Body) and model is not payloads.Body:
            schema = known[model.__name__]
            assert set(schema.get("properties", {})) == set(model.model_fields)
            assert schema["additionalProperties"] is False
    rooms = (documents, guest_documents, privacy_documents, statistics_documents)
    for model in [model for room in rooms for model in vars(room).values()]:
        if isinstance(model, type) and issubclass(model, documents.Answer) and model.__name__ in known:
            assert known[model.__name__]["additionalProperties"] is False


def test_every_operation_but_the_probes_declares_its_token(document: Json) -> None:
    for path, _, operation in operations(document):
        security = operation.get("security")
        if path in FOR_GUESTS:
            assert security == [{"ticketToken": []}], path
        else:
            assert (security == [{"token": []}]) == (path not in PROBES | OPEN_DOORS), path


def test_open_doors_and_those_of_guests_declare_their_limits(document: Json) -> None:
    names = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
    for path, _, operation in operations(document):
        limited = path in FOR_GUESTS | OPEN_DOORS
        assert ("429" in operation["responses"]) == limited, path
        for status, response in operation["responses"].items():
            assert (names <= response.get("headers", {}).keys()) == limited, (path, status)
        if limited:
            assert "Retry-After" in operation["responses"]["429"]["headers"]


# True: real answers, held against what is declared


@dataclass
class Witness:
    """Sends requests, and holds each answer against the document."""

    api: Api
    document: Json
    seen: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # References stay inside the document, so each schema is checked with all of it around.
        self.components = {"components": self.document["components"]}

    def send(self, caller: Api, method: str, path: str, body: Any = None, **options: Any) -> Result:
        if isinstance(body, bytes):
            options["body"], body = body, None
        answer = caller.call(method.upper(), path, body, **options)
        template = self.template(path)
        operation = self.document["paths"][template][method]
        self.seen.setdefault((template, method), set()).add(answer.status_code)
        declared = operation["responses"].get(str(answer.status_code))
        assert declared is not None, f"{method} {template} answers {answer.status_code}: {answer.text}"
        self.check_headers(answer, declared, f"{method} {template} {answer.status_code}")
        self.check_content(answer, declared)
        return answer

    def template(self, path: str) -> str:
        matching = [
            template
            for template in self.document["paths"]
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
        ]
        # "/agents/me" is more to the point than "/agents/{user_id}".
        return min(matching, key=lambda template: template.count("{"))

    def check_headers(self, answer: Result, declared: Json, where: str) -> None:
        headers = {name.lower(): header for name, header in declared.get("headers", {}).items()}
        sent = {name.lower(): value for name, value in answer.headers.items()}
        assert sent.keys() - TRANSPORT_HEADERS <= headers.keys(), where
        for name in sent.keys() - TRANSPORT_HEADERS:
            self.validate(int(sent[name]) if headers[name]["schema"]["type"] == "integer" else sent[name],
                          headers[name]["schema"])  # fmt: skip

    def check_content(self, answer: Result, declared: Json) -> None:
        if "content" not in declared:
            assert answer.content == b""
            return
        ((media_type, content),) = declared["content"].items()
        assert answer.headers["Content-Type"] == media_type
        self.validate(answer.text if "html" in media_type else answer.json, content["schema"])

    def validate(self, value: Any, schema: Json) -> None:
        jsonschema_rs.Draft202012Validator({**schema, **self.components}, validate_formats=True).validate(
            value
        )


@pytest.fixture
def witness(api: Api, document: Json) -> Witness:
    return Witness(api, document)


def test_a_day_at_the_desk(witness: Witness) -> None:
    """Every operation, with every status that it can be brought to answer."""
    api = witness.api
    customer, stranger, agent, admin = api.customer(1), api.customer(2), api.agent(7), api.admin(99)
    new = {"subject": "Lost parcel", "description": "It never came.", "tags": ["vip"], "category": "order"}
    key = {"Idempotency-Key": "day"}

    def send(caller: Api, call: str, body: Any = None, **options: Any) -> Result:
        method, path = call.split(" ", 1)
        return witness.send(caller, method.lower(), path, body, **options)

    for probe in sorted(PROBES):
        send(api, f"GET {probe}")
        send(api, f"GET {probe}", query_string="x=1")
    for name in ("storage", "broker"):
        getattr(api.desk, name).is_there = False
    send(api, "GET /ready")
    api.desk.storage.is_there = True  # type: ignore[attr-defined]

    send(agent, "GET /agents/me")
    send(admin, "GET /agents/me")
    send(customer, "GET /agents/me")
    send(agent, "PUT /agents/me/availability", {"available": True})
    send(admin, "PUT /agents/me/availability", {"available": True})
    send(
        admin,
        "PUT /agents/8",
        {"name": "Bo", "email": "bo@example.org", "categories": ["order"], "capacity": 3},
    )
    send(agent, "PUT /agents/8", {})
    send(admin, "GET /agents", query_string="per_page=1&include_total=true")
    send(agent, "GET /agents/8")
    send(agent, "GET /agents/12345")

    first = send(customer, "POST /tickets", new, headers=key)
    send(customer, "POST /tickets", new, headers=key)
    send(customer, "POST /tickets", {**new, "subject": "Other"}, headers=key)
    send(customer, "POST /tickets", {**new, "metadata": {"a": 1}})
    send(agent, "POST /tickets", {**new, "contact_email": "guest@example.org", "metadata": {"a": [1, None]}})
    ticket = f"/tickets/{first.json['id']}"
    send(customer, "GET /tickets", query_string="per_page=1&include_total=true&q=parcel&status=open")
    send(admin, "GET /tickets", query_string="per_page=1")
    send(customer, "GET /tickets", query_string="user_id=5")
    send(customer, "GET /tickets", query_string="cursor=x")
    send(customer, "GET /tickets/statistics", query_string="tz=Europe/Paris&from=2026-03-29")
    send(agent, "GET /tickets/statistics")
    send(admin, "GET /tickets/statistics", query_string="tz=Mars")

    key = {"Idempotency-Key": "another"}
    message = send(customer, f"POST {ticket}/messages", {"content": "Hello?"}, headers=key).json["id"]
    send(customer, f"POST {ticket}/messages", {"content": "Hello?"}, headers=key)
    send(customer, f"POST {ticket}/messages", {"content": "No"}, headers=key)
    send(customer, f"POST {ticket}/messages", {"content": "A note", "is_internal": True})
    send(agent, f"POST {ticket}/messages", {"content": "A note", "is_internal": True})
    files, png = f"{ticket}/attachments", ("file", "screen.png", PNG)
    key = {"Idempotency-Key": "file"}
    for parts in ([png], [png], [("file", "log.txt", TEXT)]):
        send(customer, f"POST {files}", **form(*parts, headers=key, message_id=message))
    key = {"Idempotency-Key": "files"}
    for parts in ([png, png], [png, png], [png]):
        send(customer, f"POST {files}/multiple", **form(*parts, headers=key))
    file = f"{files}/{customer.get(files).json['data'][0]['id']}"
    for caller in (customer, agent, stranger):
        send(caller, f"GET {files}", query_string="per_page=1&include_total=true")
        send(caller, f"GET {files}/message/{message}", query_string="per_page=1")
        send(caller, f"GET {file}")
        send(caller, f"GET {file}/download")
        send(caller, f"GET {file}/download", query_string="redirect=false")
    Attachment.update(state="quarantined").execute()
    # Whoever writes rows by hand says so to those who keep answers ready.
    Ticket.update(version=Ticket.version + 1).execute()
    send(customer, f"GET {file}")
    send(customer, f"GET {file}/download")
    send(agent, f"DELETE {file}")
    one = f"{ticket}/messages/{message}"
    for caller in (customer, agent, stranger):
        send(caller, f"GET {ticket}")
        send(caller, f"GET {ticket}/messages", query_string="per_page=1&include_total=true")
        send(caller, f"GET {one}")
        send(caller, f"GET {ticket}/messages/unread-count")
        send(caller, f"GET {ticket}/history", query_string="per_page=1")
    for path in (ticket, one):
        send(customer, f"GET {path}", headers={"If-None-Match": "*"})
    send(agent, f"POST {one}/mark-read")
    send(agent, f"POST {ticket}/messages/mark-all-read", {})
    send(stranger, f"PUT {one}", {"content": "x"})
    send(agent, f"PUT {one}", {"content": "x"})
    send(agent, f"PATCH {one}", {"content": "x"})
    send(agent, f"DELETE {one}")
    send(customer, f"PUT {one}", {"content": "Hello!"})
    send(customer, f"PATCH {one}", {"content": "Hello!!"})
    api.clock.forward(minutes=16)
    send(customer, f"PUT {one}", {"content": "Too late"})
    send(customer, f"PATCH {one}", {"content": "Too late"})
    send(customer, f"DELETE {one}")

    send(customer, f"POST {ticket}/assign", {"agent_id": 7})
    send(agent, f"POST {ticket}/assign", {"agent_id": 12345})
    send(agent, f"POST {ticket}/assign", {"agent_id": 7})
    send(agent, f"DELETE {ticket}")
    send(customer, f"DELETE {ticket}")
    send(customer, f"PATCH {ticket}", {"status": "closed"})
    send(agent, f"PATCH {ticket}", {"status": "open", "internal_notes": "Odd."})
    send(agent, f"PUT {ticket}", {"status": "in_progress"})
    send(agent, f"PUT {ticket}", {"priority": "high"})
    send(agent, f"PATCH {ticket}", {"status": "in_progress"})
    send(customer, f"PUT {ticket}", {"status": "closed"})
    send(customer, f"POST {ticket}/satisfaction", {"rating": 5})
    send(customer, f"POST {ticket}/resolve", {"resolution": "Found."})
    send(agent, f"POST {ticket}/assign", {"agent_id": 7})
    send(agent, f"POST {ticket}/resolve", {"resolution": "Found."})
    send(agent, f"POST {ticket}/resolve", {"resolution": "Found."})
    send(agent, f"POST {ticket}/assign", {"agent_id": 8})
    send(agent, f"POST {ticket}/satisfaction", {"rating": 5})
    send(customer, f"POST {ticket}/satisfaction", {"rating": 5, "comment": "Fine."})
    send(customer, f"POST {ticket}/close", {"reason": "Done."})
    send(customer, f"POST {ticket}/close")
    send(customer, f"POST {ticket}/messages", {"content": "Still there?"})
    for path in (files, f"{files}/multiple"):
        send(customer, f"POST {path}", **form(png))
    send(admin, f"GET {ticket}")
    send(admin, f"GET {ticket}/history", query_string="per_page=100")

    guests_day(witness)
    data_protection(witness)
    follow_links(witness, ticket_id=int(ticket.rsplit("/")[-1]))
    refuse_everything(witness, ticket, one)
    send(customer, f"DELETE {file}")
    send(admin, f"DELETE {one}")
    send(admin, f"DELETE {ticket}")

    assert witness.seen.keys() == {(path, method) for path, method, _ in operations(witness.document)}
    # All that is declared was seen, so nothing is promised that does not happen. What is missing here has
    # a test below, or in test_idempotency.py: two requests with one key at the same time; or in
    # tests/system: a body that does not arrive in time.
    never_seen = {
        (method, path, status)
        for path, method, operation in operations(witness.document)
        for status in operation["responses"]
        if int(status) not in witness.seen[path, method] and status not in ("408", "500", "503")
    }
    assert never_seen <= {
        ("post", "/tickets", "409"),
        ("post", "/tickets/{ticket_id}/messages", "409"),
        ("post", "/public/tickets", "409"),
        ("post", "/privacy/exports", "409"),
        ("post", "/privacy/erasures", "409"),
    }


def guests_day(witness: Witness) -> None:
    """What a guest may do, and is refused."""
    api, admin = witness.api, witness.api.admin(99)
    new, key = good_body("/public/tickets"), {"Idempotency-Key": "guests"}
    opened = witness.send(api, "post", "/public/tickets", new, headers=key).json
    witness.send(api, "post", "/public/tickets", new, headers=key)
    witness.send(api, "post", "/public/tickets", {**new, "subject": "Other"}, headers=key)
    number = opened["ticket_number"]
    path, token = f"/public/tickets/{number}", {"X-Ticket-Token": opened["access_token"]}
    witness.send(admin, "post", f"/tickets/{opened['id']}/messages", {"content": "We look for it."})
    witness.send(api, "post", f"{path}/messages", {"content": "Hello?"}, headers={**token, **key})
    witness.send(api, "post", f"{path}/messages", {"content": "Hello?"}, headers={**token, **key})
    witness.send(api, "post", f"{path}/messages", {"content": "No"}, headers={**token, **key})
    witness.send(api, "get", path, query_string="per_page=1")
    witness.send(api, "get", path, query_string="per_page=0")
    witness.send(api, "post", f"{path}/satisfaction", {"rating": 5}, headers=token)
    guests_files(witness, path, token)
    admin.post(f"/tickets/{opened['id']}/close")
    witness.send(api, "post", f"{path}/attachments", **form(("file", "a.png", PNG), headers=token))
    witness.send(api, "post", f"{path}/satisfaction", {"rating": 5}, headers=token)
    witness.send(api, "post", f"{path}/messages", {"content": "Still there?"}, headers=token)
    for template in ("messages", "satisfaction"):
        template = f"/public/tickets/{{ticket_number}}/{template}"
        real = template.replace("{ticket_number}", number)
        witness.send(api, "post", real, good_body(template), headers={"X-Ticket-Token": "wrong"})
        witness.send(api, "post", real, good_body(template), query_string="surprise=1", headers=token)
        for content, media_type in (
            (b"{", "application/json"), (b"{}", "application/json"), (b"a=1", "text/plain"),
            (b" " * (1024 * 1024 + 1), "application/json"),
        ):  # fmt: skip
            witness.send(api, "post", real, content, headers={**token, "Content-Type": media_type})
    everything_is_used_up(witness, path)


def guests_files(witness: Witness, path: str, token: dict[str, str]) -> None:
    api, files, key = witness.api, f"{path}/attachments", {"Idempotency-Key": "guests-file"}
    part = ("file", "screen.png", PNG)
    attached = witness.send(api, "post", files, **form(part, headers={**token, **key}))
    witness.send(api, "post", files, **form(part, headers={**token, **key}))
    witness.send(api, "post", files, **form(("file", "other.png", PNG), headers={**token, **key}))
    witness.send(api, "post", files, **form(part))
    witness.send(api, "post", files, query_string="surprise=1", headers=token)
    for parts in (
        [("file", "a.png", b"MZ")], [part, ("surprise", None, b"x")],
        [("file", "a.txt", text_of(MAXIMUM_FILE_BYTES + 1))],
    ):  # fmt: skip
        witness.send(api, "post", files, **form(*parts, headers=token))
    witness.send(api, "post", files, {"surprise": 1}, headers=token)
    witness.send(api, "post", files, headers={**token, **form()["headers"]})
    download = f"{files}/{attached.json['id']}/download"
    witness.send(api, "get", download)
    for query in ("", "redirect=false", "redirect=x"):
        witness.send(api, "get", download, query_string=query, headers=token)
    Attachment.update(state="quarantined").execute()
    witness.send(api, "get", download, headers=token)


def data_protection(witness: Witness) -> None:
    """Exports and erasures: asked for, looked at, fetched."""
    admin, person = witness.api.admin(99), {"user_id": 5}
    for kind in ("exports", "erasures"):
        key = {"Idempotency-Key": kind}
        asked = witness.send(admin, "post", f"/privacy/{kind}", person, headers=key)
        witness.send(admin, "post", f"/privacy/{kind}", person, headers=key)
        witness.send(admin, "post", f"/privacy/{kind}", {"user_id": 6}, headers=key)
        witness.send(admin, "get", f"/privacy/{kind}", query_string="per_page=1&include_total=true")
        one = f"/privacy/{kind}/{asked.json['id']}"
        witness.send(admin, "get", one)
        if kind == "exports":
            witness.send(admin, "get", f"{one}/download")
            of_this = PrivacyRequest.id == asked.json["id"]
            PrivacyRequest.update(state="finished", object_key="exports/1.zip").where(of_this).execute()
            witness.send(admin, "get", f"{one}/download")
            witness.send(admin, "get", f"{one}/download", query_string="redirect=false")


def follow_links(witness: Witness, *, ticket_id: int) -> None:
    """What the links in mails show, and take."""
    secret, now = link_secret(), witness.api.clock.now
    survey = survey_token(secret=secret, ticket_id=ticket_id, expires_at=now + timedelta(days=1))
    leave = unsubscribe_token(secret=secret, address_hash="00" * 32)
    for path, body in ((f"/public/surveys/{survey}", {"rating": 5}), (f"/public/unsubscribe/{leave}", None)):
        witness.send(witness.api, "get", path)
        witness.send(witness.api, "post", path, body)
        witness.send(witness.api, "post", f"{path[:-4]}aaaa", body)
    witness.send(
        witness.api, "post", f"/public/surveys/{survey}", b"{", headers={"Content-Type": "application/json"}
    )


def everything_is_used_up(witness: Witness, path: str) -> None:
    limits = witness.api.desk.public_door.limits
    with patch.object(type(limits), "per_address", RateLimit("nothing", 1, 60)):
        for template in sorted(FOR_GUESTS | OPEN_DOORS):
            for method in witness.document["paths"][template].keys() & {"get", "post"}:
                for _ in range(2):
                    real = template.replace("{ticket_number}", path.rsplit("/")[-1])
                    answer = witness.send(
                        witness.api,
                        method,
                        real.replace("{attachment_id}", "7"),
                        {} if method == "post" else None,
                    )
                assert answer.status_code == 429


def refuse_everything(witness: Witness, ticket: str, message: str) -> None:
    """What any operation may answer to a request that is wrong."""
    customer, admin = witness.api.customer(1), witness.api.admin(99)
    for path, method, operation in list(operations(witness.document)):
        real = path.replace("/tickets/{ticket_id}/messages/{message_id}", message)
        real = real.replace("/tickets/{ticket_id}", ticket).replace("{user_id}", "7")
        real = real.replace("{ticket_number}", "TICKET-20260329-999-00000000")
        real = re.sub(r"{(attachment|message|export|erasure)_id}", "7", real)
        body = good_body(path) if "requestBody" in operation else None
        witness.send(admin, method, real, query_string="surprise=1")
        if path not in PROBES:
            witness.send(witness.api, method, real)
        if path.startswith(("/agents", "/privacy")):
            witness.send(customer, method, real, body)
        if "{" in path:
            witness.send(admin, method, re.sub(r"{\w+}", "0", path), body)
        if "multipart/form-data" in operation.get("requestBody", {}).get("content", {}):
            as_form = form(("file", "a.txt", TEXT), ("surprise", None, b"x"))
            witness.send(admin, method, real, **as_form)
            witness.send(admin, method, real, headers=as_form["headers"])
            too_large = text_of(MAXIMUM_FILE_BYTES + 1)
            witness.send(admin, method, real, **form(("file", "a.txt", too_large)))
        if "requestBody" in operation:
            as_json = {"headers": {"Content-Type": "application/json"}}
            witness.send(admin, method, real, b"{", **as_json)
            witness.send(admin, method, real, {"surprise": 1})
            witness.send(admin, method, real, b"a=1", headers={"Content-Type": "text/plain"})
            witness.send(admin, method, real, b" " * (1024 * 1024 + 1), **as_json)
        if "If-Match" in {parameter["name"] for parameter in operation["parameters"]}:
            witness.send(admin, method, real, body, headers={"If-Match": '"0"'})


def good_body(path: str) -> Json:
    """A body that the operations of a path take."""
    bodies = {
        "/tickets": {"subject": "Lost parcel", "description": "It never came."},
        "/public/tickets": {
            "email": "guest@example.org",
            "subject": "Lost parcel",
            "description": "It never came.",
        },
        "/public/tickets/{ticket_number}/messages": {"content": "Hello?"},
        "/public/tickets/{ticket_number}/satisfaction": {"rating": 5},
        "/public/surveys/{token}": {"rating": 5},
        "/tickets/{ticket_id}/assign": {"agent_id": 7},
        "/tickets/{ticket_id}/resolve": {"resolution": "Found."},
        "/tickets/{ticket_id}/satisfaction": {"rating": 5},
        "/tickets/{ticket_id}/messages": {"content": "Hello?"},
        "/tickets/{ticket_id}/messages/{message_id}": {"content": "Hello?"},
        "/agents/me/availability": {"available": True},
        "/privacy/exports": {"user_id": 5},
        "/privacy/erasures": {"user_id": 5},
    }
    return bodies.get(path, {})


def test_the_database_away_is_declared(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseUnavailable("OperationalError")

    for module in ("routes", "health"):
        monkeypatch.setattr(f"sav.http.{module}.ensure_connection", refuse)
    for path, method, operation in operations(witness.document):
        body = good_body(path) if "requestBody" in operation else None
        answer = witness.send(witness.api.admin(99), method, re.sub(r"{\w+}", "7", path), body)
        assert answer.status_code == (200 if path == "/health" else 503), (method, path)


def test_what_goes_wrong_here_is_declared(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("sav.http.routes.path_id", fail)
    monkeypatch.setattr("sav.http.routes.parse_query", fail)
    monkeypatch.setattr("sav.http.routes.guest_with_token", fail)
    with capture_logs() as logs:
        for path, method, _ in operations(witness.document):
            answer = witness.send(witness.api.admin(99), method, re.sub(r"{\w+}", "7", path))
            assert answer.status_code == 500
    errors = [line for line in logs if line["log_level"] == "error"]
    assert len(errors) == len(list(operations(witness.document)))


# The page


def test_the_page_needs_no_other_host(api: Api) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert not re.search(r"(https?:)?//", page.text)
    # Its policy lets no script run that stands within it.
    assert not re.search(r"<script>|\son\w+=", page.text)
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {path for path in linked if path.startswith("/")} == {path for path in linked if path != "data:,"}
    assert len(linked) >= 3
    for path in [*linked, "/openapi.json"]:
        if path.startswith("/"):
            asset = api.get(path)
            assert asset.status_code == 200, path
            assert len(asset.content) > 100
            assert asset.headers["X-Content-Type-Options"] == "nosniff"


def test_the_pages_style_loads_nothing_from_elsewhere(api: Api) -> None:
    style = api.get("/docs/swagger_style.css").text
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", style)


def test_other_files_are_not_served(api: Api) -> None:
    for name in (
        "__init__.py",
        "..%2f__init__.py",
        "%2e%2e/setup.cfg",
        "swagger_bundle.js.map",
        "%00",
        "swagger_style.css%00",
    ):
        assert api.get(f"/docs/{name}").status_code == 404
