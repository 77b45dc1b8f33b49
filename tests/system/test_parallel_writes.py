"""Many at once: numbers stay distinct, histories whole, and a repeated request is one request."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx

from tests.system.conftest import Site
from tests.system.fleet import Admin, Agent, Customer, Document, ExchangeListener, opened
from tests.system.writers import assert_all_events_are_out

CLIENTS = 16
TICKETS = 200
REPETITIONS = 10
RACES = 8
ROUNDS = 12

T = TypeVar("T")


def test_two_hundred_new_tickets_have_two_hundred_numbers(
    site: Site, admin: Admin, listener: ExchangeListener
) -> None:
    owners = [site.someone_new() for _ in range(CLIENTS)]

    def open_some(place: int) -> list[httpx.Response]:
        with Customer(site.fleet, owners[place]) as customer:
            return [customer.open() for _ in range(place, TICKETS, CLIENTS)]

    answers = [answer for some in at_once(CLIENTS, open_some) for answer in some]
    ids = [opened(answer) for answer in answers]
    numbers = [answer.json()["ticket_number"] for answer in answers]
    assert len(ids) == len(set(ids)) == TICKETS
    assert len(set(numbers)) == TICKETS
    assert all(re.fullmatch(r"TICKET-\d{8}-\d{3,}", number) for number in numbers)
    assert {row["id"] for owner in owners for row in admin.all_rows(f"/tickets?user_id={owner}")} == set(ids)
    assert_all_events_are_out(listener, admin, ids)


def test_two_admins_and_the_customer_at_once_make_one_history(
    site: Site, admin: Admin, customer: Customer, listener: ExchangeListener
) -> None:
    agents = [site.someone_new(), site.someone_new()]
    for agent_id in agents:
        with Agent(site.fleet, agent_id) as agent:
            agent.join()
    ticket_id = opened(customer.open())

    def work(place: int) -> list[httpx.Response]:
        with Admin(site.fleet, site.someone_new()) as staff:
            answers = []
            for number in range(ROUNDS):
                answers.append(staff.assign(ticket_id, agents[(place + number) % 2]))
                answers.append(staff.reply(ticket_id, "We are looking."))
                answers.append(staff.resolve(ticket_id, f"Solved by {place}"))
            return answers

    def ask(_place: int) -> list[httpx.Response]:
        with Customer(site.fleet, customer.user_id) as asking:
            return [asking.reply(ticket_id, "Not solved at all.") for _ in range(2 * ROUNDS)]

    by_staff, by_others, by_customer = at_once(3, lambda place: ask(place) if place == 2 else work(place))
    answers = [*by_staff, *by_others, *by_customer]
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    replies = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(replies) == 4 * ROUNDS
    changes = [answer for answer in answers if answer.status_code == 200]
    assert changes

    ticket, history = admin.ticket(ticket_id), admin.history(ticket_id)
    assert sorted(message["id"] for message in ticket["messages"]) == sorted(replies)
    assert_no_update_was_lost(ticket, history)
    told = [row["event"] for row in history]
    assert told.count("ticket.message.new") == len(replies)
    resolutions = [answer for answer in changes if answer.request.url.path.endswith("/resolve")]
    assert told.count("ticket.resolved") == len(resolutions)
    assert ticket["reopen_count"] == told.count("ticket.reopened")
    assert_all_events_are_out(listener, admin, [ticket_id])


def test_of_two_agents_who_take_a_ticket_one_gets_it(site: Site, admin: Admin, customer: Customer) -> None:
    tickets = [opened(customer.open()) for _ in range(RACES)]
    agent_ids = [site.someone_new(), site.someone_new()]
    start = threading.Barrier(2)

    def take(place: int) -> list[httpx.Response]:
        with Agent(site.fleet, agent_ids[place]) as agent:
            agent.join()
            answers = []
            for ticket_id in tickets:
                start.wait()
                answers.append(agent.assign(ticket_id, agent.user_id))
            return answers

    for ticket_id, *answers in zip(tickets, *at_once(2, take), strict=True):
        # To the other one it is out of sight from then on, and so it is absent.
        assert sorted(answer.status_code for answer in answers) == [200, 404]
        winner = agent_ids[[answer.status_code for answer in answers].index(200)]
        assert admin.ticket(ticket_id)["assigned_to"] == winner
        assert [row["event"] for row in admin.history(ticket_id)] == ["ticket.created", "ticket.assigned"]


def test_one_key_from_ten_threads_opens_one_ticket(site: Site, customer: Customer) -> None:
    start = threading.Barrier(REPETITIONS)

    def repeat(_place: int) -> httpx.Response:
        with Customer(site.fleet, customer.user_id) as impatient:
            start.wait()
            return impatient.open(key="one and the same")

    answers = at_once(REPETITIONS, repeat)
    created = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert all(answer.json()["code"] == "idempotency_in_flight" for answer in refused)
    first = [answer for answer in created if "Idempotency-Replayed" not in answer.headers]
    assert len(first) == 1
    assert all(answer.json() == first[0].json() for answer in created)
    assert [row["id"] for row in customer.all_rows("/tickets")] == [opened(first[0])]


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Runs `work(0)`, `work(1)`, … in as many threads; their results in this order."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def assert_no_update_was_lost(ticket: Document, history: list[Document]) -> None:
    """Every change begins where the one before it has ended, and the last one ends at the ticket."""
    assert [row["sequence"] for row in history] == list(range(1, len(history) + 1))
    now = {"status": "open", "assigned_to": None, "resolved_at": None, "resolution_notes": None}
    for row in history:
        for name in now.keys() & row["changes"].keys():
            assert row["changes"][name]["from"] == now[name], (name, row)
            now[name] = row["changes"][name]["to"]
    resolved_at = now.pop("resolved_at")
    assert now == {name: ticket[name] for name in now}
    assert (resolved_at is None) == (ticket["resolved_at"] is None)
