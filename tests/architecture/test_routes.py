"""Every route says who may call it, and every error that a route can give has its line in the docs."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import falcon.inspect

import sav
from sav.domain.errors import SavError
from sav.http.app import create_app, routes
from sav.http.documentation import openapi_document
from sav.http.error_responses import STATUS_OF, TITLES
from sav.http.routes import Callers, Description, description_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
# Answered without a class of their own: by Falcon itself, and for what nobody expected.
WITHOUT_A_CLASS = {"bad_request": 400, "method_not_allowed": 405, "internal": 500}
# Two sentences for people, one code for programs: a refused token must not say why.
SAME_CODE_AS_THEIR_ROOT = {"MissingToken", "InvalidToken"}
# Open doors, on purpose. Whoever adds one says so here.
PROBES = {"GET /health", "GET /status", "GET /ready"}
FOR_ANYONE = {
    *PROBES,
    "POST /public/tickets",
    "GET /public/tickets/{ticket_number}",
    # The token of the link is the authority.
    "GET /public/surveys/{token}",
    "POST /public/surveys/{token}",
    "GET /public/unsubscribe/{token}",
    "POST /public/unsubscribe/{token}",
}
# Not part of the API that callers program against; open to anyone, and nothing of a ticket is in them.
BESIDE_THE_API = {"/openapi.json", "/docs", "/docs/{name}", "/metrics", "/files/{key:path}"}


def responders() -> Iterator[tuple[str, Any]]:
    for path, resource in routes(_desk()).items():
        for name in dir(resource):
            if name.startswith("on_"):
                yield f"{name.removeprefix('on_').upper()} {path}", getattr(resource, name)


def described() -> dict[str, Description]:
    return {route: found for route, method in responders() if (found := description_of(method))}


def _desk() -> Any:
    """Resources only keep their desk; nothing is asked of it before a request comes."""
    return SimpleNamespace(
        service_name="sav-service",
        version="0",
        is_behind_tls=False,
        storage=None,
        uploads=None,
        broker=None,
    )


def test_every_route_has_a_description() -> None:
    routes_found = [route for route, _ in responders()]
    assert len(routes_found) > 20
    assert [route for route in routes_found if route not in described()] == []


def test_nothing_is_served_beside_the_table_of_routes() -> None:
    served = {route.path for route in falcon.inspect.inspect_routes(create_app(_desk()))}
    assert served - set(routes(_desk())) == BESIDE_THE_API


def test_every_route_says_who_may_call_it() -> None:
    assert {description.callers for description in described().values()} <= set(get_args(Callers))
    open_doors = {route for route, description in described().items() if description.callers == "anyone"}
    assert open_doors == FOR_ANYONE


def test_whoever_knocks_without_an_account_is_counted() -> None:
    """Only what probes ask may be asked without end."""
    open_doors = {route: d for route, d in described().items() if d.callers in ("anyone", "guest")}
    assert set(open_doors) > FOR_ANYONE
    assert {route for route, description in open_doors.items() if not description.is_limited} == PROBES


def test_whatever_a_number_or_a_token_opens_counts_wrong_guesses() -> None:
    named = {route: d for route, d in described().items() if "{ticket_number}" in route or "{token}" in route}
    assert len(named) >= 7
    assert all(description.counts_guesses for description in named.values())
    assert {route for route, d in described().items() if d.callers == "guest"} <= set(named)


def test_the_roster_is_behind_a_door_for_staff() -> None:
    doors = {route: d.callers for route, d in described().items() if " /agents" in route}
    assert doors.pop("PUT /agents/{user_id}") == "admin"
    assert set(doors.values()) == {"staff"}


def test_every_summary_is_one_line_of_its_own() -> None:
    summaries = [(route.split()[1], description.summary) for route, description in described().items()]
    for path, summary in summaries:
        assert re.fullmatch(r"[A-Z][^\n]{5,99}[^.\n]", summary), (path, summary)
    # PUT and PATCH of one path share theirs.
    distinct = set(summaries)
    assert len({summary for _, summary in distinct}) == len(distinct)


def test_every_route_is_in_the_openapi_document() -> None:
    document = openapi_document(routes(_desk()), version="0")
    shown = {
        f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations
    }
    beside = {f"GET {path.replace(':path', '')}" for path in BESIDE_THE_API}
    assert shown == set(described()) | beside


def test_what_creates_can_be_repeated_and_what_changes_can_be_conditional() -> None:
    for route, description in described().items():
        method = route.split()[0]
        creates = method == "POST" and description.status in (201, 202)
        assert description.repeatable == creates, route
        if description.revisions == "read":
            assert method == "GET", route
        if description.revisions == "write":
            assert method != "GET", route


# --- Errors -----------------------------------------------------------------------------------------------


def import_everything() -> None:
    for module in pkgutil.walk_packages(sav.__path__, "sav."):
        importlib.import_module(module.name)


def error_classes() -> list[type[SavError]]:
    import_everything()
    found, level = [], [SavError]
    while level := [child for parent in level for child in parent.__subclasses__()]:
        found += level
    return [kind for kind in dict.fromkeys(found) if kind.__module__.startswith("sav.")]


def roots() -> list[type[SavError]]:
    """The classes that bring a code of their own."""
    return [kind for kind in error_classes() if "code" in vars(kind)]


def status_of(kind: type[SavError]) -> int | None:
    return next((status for parent, status in STATUS_OF if issubclass(kind, parent)), None)


def documented() -> dict[str, tuple[int, str, str]]:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert len({code for code, *_ in rows}) == len(rows), "a code is listed twice"
    return {code: (int(status), when, advice) for code, status, when, advice in rows}


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in roots()]
    assert sorted(codes) == sorted(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert {kind.__name__ for kind in error_classes() if "code" not in vars(kind)} == SAME_CODE_AS_THEIR_ROOT
    assert not set(codes) & set(WITHOUT_A_CLASS)


def test_every_error_leaves_with_a_status() -> None:
    # Nothing raises the roots of a family that is listed by its members.
    abstract = {"Unauthorized"}
    assert {kind.__name__ for kind in error_classes() if status_of(kind) is None} == abstract
    assert {status_of(kind) for kind in error_classes()} - {None} <= set(TITLES)


def test_every_error_says_a_sentence_to_the_caller() -> None:
    for kind in error_classes():
        sentence = kind.public_sentence()
        assert re.fullmatch(r"[A-Z].{10,130}\.", sentence), kind
        assert "|" not in sentence, kind


def test_every_code_is_documented_and_nothing_else() -> None:
    codes = {kind.code for kind in roots()} | set(WITHOUT_A_CLASS)
    assert set(documented()) == codes
    assert list(documented()) == sorted(codes)


def test_the_page_says_what_the_class_says() -> None:
    wrong = []
    for kind in roots():
        status, when, advice = documented()[kind.code]
        statuses = {status_of(kind)} - {None} or {status_of(child) for child in kind.__subclasses__()}
        if statuses != {status} or when != kind.public_sentence() or not advice.endswith("."):
            wrong.append(f"{kind.code}: {statuses} {kind.public_sentence()}")
    assert wrong == []


def test_the_page_knows_what_has_no_class() -> None:
    assert {code: documented()[code][0] for code in WITHOUT_A_CLASS} == WITHOUT_A_CLASS
