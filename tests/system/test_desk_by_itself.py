"""What the desk does by itself, on real processes: four workers, two schedulers, and nobody who helps."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pytest

from tests.plugins.servers import FreshBroker, FreshDatabase
from tests.servers.ports import wait_until
from tests.system.conftest import Site, site_at
from tests.system.fleet import Admin, Agent, Customer, Document, opened
from tests.system.foreign import Tables

SHORT = {
    "WORKER_PROCESSES": "4",
    "WORKER_THREADS": "2",
    "WEB_PROCESSES": "1",
}
AGENTS, CAPACITY, TICKETS, CLIENTS = 5, 4, 50, 10
PRIORITIES = ("low", "normal", "high", "urgent")
ARRIVAL_TIMEOUT_SECONDS = 60.0
ASSIGNED_WITHIN_SECONDS = 5.0
SAMPLE_SECONDS = 0.02
LOADS = (
    "SELECT assigned_to, COUNT(*) FROM support_tickets WHERE assigned_to IS NOT NULL "
    "AND status NOT IN ('resolved', 'closed') GROUP BY assigned_to"
)


@dataclass(frozen=True)
class Lone:
    """A fleet of its own, and the tables behind it."""

    site: Site
    tables: Tables

    def loads(self) -> Counter[int]:
        return Counter(dict(self.tables.rows(LOADS)))

    def count(self, status: str) -> int:
        return self.tables.number("SELECT COUNT(*) FROM support_tickets WHERE status = %s", status)


@pytest.fixture(scope="module")
def lone(
    tmp_path_factory: pytest.TempPathFactory, fresh_account: FreshDatabase, fresh_broker: FreshBroker
) -> Iterator[Lone]:
    database = fresh_account("by_itself")
    with site_at(
        database=database | SHORT, broker=fresh_broker(), directory=tmp_path_factory.mktemp("by_itself")
    ) as site:
        yield Lone(site, Tables(database))


class Sampler:
    """Looks at what every agent has in hand, again and again."""

    def __init__(self, lone: Lone) -> None:
        self._lone = lone
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.samples: list[Counter[int]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with self._lone.tables.connection() as connection, connection.cursor() as cursor:
            while not self._stopping.wait(SAMPLE_SECONDS):
                cursor.execute(LOADS)
                self.samples.append(Counter(dict(cursor.fetchall())))


def test_fifty_tickets_at_once_for_twenty_places(lone: Lone) -> None:
    site = lone.site
    with ExitStack() as stack:
        admin = stack.enter_context(Admin(site.fleet, site.someone_new()))
        agents = {
            user_id: Agent(site.fleet, user_id) for user_id in (site.someone_new() for _ in range(AGENTS))
        }
        for agent in agents.values():
            stack.enter_context(agent)
            come_in(agent, admin, capacity=CAPACITY)
        sampler = stack.enter_context(Sampler(lone))
        owner = site.someone_new()

        tickets = open_at_once(lone, owner)
        wait_until(
            lambda: lone.loads().total() == AGENTS * CAPACITY,
            timeout_seconds=ARRIVAL_TIMEOUT_SECONDS,
            what="every place to be taken",
        )
        assert lone.loads() == dict.fromkeys(agents, CAPACITY)
        assert lone.count("open") == TICKETS - AGENTS * CAPACITY == 30

        queue = in_order([ticket for ticket in tickets if status(lone, ticket["id"]) == "open"])
        slowest = 0.0
        for place, ticket in enumerate(queue):
            user_id = sorted(agents)[place % AGENTS]
            resolve_one(lone, agents[user_id], user_id)
            slowest = max(slowest, seconds_until_assigned(lone, ticket["id"]))
            assert status(lone, ticket["id"]) == "assigned"
        print(f"the slowest of {len(queue)} tickets was assigned {slowest:.2f} s after a place was free")
        assert slowest < ASSIGNED_WITHIN_SECONDS
        assert lone.count("open") == 0

    assert sampler.samples
    assert max(max(sample.values(), default=0) for sample in sampler.samples) == CAPACITY
    check_log(lone, agents=sorted(agents))


def come_in(agent: Agent, admin: Admin, *, capacity: int) -> None:
    agent.join()
    answer = admin.call("PUT", f"/agents/{agent.user_id}", {"capacity": capacity})
    assert answer.status_code == 200, answer.text
    answer = agent.call("PUT", "/agents/me/availability", {"available": True})
    assert answer.status_code == 200, answer.text


def open_at_once(lone: Lone, owner: int) -> list[Document]:
    barrier = threading.Barrier(CLIENTS)

    def open_some(place: int) -> list[Document]:
        with Customer(lone.site.fleet, owner) as customer:
            barrier.wait(ARRIVAL_TIMEOUT_SECONDS)
            answers = [
                customer.open({"priority": PRIORITIES[number % 4]})
                for number in range(place, TICKETS, CLIENTS)
            ]
            assert all(opened(answer) for answer in answers)
            return [answer.json() for answer in answers]

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [ticket for some in pool.map(open_some, range(CLIENTS)) for ticket in some]


def in_order(tickets: list[Document]) -> list[Document]:
    return sorted(tickets, key=lambda ticket: (-PRIORITIES.index(ticket["priority"]), ticket["id"]))


def status(lone: Lone, ticket_id: int) -> str:
    ((found,),) = lone.tables.rows("SELECT status FROM support_tickets WHERE id = %s", ticket_id)
    return str(found)


def resolve_one(lone: Lone, agent: Agent, user_id: int) -> None:
    ((ticket_id,), *_) = lone.tables.rows(
        "SELECT id FROM support_tickets WHERE assigned_to = %s AND status = 'assigned' ORDER BY id", user_id
    )
    answer = agent.resolve(ticket_id, "Sent again.")
    assert answer.status_code == 200, answer.text


def seconds_until_assigned(lone: Lone, ticket_id: int) -> float:
    started_at = time.monotonic()
    wait_until(
        lambda: status(lone, ticket_id) != "open",
        timeout_seconds=ARRIVAL_TIMEOUT_SECONDS,
        what=f"ticket {ticket_id} to be assigned",
    )
    return time.monotonic() - started_at


def check_log(lone: Lone, *, agents: list[int]) -> None:
    """The event log, in its order: nobody had more than their places, and nobody much more than another."""
    events = lone.tables.rows(
        "SELECT e.name, t.assigned_to, e.actor_role FROM ticket_events e JOIN support_tickets t "
        "ON t.id = e.ticket_id WHERE e.name IN ('ticket.assigned', 'ticket.resolved') ORDER BY e.id"
    )
    load = Counter(dict.fromkeys(agents, 0))
    for name, agent_id, actor_role in events:
        load[agent_id] += 1 if name == "ticket.assigned" else -1
        assert name == "ticket.resolved" or actor_role == "system"
        assert max(load.values()) <= CAPACITY
        assert max(load.values()) - min(load.values()) <= 1
    assert Counter(name for name, _, _ in events) == {"ticket.assigned": TICKETS, "ticket.resolved": 30}
