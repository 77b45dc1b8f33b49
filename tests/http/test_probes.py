"""`/health`, `/status` and `/ready`: what Kubernetes asks, with everything there and with something away."""

from typing import Any

import pytest

from sav.models.database import DatabaseUnavailable, database
from tests.plugins.desk import Answers, Api, counted_queries


@pytest.fixture
def away(api: Api, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`away("database")`, `away("storage")`, `away("broker")`, once each or together."""

    def refuse() -> None:
        raise DatabaseUnavailable("OperationalError")

    def take_away(name: str) -> None:
        if name == "database":
            monkeypatch.setattr("sav.http.health.ensure_connection", refuse)
            monkeypatch.setattr("sav.http.routes.ensure_connection", refuse)
            return
        part = getattr(api.desk, name)
        assert isinstance(part, Answers)
        part.is_there = False

    return take_away


def test_health_asks_nobody(api: Api, away: Any) -> None:
    def is_alive() -> bool:
        answer = api.get("/health")
        return answer.status_code == 200 and answer.json == {"status": "ok", "service": "sav-service"}

    with counted_queries() as statements:
        assert is_alive()
    assert statements == []
    for name in ("database", "storage", "broker"):
        away(name)
    assert is_alive()


def test_status_asks_the_database_once(api: Api) -> None:
    with counted_queries() as statements:
        answer = api.get("/status")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "database": "connected"}
    assert len(statements) == 1


def test_status_without_a_database(api: Api, away: Any) -> None:
    away("database")
    answer = api.get("/status")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"status": "error", "database": "disconnected"}


def test_status_looks_at_nothing_else(api: Api, away: Any) -> None:
    away("storage")
    away("broker")
    assert api.get("/status").status_code == 200


def test_a_database_that_answers_no_statement_is_disconnected(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(database.obj, "execute_sql", fail)
        assert api.get("/status").json["database"] == "disconnected"
    assert api.get("/status").json["database"] == "connected"


@pytest.mark.parametrize("missing", [[], ["broker"], ["storage"], ["database"], ["storage", "broker"],
                                     ["database", "storage", "broker"]])  # fmt: skip
def test_ready_needs_database_and_storage_and_reports_the_broker(
    api: Api, away: Any, missing: list[str]
) -> None:
    for name in missing:
        away(name)
    answer = api.get("/ready")

    ready = set(missing) <= {"broker"}
    words = {True: "disconnected", False: "connected"}
    assert answer.status_code == (200 if ready else 503)
    assert answer.json == {
        "status": "ok" if ready else "error",
        **{name: words[name in missing] for name in ("database", "storage", "broker")},
    }


def test_the_database_away_is_503_for_everybody_else(api: Api, away: Any) -> None:
    away("database")
    answer = api.customer().get("/tickets")
    assert answer.status_code == 503
    assert answer.json["code"] == "database_unavailable"
    assert int(answer.headers["Retry-After"]) > 0


def test_probes_need_no_token_and_are_not_cached(api: Api) -> None:
    for path in ("/health", "/status", "/ready"):
        for caller in (api, api.customer(), api.admin()):
            answer = caller.get(path)
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "private, no-store"
