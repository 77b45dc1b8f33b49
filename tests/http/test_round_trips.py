"""How often a request goes to the database, BEGIN and COMMIT included: exactly so often, and no more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from sav.models import database as database_module
from sav.models.database import database, is_sqlite
from sav.operations import ticket_numbering
from sav.queries import ticket_roads
from tests.plugins.desk import Api


@contextmanager
def round_trips() -> Iterator[list[str]]:
    """All that goes over the wire; with SQLite, all that its library is asked."""
    trips: list[str] = []
    if is_sqlite():
        connection = database.connection()

        def told(text: str) -> None:
            # Of what triggers do it tells by remarks, and by the statement again.
            if not text.startswith("--") and text not in trips[-1:]:
                trips.append(text)

        connection.set_trace_callback(told)
        yield trips
        connection.set_trace_callback(None)
        return
    send = Connection._execute_command

    def counted(self: Any, command: int, sql: Any) -> Any:
        trips.append(sql.decode("utf-8", "replace") if isinstance(sql, bytes) else str(sql) or "ping")
        return send(self, command, sql)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_execute_command", counted)
        yield trips


@pytest.fixture
def warm(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A process that is busy: it has numbers left, and its connection was used just now."""
    monkeypatch.setattr(database_module, "PROVEN_SECONDS", 3600.0)
    monkeypatch.setattr(ticket_numbering, "BLOCK_SECONDS", 3600.0)
    ticket_roads.forget_estimates()
    agent = api.agent()
    for _ in range(2):
        agent.opened()
    return api


def trips_of(call: Callable[[], Any], *, status: int = 200) -> list[str]:
    with round_trips() as trips:
        answer = call()
    assert answer.status_code == status, answer.text
    return trips


def assert_trips(trips: list[str], *wanted: str) -> None:
    """Each trip by the verbs of what goes together in it; SQLite is asked one after the other."""
    verbs = [" ".join(statement.split()[0] for statement in trip.split(";")) for trip in trips]
    assert verbs == (" ".join(wanted).split() if is_sqlite() else list(wanted)), trips


NEW = {"subject": "Lost parcel", "description": "It never came."}


def test_a_ticket_is_opened_by_two_trips(warm: Api) -> None:
    trips = trips_of(lambda: warm.customer().post("/tickets", NEW), status=201)
    assert_trips(trips, "BEGIN INSERT", "INSERT INSERT INSERT COMMIT")


def test_a_repeatable_create_asks_first_and_stores_its_answer_by_one_statement(warm: Api) -> None:
    key = {"Idempotency-Key": "once"}
    first = trips_of(lambda: warm.customer().post("/tickets", NEW, headers=key), status=201)
    assert_trips(first, "SELECT", "BEGIN INSERT", "INSERT INSERT INSERT", "INSERT COMMIT")
    again = trips_of(lambda: warm.customer().post("/tickets", NEW, headers=key), status=201)
    assert_trips(again, "SELECT")


def test_tags_take_one_statement_however_many(warm: Api) -> None:
    tagged = {**NEW, "tags": ["late", "parcel", "again"]}
    trips = trips_of(lambda: warm.customer().post("/tickets", tagged), status=201)
    assert_trips(trips, "BEGIN INSERT", "INSERT INSERT INSERT INSERT COMMIT")


def test_a_reply_takes_three_trips(warm: Api) -> None:
    ticket = warm.customer().opened()
    trips = trips_of(
        lambda: warm.customer().post(f"/tickets/{ticket['id']}/messages", {"content": "Still nothing."}),
        status=201,
    )
    assert_trips(trips, "BEGIN SELECT", "INSERT", "UPDATE INSERT INSERT INSERT COMMIT")


def test_a_ticket_and_its_messages_are_read_in_one_trip(warm: Api) -> None:
    customer = warm.customer()
    for messages in (0, 1):
        path = f"/tickets/{customer.opened()['id']}"
        for _ in range(messages):
            customer.post(f"{path}/messages", {"content": "Still nothing."})
        assert len(trips_of(lambda path=path: customer.get(path))) == (2 if is_sqlite() else 1)
        # Kept ready by now: its revision is asked for, and nothing else.
        assert len(trips_of(lambda path=path: customer.get(path))) == 1


@pytest.mark.parametrize("path", ["/tickets", "/tickets?status=open&sort=-updated_at"])
@pytest.mark.parametrize("role", ["customer", "agent", "admin"])
def test_a_list_is_one_statement_behind_the_one_that_asks_whether_it_changed(
    warm: Api, path: str, role: Any
) -> None:
    caller = warm.as_caller(role, 7)
    caller.get("/agents/me" if role == "agent" else "/health")
    # On a server, of two indexes that would do, a few entries are counted first, to choose the shorter one.
    choosing = 2 if role == "customer" and "status" in path and not is_sqlite() else 0
    assert len(trips_of(lambda: caller.get(path))) == 2 + choosing
    assert len(trips_of(lambda: caller.get(path))) == 1


def test_what_is_unread_is_counted_by_two_statements(warm: Api) -> None:
    customer = warm.customer()
    path = f"/tickets/{customer.opened()['id']}/messages/unread-count"
    assert len(trips_of(lambda: customer.get(path))) == 2


def test_a_connection_that_paused_is_asked_whether_it_works(
    warm: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "PROVEN_SECONDS", 0.0)
    trips = trips_of(lambda: warm.customer().get("/tickets/1/messages"), status=404)
    assert len(trips) == (1 if is_sqlite() else 2)


def test_a_connection_that_is_lost_under_load_is_replaced_before_anything_takes_effect(warm: Api) -> None:
    customer = warm.customer()
    path = f"/tickets/{customer.opened()['id']}"
    for call, status in (
        (lambda: customer.get(path), 200),
        (lambda: customer.post(f"{path}/messages", {"content": "Once."}), 201),
        (
            lambda: warm.post("/public/tickets", {**NEW, "email": "guest@example.com"}),
            201,
        ),
    ):
        lose_connection()
        answer = call()
        assert answer.status_code == status, answer.text
    assert [message["content"] for message in customer.get(path).json["messages"]] == ["Once."]


def lose_connection() -> None:
    """What a restarted server does to all of its connections; SQLite has nobody who could."""
    if is_sqlite():
        return
    ((own,),) = database.execute_sql("SELECT CONNECTION_ID()").fetchall()
    options = database.obj.connect_params
    login = {name: options[name] for name in ("host", "port", "user", "password") if name in options}
    other = pymysql.connect(**login)
    with other.cursor() as cursor:
        cursor.execute(f"KILL {own}")
    other.close()
