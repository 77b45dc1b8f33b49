"""Idempotency-Key: a request may be sent twice, and happens once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

import pytest
from falcon.testing import Result

from sav.models.database import LOCK_WAIT_TIMEOUT_SECONDS, connection, database, is_sqlite, transaction
from sav.models.tables import Event, IdempotencyKey, Message, Ticket
from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import Api, Clock

TICKET = {"subject": "Colis perdu 🎁", "description": "Jamais reçu.\n\tRien."}
KEY = {"Idempotency-Key": "5f1e-4c"}


def open_ticket(caller: Api, body: Any = TICKET, key: str = KEY["Idempotency-Key"]) -> Result:
    return caller.post("/tickets", body, headers={"Idempotency-Key": key})


def assert_replay(first: Result, second: Result) -> None:
    """The same answer to the byte; only the request's own id, and the word that it is a replay, differ."""
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert second.status_code == first.status_code
    assert second.content == first.content
    own = {"x-request-id", "idempotency-replayed"}
    kept = [
        {name.lower(): value for name, value in answer.headers.items() if name.lower() not in own}
        for answer in (first, second)
    ]
    assert kept[0] == kept[1]
    assert second.headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_a_ticket_is_opened_once(api: Api) -> None:
    customer = api.customer(1)
    first = open_ticket(customer)
    assert first.status_code == 201
    with nothing_changes_but_the_sequence():
        for _ in range(3):
            assert_replay(first, open_ticket(customer))
    assert Ticket.select().count() == 1
    assert first.headers["Location"] == f"/tickets/{first.json['id']}"


@contextmanager
def nothing_changes_but_the_sequence() -> Iterator[None]:
    """A number that a replay has drawn is never used: numbers are drawn before the transaction."""
    before = [list(table.select().tuples()) for table in (Ticket, Event, Message, IdempotencyKey)]
    yield
    assert [list(table.select().tuples()) for table in (Ticket, Event, Message, IdempotencyKey)] == before


def test_a_message_is_written_once(api: Api) -> None:
    customer = api.customer(1)
    path = f"/tickets/{customer.opened()['id']}/messages"
    first = customer.post(path, {"content": "Où ?"}, headers=KEY)
    with nothing_changes():
        assert_replay(first, customer.post(path, {"content": "Où ?"}, headers=KEY))
    assert Message.select().count() == 1


def test_the_first_answer_comes_again_whatever_has_happened_since(api: Api) -> None:
    customer, admin = api.customer(1), api.admin()
    first = open_ticket(customer)
    path = first.headers["Location"]
    reply = customer.post(f"{path}/messages", {"content": "Où ?"}, headers={"Idempotency-Key": "reply"})
    admin.put(path, {"subject": "Renamed"})
    admin.post(f"{path}/close")

    assert_replay(first, open_ticket(customer))
    assert_replay(
        reply, customer.post(f"{path}/messages", {"content": "Où ?"}, headers={"Idempotency-Key": "reply"})
    )


def test_another_body_is_refused(api: Api) -> None:
    customer = api.customer(1)
    open_ticket(customer)
    for body in (
        {**TICKET, "subject": "Another"},
        {**TICKET, "priority": "normal"},
        dict(reversed(TICKET.items())),
    ):
        with nothing_changes_but_the_sequence():
            problem(open_ticket(customer, body), 422, "idempotency_mismatch")


def test_another_path_is_refused(api: Api) -> None:
    customer = api.customer(1)
    one, two = (f"/tickets/{customer.opened()['id']}/messages" for _ in range(2))
    customer.post(one, {"content": "Où ?"}, headers=KEY)
    with nothing_changes():
        problem(customer.post(two, {"content": "Où ?"}, headers=KEY), 422, "idempotency_mismatch")
    with nothing_changes_but_the_sequence():
        problem(open_ticket(customer), 422, "idempotency_mismatch")


def test_a_key_belongs_to_its_caller(api: Api) -> None:
    # A token of another role is another caller, even with the same user id.
    answers = [
        open_ticket(caller) for caller in (api.customer(1), api.customer(2), api.agent(1), api.admin(1))
    ]
    assert len({answer.json["id"] for answer in answers}) == 4
    assert all("Idempotency-Replayed" not in answer.headers for answer in answers)


def test_a_key_is_taken_as_it_is_written(api: Api) -> None:
    customer = api.customer(1)
    keys = ["a", "A", "a b", "x" * 255, "x" * 254 + "y", "'; --", "%00", "é"]
    answers = [open_ticket(customer, key=key) for key in keys]
    assert [answer.status_code for answer in answers] == [201] * len(keys)
    assert len({answer.json["id"] for answer in answers}) == len(keys)
    for key, first in zip(keys, answers, strict=True):
        assert_replay(first, open_ticket(customer, key=key))


def test_a_key_is_kept_for_a_day(api: Api) -> None:
    customer = api.customer(1)
    first = open_ticket(customer)
    api.clock.forward(hours=23, minutes=59, seconds=59)
    assert_replay(first, open_ticket(customer))

    api.clock.forward(seconds=1)
    second = open_ticket(customer, {**TICKET, "subject": "Another day"})
    assert second.status_code == 201
    assert second.json["id"] != first.json["id"]

    # From here on it is the second answer's key, for another day.
    api.clock.forward(hours=23)
    assert_replay(second, open_ticket(customer, {**TICKET, "subject": "Another day"}))
    problem(open_ticket(customer), 422, "idempotency_mismatch")


def test_what_was_refused_is_not_remembered(api: Api) -> None:
    customer, admin = api.customer(1), api.admin()
    closed = f"/tickets/{customer.opened()['id']}"
    admin.post(f"{closed}/close")
    with nothing_changes_but_the_sequence():
        problem(open_ticket(customer, {"subject": "No description"}), 422, "invalid", ["description"])
        problem(open_ticket(customer, {**TICKET, "metadata": {"a": 1}}), 403, "forbidden")
        problem(customer.post("/tickets/999999/messages", {"content": "x"}, headers=KEY), 404, "not_found")
        problem(customer.post(f"{closed}/messages", {"content": "x"}, headers=KEY), 409, "ticket_closed")
    assert IdempotencyKey.select().count() == 0

    assert open_ticket(customer).status_code == 201


def test_a_write_that_fails_leaves_no_key_and_a_key_that_fails_no_write(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    customer = api.customer(1)
    for place in (
        "sav.operations.open_ticket.append_events",
        "sav.operations.idempotency.FirstAnswer.record",
    ):
        with monkeypatch.context() as patch, nothing_changes_but_the_sequence():
            patch.setattr(place, fail)
            problem(open_ticket(customer), 500, "internal")

    assert "Idempotency-Replayed" not in open_ticket(customer).headers
    assert Ticket.select().count() == IdempotencyKey.select().count() == 1


def test_a_repetition_takes_no_number(api: Api) -> None:
    customer = api.customer(1)
    numbers = [open_ticket(customer, key=key).json["ticket_number"] for key in ("a", "a", "a", "b")]
    assert [number[-3:] for number in numbers] == ["001", "001", "001", "002"]


def test_the_key_itself_is_not_stored(api: Api) -> None:
    open_ticket(api.customer(1), key="a secret that somebody made up")
    row = IdempotencyKey.get()
    assert "secret" not in f"{row.key_hash}{row.fingerprint}{row.caller}{row.headers}{row.body}"


# Concurrency


def at_once(calls: list[Callable[[], Result]]) -> list[Result]:
    """The answers to calls that start together, each from a thread of its own."""
    gate, answers = threading.Barrier(len(calls)), {}

    def run(number: int, call: Callable[[], Result]) -> None:
        with connection():
            gate.wait()
            answers[number] = call()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[number] for number in range(len(calls))]


@pytest.mark.parametrize("round_", range(3))
def test_many_at_once_open_one_ticket(api: Api, round_: int) -> None:
    customer = api.customer(1)
    answers = at_once([lambda: open_ticket(customer)] * 8)

    assert Ticket.select().count() == Event.select().count() == 1
    firsts = [answer for answer in answers if "Idempotency-Replayed" not in answer.headers]
    created = [answer for answer in firsts if answer.status_code == 201]
    assert len(created) == 1
    for answer in answers:
        if answer.status_code == 201:
            assert answer.content == created[0].content
        else:
            problem(answer, 409, "idempotency_in_flight")
    assert_replay(created[0], open_ticket(customer))


def test_many_at_once_write_one_message(api: Api) -> None:
    customer = api.customer(1)
    path = f"/tickets/{customer.opened()['id']}/messages"
    answers = at_once([lambda: customer.post(path, {"content": "Où ?"}, headers=KEY)] * 6)

    assert Message.select().count() == 1
    assert {answer.content for answer in answers if answer.status_code == 201} == {answers[0].content}
    assert {answer.status_code for answer in answers} <= {201, 409}


def test_of_two_bodies_with_one_key_one_is_refused(api: Api) -> None:
    customer = api.customer(1)
    bodies = [{**TICKET, "subject": subject} for subject in ("one", "two")]
    answers = at_once([lambda body=body: open_ticket(customer, body) for body in bodies])  # type: ignore[misc]

    assert sorted(answer.status_code for answer in answers) in ([201, 422], [201, 409])
    assert Ticket.select().count() == 1


@contextmanager
def in_flight(clock: Clock) -> Iterator[None]:
    """The first request of customer 1 with this key has written the key, and does not commit."""
    first = {
        "caller": "customer:1",
        "key_hash": sha256(KEY["Idempotency-Key"].encode()).hexdigest(),
        "fingerprint": "0" * 64,
        "created_at": clock(),
    }
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with connection(), suppress(CrashError), transaction():
            IdempotencyKey.insert(**first).execute()
            holds.set()
            may_end.wait(20)
            raise CrashError

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(20)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


class CrashError(Exception):
    pass


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """How long this thread's connection waits for another one's lock."""
    statement = "PRAGMA busy_timeout = {}000" if is_sqlite() else "SET SESSION innodb_lock_wait_timeout = {}"
    database.execute_sql(statement.format(seconds))
    yield
    database.execute_sql(statement.format(LOCK_WAIT_TIMEOUT_SECONDS))


def test_a_request_that_is_still_in_flight_is_a_conflict(api: Api) -> None:
    customer = api.customer(1)
    with in_flight(api.clock), patience(1), nothing_changes_but_the_sequence():
        answer = open_ticket(customer)
    if is_sqlite():
        # There, one write at a time: it is the whole database that is busy.
        problem(answer, 503, "database_unavailable")
    else:
        problem(answer, 409, "idempotency_in_flight")

    # The first one was rolled back, so this is the first now.
    assert open_ticket(customer).status_code == 201
    assert Ticket.select().count() == 1
