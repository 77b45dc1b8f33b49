"""SIGTERM: what was accepted is finished, what was not is refused, and the process is gone in time with 0."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import httpx

from tests.servers.ports import LOOPBACK, wait_until
from tests.system.conftest import Site
from tests.system.fleet import (
    REQUEST_TIMEOUT_SECONDS,
    STOP_TIMEOUT_SECONDS,
    Admin,
    Customer,
    Fleet,
    opened,
    token,
)
from tests.system.writers import Writers, assert_all_events_are_out, assert_nothing_is_lost_or_doubled

SLOW_REQUESTS = 6
THINKING_SECONDS = 1.0
HASTY_CLIENTS = 4
REQUESTS_BEFORE_THE_STOP = 40
BACKLOG = 60
UNTOLD = 10
# Below the 40 seconds that a supervisor gives; the worker gives itself 20.
SILENT_BROKER_STOP_SECONDS = 30.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class SlowRequest:
    """A new ticket whose body is only half sent; the server has begun to read it."""

    def __init__(self, fleet: Fleet, user_id: int) -> None:
        self._body = json.dumps({"subject": "Slow", "description": "Sent over a slow line. " * 50}).encode()
        self._socket = socket.create_connection((LOOPBACK, fleet.port), REQUEST_TIMEOUT_SECONDS)
        head = (
            "POST /tickets HTTP/1.1\r\n"
            f"Host: {LOOPBACK}:{fleet.port}\r\n"
            f"Authorization: Bearer {token('customer', user_id)}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(self._body)}\r\n"
            "Expect: 100-continue\r\n"
            "\r\n"
        )
        self._socket.sendall(head.encode())
        received = b""
        while not received.endswith(CONTINUE):
            received += self._socket.recv(1)
        self._socket.sendall(self._body[:100])

    def finish(self) -> tuple[int, int]:
        """Sends the rest; the status, and the id of the ticket."""
        self._socket.sendall(self._body[100:])
        response = http.client.HTTPResponse(self._socket, method="POST")
        response.begin()
        ticket = json.loads(response.read())
        return response.status, ticket["id"]

    def close(self) -> None:
        self._socket.close()


class HastyClients:
    """Threads that open tickets as fast as they can until they get no answer; half keep their connection."""

    def __init__(self, site: Site) -> None:
        self.user_ids = [site.someone_new() for _ in range(HASTY_CLIENTS)]
        self.answers: list[httpx.Response] = []
        self.unanswered: dict[int, str] = {}
        """Each client's last Idempotency-Key: whether that request was accepted, nobody has told it."""
        self._fleet = site.fleet
        self._threads = [
            threading.Thread(target=self._run, args=item, daemon=True) for item in enumerate(self.user_ids)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(STOP_TIMEOUT_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)

    def _run(self, place: int, user_id: int) -> None:
        with Customer(self._fleet, user_id, keep_alive=place % 2 == 0) as customer:
            while user_id not in self.unanswered:
                key = str(uuid4())
                try:
                    self.answers.append(customer.open(key=key))
                except httpx.TransportError:
                    self.unanswered[user_id] = key


def test_sigterm_to_the_web_under_load_fails_nothing_that_was_accepted(site: Site, admin: Admin) -> None:
    hasty = HastyClients(site)
    with slow_requests(site) as (slow_owner, requests):
        hasty.start()
        wait_until(
            lambda: len(hasty.answers) >= REQUESTS_BEFORE_THE_STOP,
            timeout_seconds=REQUEST_TIMEOUT_SECONDS,
            what="load",
        )
        site.fleet.ask_to_end("http")
        time.sleep(THINKING_SECONDS)
        slow = [request.finish() for request in requests]
        code, seconds = site.fleet.ended("http")
    hasty.join()

    assert [status for status, _ in slow] == [201] * SLOW_REQUESTS
    assert {answer.status_code for answer in hasty.answers} == {201}
    assert code == 0
    assert seconds < STOP_TIMEOUT_SECONDS
    print(f"sav http ended after {seconds:.1f} s; {len(hasty.answers)} hasty requests were answered")

    site.fleet.start("http")
    assert {row["id"] for row in admin.all_rows(f"/tickets?user_id={slow_owner}")} == {
        ticket_id for _, ticket_id in slow
    }
    for user_id, key in hasty.unanswered.items():
        with Customer(site.fleet, user_id) as customer:
            # Had it been accepted, this answer would be the first one again.
            again = customer.open(key=key)
            assert again.status_code == 201
            assert "Idempotency-Replayed" not in again.headers
    ids = [answer.json()["id"] for answer in hasty.answers]
    assert len(set(ids)) == len(ids)
    assert_all_events_are_out(site.listener, admin, ids)


def test_sigterm_to_the_worker_in_the_middle_of_publishing_loses_nothing(site: Site, admin: Admin) -> None:
    with Writers(site, pause_seconds=0) as writers:
        site.cable.cut()
        writers.wait_for_tickets(BACKLOG)
        told = told_of(site, writers)
        before = told()
        site.cable.mend()
        wait_until(lambda: told() > before, timeout_seconds=REQUEST_TIMEOUT_SECONDS, what="the first event")
        site.fleet.ask_to_end("worker")
        assert told() < BACKLOG, "it was through already"
        code, seconds = site.fleet.ended("worker")
    assert code == 0
    assert seconds < STOP_TIMEOUT_SECONDS
    print(f"sav worker ended after {seconds:.1f} s")

    site.fleet.start("worker")
    assert_nothing_is_lost_or_doubled(writers, admin)
    # No lease is left behind by one who ends in good order: nobody waits for it to run out.
    waited = assert_all_events_are_out(site.listener, admin, writers.ticket_ids)
    print(f"the last event came {waited:.1f} s later")


def test_sigterm_ends_a_worker_that_is_caught_in_a_silent_broker(
    site: Site, customer: Customer, admin: Admin
) -> None:
    # Its connections are open and in use when the silence begins.
    site.listener.wait_for(opened(customer.open()), 1)
    site.cable.black_hole()
    untold = [opened(customer.open()) for _ in range(UNTOLD)]
    site.fleet.ask_to_end("worker")
    code, seconds = site.fleet.ended("worker", timeout_seconds=SILENT_BROKER_STOP_SECONDS)
    assert code == 0
    print(f"sav worker ended after {seconds:.1f} s")

    site.cable.mend()
    site.fleet.start("worker")
    assert_all_events_are_out(site.listener, admin, untold)


def told_of(site: Site, writers: Writers) -> Callable[[], int]:
    """Counts the writers' events that have come so far."""

    def count() -> int:
        mine = set(writers.ticket_ids)
        return sum(delivery.ticket_id in mine for delivery in site.listener.deliveries)

    return count


@contextmanager
def slow_requests(site: Site) -> Iterator[tuple[int, list[SlowRequest]]]:
    owner = site.someone_new()
    with ExitStack() as stack:
        requests = []
        for _ in range(SLOW_REQUESTS):
            requests.append(SlowRequest(site.fleet, owner))
            stack.callback(requests[-1].close)
        yield owner, requests
