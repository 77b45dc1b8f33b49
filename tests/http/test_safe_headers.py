"""What every answer says to browsers and caches, over the whole table of routes; and HEAD."""

import dataclasses
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import falcon.inspect
import pytest
from falcon.testing import Result, TestClient

from sav.http.app import create_app
from sav.http.documentation import PAGE_POLICY
from tests.factories.forms import PNG, form
from tests.plugins.desk import Api

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
STRICT = "default-src 'none'; frame-ancestors 'none'"
FOR_EVERYBODY = {"/docs/{name}"}
"""Scripts and styles of a package: the same for whoever asks."""


def paths(api: Api) -> list[str]:
    return sorted(route.path for route in falcon.inspect.inspect_routes(api.client.app))


def real(path: str) -> str:
    return re.sub(r"{\w+}", "1", path.replace("{key:path}", "a/b").replace("{name}", "swagger_style.css"))


def answers(api: Api) -> Iterator[tuple[str, Result]]:
    """What every route answers to every method, to a stranger and to an admin."""
    api.customer().opened()
    for path in paths(api):
        for method in METHODS:
            for who in (api, api.admin()):
                yield f"{method} {path}", who.call(method, real(path))
    yield "GET nothing", api.get("/nothing")
    yield "TRACE /tickets", api.call("TRACE", "/tickets")


def test_every_answer_of_every_route_has_them(api: Api) -> None:
    assert len(paths(api)) > 35
    for where, answer in answers(api):
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff", where
        assert headers["Referrer-Policy"] == "no-referrer", where
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", where
        assert headers["Cross-Origin-Resource-Policy"] in ("same-origin", "cross-origin"), where
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], where
        assert "default-src 'none'" in headers["Content-Security-Policy"], where
        assert headers["Vary"] == "Authorization", where
        assert "Server" not in headers, where
        assert "Strict-Transport-Security" not in headers, where


def test_nothing_personal_is_kept_but_to_be_asked_about_again(api: Api) -> None:
    for where, answer in answers(api):
        kept = answer.headers["Cache-Control"]
        if where.partition(" ")[2] in FOR_EVERYBODY and answer.status_code == 200:
            assert kept == "public, max-age=86400", where
        else:
            assert kept == ("private, no-cache" if "ETag" in answer.headers else "private, no-store"), where


def test_what_is_no_page_may_load_nothing(api: Api) -> None:
    pages = {"/docs", "/public/surveys/{token}", "/public/unsubscribe/{token}"}
    for where, answer in answers(api):
        policy = answer.headers["Content-Security-Policy"]
        if where.partition(" ")[2] not in pages:
            assert policy == STRICT, where
        assert "unsafe" not in policy or policy == PAGE_POLICY, where


def test_a_file_is_served_to_the_pages_of_the_shop_and_may_do_nothing(api: Api) -> None:
    customer = api.customer()
    path = f"/tickets/{customer.opened()['id']}/attachments"
    file = customer.post(path, **form(("file", "a.png", PNG))).json
    link = customer.get(f"{path}/{file['id']}").json["file_url"]
    address = urlsplit(link)
    answer = api.get(address.path, query_string=address.query)
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_behind_tls_browsers_are_told_to_come_back_by_it(api: Api) -> None:
    client = TestClient(create_app(dataclasses.replace(api.desk, is_behind_tls=True)))
    for path in ("/health", "/tickets", "/nothing", "/docs"):
        assert client.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"


def lasting(answer: Result, path: str) -> dict[str, str]:
    """The headers that do not change from one request to the next."""
    changing = {"x-request-id", "ratelimit-remaining", "ratelimit-reset"}
    # What is measured grows with every request.
    changing |= {"content-length"} if path == "/metrics" else set()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {name: value for name, value in headers.items() if name not in changing}


def test_head_answers_what_get_answers_without_the_body(api: Api) -> None:
    admin = api.admin()
    api.customer().opened()
    asked = 0
    for path in paths(api):
        got, head = admin.get(real(path)), admin.call("HEAD", real(path))
        if got.status_code == 405:
            assert head.status_code == 405, path
            continue
        asked += 1
        assert head.content == b"", path
        assert (head.status_code, lasting(head, path)) == (got.status_code, lasting(got, path)), path
    assert asked > 20


def test_head_honours_conditions(api: Api) -> None:
    customer = api.customer()
    path = f"/tickets/{customer.opened()['id']}"
    etag = customer.get(path).headers["ETag"]
    assert customer.call("HEAD", path, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize("path", ["/tickets", "/health"])
def test_what_is_allowed_names_head(api: Api, path: str) -> None:
    assert "HEAD" in api.customer().delete(path).headers["Allow"]
