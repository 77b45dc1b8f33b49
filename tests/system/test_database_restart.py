"""The database server goes away and comes back: honest answers meanwhile, no restart of ours afterwards."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.plugins.servers import FreshBroker, server_database_settings
from tests.servers.belongings import create_database
from tests.servers.cable import Cable
from tests.servers.mysql import PrivateMySQL
from tests.servers.ports import LOOPBACK, wait_until
from tests.system.conftest import Site, site_at
from tests.system.fleet import PROCESSES, Admin, Customer, median, opened
from tests.system.writers import assert_all_events_are_out

TICKETS_BEFORE = 5
CALLERS = 8
OUTAGE_SECONDS = 4.0
SLOWEST_ANSWER_SECONDS = 20.0
TYPICAL_ANSWER_SECONDS = 8.0
RETURN_TIMEOUT_SECONDS = 60.0

Question = tuple[Callable[[], httpx.Response], Callable[[httpx.Response], None]]


@dataclass(frozen=True)
class Store:
    """A database server of our own, and the cable between it and the service."""

    server: PrivateMySQL
    cable: Cable


@pytest.fixture
def store(server_directory: Path) -> Iterator[Store]:
    with (
        PrivateMySQL(server_directory / "database") as server,
        Cable(LOOPBACK, server.port) as cable,
    ):
        create_database(server.address, "restart")
        yield Store(server, cable)


@pytest.fixture
def site(store: Store, fresh_broker: FreshBroker, tmp_path: Path) -> Iterator[Site]:
    """A fleet of its own: the shared one must not lose its database."""
    settings = server_database_settings(store.server.address, "restart")
    database = settings | {"DB_PORT": str(store.cable.port)}
    with site_at(database=database, broker=fresh_broker(), directory=tmp_path) as site:
        yield site


def test_the_database_comes_back_and_all_goes_on(site: Site, store: Store) -> None:
    """Stopped in good order, killed, and silent: one after the other, on the same processes of ours."""
    live_through(site, begin=store.server.stop, end=store.server.start)
    live_through(site, begin=store.server.kill, end=store.server.start)
    live_through(site, begin=store.cable.black_hole, end=store.cable.mend)


def live_through(site: Site, *, begin: Callable[[], None], end: Callable[[], None]) -> None:
    with Customer(site.fleet, site.someone_new()) as customer, Admin(site.fleet, site.someone_new()) as admin:
        first = opened(customer.open())
        site.listener.wait_for(first, 1)
        # With the broker away, these events are still in the database when that goes.
        site.cable.cut()
        before = [opened(customer.open()) for _ in range(TICKETS_BEFORE)]

        begin()
        with ThreadPoolExecutor(CALLERS) as pool:
            waits = list(pool.map(lambda place: ask_without_database(site, first, place), range(CALLERS)))
        seconds = [one for some in waits for one in some]
        print(f"{len(seconds)} answers, median {median(seconds):.3f} s, the slowest {max(seconds):.3f} s")
        assert max(seconds) < SLOWEST_ANSWER_SECONDS
        assert median(seconds) < TYPICAL_ANSWER_SECONDS

        site.cable.mend()
        end()
        returned_at = time.monotonic()
        wait_until(
            lambda: customer.get("/status").status_code == 200,
            timeout_seconds=RETURN_TIMEOUT_SECONDS,
            what="/status",
        )
        after = opened(until_available(lambda: customer.open()))
        opened(until_available(lambda: customer.reply(after, "Are you back?")))
        assert until_available(lambda: admin.resolve(after, "We are")).status_code == 200
        assert_all_events_are_out(site.listener, admin, [*before, after])
        last_at = max(delivery.at for delivery in site.listener.deliveries)
        print(f"the last event came {last_at - returned_at:.1f} s after the database's return")
        # Nobody has started them again.
        assert all(site.fleet.is_running(name) for name in PROCESSES)


def ask_without_database(site: Site, ticket_id: int, place: int) -> list[float]:
    """Reads, writes and probes in turn, for some seconds; how long each has waited for its answer."""
    seconds = []
    until = time.monotonic() + OUTAGE_SECONDS
    with Customer(site.fleet, site.someone_new()) as customer:
        questions: list[Question] = [
            (lambda: customer.get("/status"), assert_disconnected),
            (lambda: customer.open(), assert_unavailable),
            (lambda: customer.open(key=str(uuid4())), assert_unavailable),
            (lambda: customer.reply(ticket_id, "Hello?"), assert_unavailable),
            (lambda: customer.get("/tickets"), assert_unavailable),
            (lambda: customer.get(f"/tickets/{ticket_id}"), assert_unavailable),
            (lambda: customer.get("/health"), assert_healthy),
        ]
        # Each begins with another one: when answers are slow, all are asked nevertheless.
        for ask, check in cycle(questions[place % len(questions) :] + questions[: place % len(questions)]):
            answer = ask()
            check(answer)
            seconds.append(answer.elapsed.total_seconds())
            if time.monotonic() > until:
                break
    return seconds


def until_available(call: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer that is no 503: each web process has to find out for itself."""
    give_up_at = time.monotonic() + RETURN_TIMEOUT_SECONDS
    while (answer := call()).status_code == 503 and time.monotonic() < give_up_at:
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


def assert_healthy(answer: httpx.Response) -> None:
    assert answer.status_code == 200


def assert_disconnected(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["database"]) == (503, "disconnected")


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 503
    assert problem["code"] == "database_unavailable"
    assert problem["request_id"] == answer.headers["X-Request-ID"]
