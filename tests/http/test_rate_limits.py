"""Whoever knocks without an account is counted: by address, by e-mail, and altogether, in all processes."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from falcon.testing import Result, TestClient, create_environ
from structlog.testing import capture_logs

from sav.http.app import create_app
from sav.http.rate_limits import PublicDoor
from sav.models.database import connection
from sav.models.tables import Attachment, RateCounter, Ticket
from tests.factories.forms import PNG, form
from tests.factories.guest_tickets import make_guest_ticket
from tests.factories.tickets import make_ticket
from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import UNLIMITED, Api, counted_queries

NEW = {"email": "ana@example.com", "subject": "Lost parcel", "description": "It never came."}
PROXY = "10.0.0.1"
Limited = Callable[..., Api]


@pytest.fixture
def limited(api: Api) -> Limited:
    """The HTTP tier with limits that a test can reach, behind a proxy that is trusted."""

    def build(**limits: int) -> Api:
        trusted = (ip_network("10.0.0.0/8"),)
        door = PublicDoor(replace(UNLIMITED, trusted_proxies=trusted, **limits))
        desk = replace(api.desk, public_door=door)
        return Api(TestClient(create_app(desk)), desk, api.clock)

    return build


def from_address(address: str, **headers: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": address, **headers}, "remote_addr": PROXY}


def headers_of(answer: Result) -> tuple[int, int, int]:
    limit, remaining, reset = (
        int(answer.headers[f"RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")
    )
    return limit, remaining, reset


def test_an_address_is_refused_after_its_last_request_until_the_window_ends(limited: Limited) -> None:
    api = limited(requests_per_minute=3)
    ticket, _ = make_guest_ticket()
    path = f"/public/tickets/{ticket.ticket_number}"
    api.clock.now = api.clock.now.replace(second=20)

    shown = [headers_of(api.get(path, **from_address("198.51.100.1"))) for _ in range(3)]
    assert shown == [(3, 2, 40), (3, 1, 40), (3, 0, 40)]
    for _ in range(2):
        refused = api.get(path, **from_address("198.51.100.1"))
        problem(refused, 429, "rate_limited")
        assert refused.headers["Retry-After"] == "40"
        assert headers_of(refused) == (3, 0, 40)
    # Others are not concerned.
    assert api.get(path, **from_address("198.51.100.2")).status_code == 200

    api.clock.forward(seconds=39)
    assert api.get(path, **from_address("198.51.100.1")).status_code == 429
    api.clock.forward(seconds=1)
    assert headers_of(api.get(path, **from_address("198.51.100.1"))) == (3, 2, 60)


def test_all_doors_count_together_and_wrong_requests_too(limited: Limited) -> None:
    api = limited(requests_per_minute=4)
    ticket, token = make_guest_ticket()
    path, here = f"/public/tickets/{ticket.id}/messages", from_address("198.51.100.1")
    mine = from_address("198.51.100.1", **{"X-Ticket-Token": token})
    remaining = [
        headers_of(answer)[1]
        for answer in (
            api.post("/public/tickets", NEW, **here),
            api.post("/public/tickets", {}, **here),
            api.post(path, {"content": "Hello?"}, **mine),
            api.get("/public/tickets/nothing", **here),
        )
    ]
    assert remaining == [3, 2, 1, 0]
    with nothing_changes():
        problem(api.post(path, {"content": "Hello?"}, **mine), 429, "rate_limited")
        # What is refused is not even looked at.
        problem(api.post("/public/tickets", {}, **here), 429, "rate_limited")


def test_an_ipv6_network_is_one_address(limited: Limited) -> None:
    api = limited(requests_per_minute=3)
    statuses = [
        api.get("/public/tickets/nothing", **from_address(f"2001:db8:1:2::{number:x}")).status_code
        for number in range(5)
    ]
    assert statuses == [404, 404, 404, 429, 429]
    assert api.get("/public/tickets/nothing", **from_address("2001:db8:1:3::1")).status_code == 404


def test_a_stranger_does_not_choose_their_address(limited: Limited) -> None:
    api = limited(requests_per_minute=3)
    statuses = [
        api.get(
            "/public/tickets/nothing",
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
            remote_addr="203.0.113.9",
        ).status_code
        for number in range(5)
    ]
    assert statuses == [404, 404, 404, 429, 429]


def test_tickets_for_one_e_mail_are_counted_from_wherever_they_come(limited: Limited) -> None:
    api = limited(tickets_per_hour=3)
    emails = ["ana@example.com", "ANA@example.com", " ana@Example.com "]
    answers = [
        api.post("/public/tickets", {**NEW, "email": email}, **from_address(f"198.51.100.{number}"))
        for number, email in enumerate(emails)
    ]
    assert [answer.status_code for answer in answers] == [201] * 3
    with nothing_changes():
        refused = api.post("/public/tickets", NEW, **from_address("198.51.100.9"))
    problem(refused, 429, "rate_limited")
    assert headers_of(refused) == (3, 0, 1800)
    assert refused.headers["Retry-After"] == "1800"
    assert api.post("/public/tickets", {**NEW, "email": "bo@example.com"}).status_code == 201
    api.clock.forward(minutes=30)
    assert api.post("/public/tickets", NEW).status_code == 201


def test_a_repeated_request_is_none_of_the_tickets_of_an_hour(limited: Limited) -> None:
    api = limited(tickets_per_hour=1)
    once = {"headers": {"Idempotency-Key": "once"}}
    first, again = (api.post("/public/tickets", NEW, **once) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    problem(api.post("/public/tickets", NEW), 429, "rate_limited")


def test_files_are_counted_by_ticket_before_they_are_received(limited: Limited) -> None:
    api = limited(files_per_hour=2)
    (one, token), (two, other) = make_guest_ticket(), make_guest_ticket()

    def attach(ticket: Ticket, shown: str) -> int:
        path = f"/public/tickets/{ticket.id}/attachments"
        parts = form(("file", "a.png", PNG), headers={"X-Ticket-Token": shown})
        return int(api.post(path, **parts).status_code)

    assert [attach(one, token) for _ in range(3)] == [201, 201, 429]
    assert attach(two, other) == 201
    assert Attachment.select().count() == 3


def test_all_addresses_together_are_counted_but_not_those_that_were_refused(limited: Limited) -> None:
    api = limited(requests_per_minute=2, requests_per_minute_overall=5)
    # One address makes a lot of noise, and uses up no more than its own part.
    for _ in range(10):
        api.get("/public/tickets/nothing", **from_address("198.51.100.1"))
    statuses = [
        api.get("/public/tickets/nothing", **from_address(f"198.51.100.{number}")).status_code
        for number in range(2, 7)
    ]
    assert statuses == [404, 404, 404, 429, 429]


def test_who_has_an_account_is_not_counted(limited: Limited) -> None:
    api = limited(requests_per_minute=1, requests_per_minute_overall=1)
    answers = [api.customer(1).get("/tickets") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("RateLimit-Limit" in answer.headers for answer in answers)
    for _ in range(5):
        probe = api.get("/health")
        assert probe.status_code == 200
        assert "RateLimit-Limit" not in probe.headers
    assert RateCounter.select().count() == 0


def test_neither_address_nor_e_mail_is_kept(limited: Limited) -> None:
    api = limited()
    api.post("/public/tickets", NEW, **from_address("198.51.100.1"))
    rows = list(RateCounter.select())
    assert len(rows) == 3
    for row in rows:
        assert len(row.key_hash) == 64
        assert "198.51.100.1" not in row.key_hash
        assert "ana" not in row.key_hash


def test_processes_count_together(limited: Limited) -> None:
    """Each with an application of its own, at the same time: exactly so many are let in."""
    tiers = [limited(requests_per_minute=20) for _ in range(4)]
    statuses: list[int] = []

    def knock(api: Api) -> None:
        with connection():
            for _ in range(10):
                answer = api.get("/public/tickets/nothing", **from_address("198.51.100.1"))
                statuses.append(answer.status_code)

    threads = [threading.Thread(target=knock, args=(api,)) for api in tiers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [404] * 20 + [429] * 20


# Guessing


def test_who_guesses_wrong_too_often_is_refused_with_the_right_one_too(limited: Limited) -> None:
    api = limited(wrong_guesses_per_minute=3)
    ticket, token = make_guest_ticket()
    path, here = f"/public/tickets/{ticket.id}/messages", "198.51.100.1"
    for _ in range(3):
        problem(api.post(path, {"content": "x"}, **from_address(here)), 404, "not_found")
    with nothing_changes():
        right = from_address(here, **{"X-Ticket-Token": token})
        for answer in (
            api.post(path, {"content": "Hello?"}, **right),
            api.get(f"/public/tickets/{ticket.ticket_number}", **right),
        ):
            problem(answer, 429, "rate_limited")
            assert headers_of(answer)[:2] == (3, 0)
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
    # They may still open a ticket: that is no guess.
    assert api.post("/public/tickets", NEW, **from_address(here)).status_code == 201
    api.clock.forward(minutes=1)
    assert api.post(path, {"content": "Hello?"}, **right).status_code == 201


def test_a_strangers_guesses_do_not_lock_the_guest_out(limited: Limited) -> None:
    api = limited(wrong_guesses_per_minute=3)
    ticket, token = make_guest_ticket()
    path = f"/public/tickets/{ticket.id}/messages"
    for number in range(50):
        guess = from_address(f"203.0.113.{number % 5}", **{"X-Ticket-Token": f"guess {number}"})
        assert api.post(path, {"content": "x"}, **guess).status_code in (404, 429)
    mine = from_address("198.51.100.1", **{"X-Ticket-Token": token})
    assert api.post(path, {"content": "Hello?"}, **mine).status_code == 201
    assert api.get(f"/public/tickets/{ticket.ticket_number}", **mine).status_code == 200


def test_right_ones_are_no_guesses(limited: Limited) -> None:
    api = limited(wrong_guesses_per_minute=2)
    ticket, token = make_guest_ticket()
    for _ in range(5):
        mine = from_address("198.51.100.1", **{"X-Ticket-Token": token})
        answer = api.post(f"/public/tickets/{ticket.id}/messages", {"content": "Hello?"}, **mine)
        assert answer.status_code == 201


GUESSES = 10_000


def test_ten_thousand_guesses_find_nothing_and_are_throttled(limited: Limited) -> None:
    """Numbers, ids and tokens, by somebody who knows how they are made, at one address."""
    api = limited(requests_per_minute=120, wrong_guesses_per_minute=30)
    tickets = [make_guest_ticket()[0] for _ in range(20)] + [make_ticket(user_id=1) for _ in range(20)]
    chance = random.Random(20260329)
    heard: Counter[int] = Counter()
    with nothing_changes(), capture_logs():
        for number in range(GUESSES):
            if number % 2500 == 0:
                # Four minutes of it; the bound is by the minute.
                api.clock.forward(minutes=1)
            heard[guess(api.client.app, chance, tickets, number)] += 1
    minutes = GUESSES // 2500
    assert heard == {404: 30 * minutes, 429: GUESSES - 30 * minutes}


def guess(app: Any, chance: random.Random, tickets: list[Ticket], number: int) -> int:
    """The status that one guess is answered with; straight from the application, because there are many."""
    ticket = chance.choice(tickets)
    suffix = "".join(chance.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=8))
    guessed = f"{ticket.ticket_number[:-8]}{suffix}"
    method, path = (
        ("GET", guessed),
        ("GET", str(chance.randrange(1, 10**6))),
        ("POST", f"{ticket.id}/messages"),
        ("POST", f"{guessed}/satisfaction"),
    )[number % 4]
    headers = {"X-Ticket-Token": suffix * 5, "Content-Type": "application/json"}
    environ = create_environ(f"/public/tickets/{path}", method=method, headers=headers, body='{"rating": 1}')
    heard: list[str] = []
    for _ in app({**environ, "REMOTE_ADDR": "198.51.100.1"}, lambda status, _: heard.append(status)):
        pass
    return int(heard[0].split()[0])


def test_guesses_cost_the_same_statements_whatever_they_are_about(limited: Limited) -> None:
    api = limited()
    ticket, _ = make_guest_ticket()
    customers = make_ticket(user_id=1)
    asked = []
    for reference in (ticket.id, customers.id, 999_999, "0", "9" * 40, "nonsense", ticket.ticket_number):
        with counted_queries() as statements:
            answer = api.post(f"/public/tickets/{reference}/messages", {"content": "x"})
        assert answer.status_code == 404
        asked.append(len(statements))
    assert len(set(asked)) == 1


def test_a_flood_that_was_refused_asks_the_database_nothing(limited: Limited) -> None:
    api = limited(requests_per_minute=2)
    for _ in range(3):
        answer = api.get("/public/tickets/nothing", **from_address("198.51.100.1"))
    assert answer.status_code == 429
    with counted_queries() as statements:
        again = api.get("/public/tickets/nothing", **from_address("198.51.100.1"))
    problem(again, 429, "rate_limited")
    assert headers_of(again) == headers_of(answer)
    assert statements == []
