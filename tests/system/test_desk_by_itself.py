"""What the desk does by itself, on real processes: four workers, two schedulers, and nobody who helps."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.plugins.servers import FreshBroker, FreshDatabase
from tests.servers.ports import free_port, wait_until
from tests.system.conftest import Site, site_at
from tests.system.fleet import Admin, Agent, Customer, Document, opened
from tests.system.foreign import Tables
from tests.system.running_service import UpService, call

SHORT = {
    "WORKER_PROCESSES": "4",
    "WORKER_THREADS": "2",
    "WEB_PROCESSES": "1",
    "ESCALATION_TIMEOUT_HOURS": "0.002",
    "AUTO_CLOSE_RESOLVED_DAYS": "0.00005",
}
ESCALATION_SECONDS = 7.2
ESCALATED_WITHIN_SECONDS = 60.0
TAKEOVER_SECONDS = 60.0
AGENTS, CAPACITY, TICKETS, CLIENTS = 5, 4, 50, 10
PRIORITIES = ("low", "normal", "high")
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
    check_log(lone, owner=owner, agents=sorted(agents))


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
                customer.open({"priority": PRIORITIES[number % len(PRIORITIES)]})
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


def check_log(lone: Lone, *, owner: int, agents: list[int]) -> None:
    """The event log, in its order: nobody had more than their places, and nobody much more than another."""
    events = lone.tables.rows(
        "SELECT e.name, t.assigned_to, e.actor_role FROM ticket_events e JOIN support_tickets t "
        "ON t.id = e.ticket_id WHERE e.name IN ('ticket.assigned', 'ticket.resolved') AND t.user_id = %s "
        "ORDER BY e.id",
        owner,
    )
    load = Counter(dict.fromkeys(agents, 0))
    for name, agent_id, actor_role in events:
        load[agent_id] += 1 if name == "ticket.assigned" else -1
        assert name == "ticket.resolved" or actor_role == "system"
        assert max(load.values()) <= CAPACITY
        assert max(load.values()) - min(load.values()) <= 1
    assert Counter(name for name, _, _ in events) == {"ticket.assigned": TICKETS, "ticket.resolved": 30}


URGENT, RESOLVED, TICKS_AT_ONCE = 6, 8, 3
JOBS = ("auto-close", "escalation-watch", "surveys")


def test_ticks_are_repeated_and_their_leader_dies_yet_each_thing_is_done_once(lone: Lone) -> None:
    site = lone.site
    site.fleet.make_whole()
    with ExitStack() as stack:
        admin = stack.enter_context(Admin(site.fleet, site.someone_new()))
        customer = stack.enter_context(Customer(site.fleet, site.someone_new()))
        second = site.fleet.also_run("scheduler", log="second-scheduler.log")
        stack.callback(second.kill)
        resolved = [opened(customer.open()) for _ in range(RESOLVED)]
        for ticket_id in resolved:
            assert admin.resolve(ticket_id, "Sent again.").status_code == 200
        urgent = [opened(customer.open({"priority": "urgent"})) for _ in range(URGENT)]
        answered, waiting = urgent[:2], urgent[2:]
        for ticket_id in answered:
            opened(admin.reply(ticket_id, "We are looking."))

        ticks = [
            site.fleet.also_run("tick", job, log=f"tick-{job}-{number}.log")
            for job in JOBS
            for number in range(TICKS_AT_ONCE)
        ]
        for tick in ticks:
            stack.callback(tick.kill)
        died_at = time.monotonic()
        site.fleet.kill9("scheduler")
        # What the dead one has recorded was not the last slot, as far as its heir can see.
        forget_last_slots(lone)
        assert [tick.exit_code(timeout_seconds=ARRIVAL_TIMEOUT_SECONDS) for tick in ticks] == [0] * len(ticks)
        wait_until(
            lambda: "leading the schedule" in second.output and not_caught_up(lone) == 0,
            timeout_seconds=TAKEOVER_SECONDS,
            what="the other scheduler to lead, and to catch up",
        )
        print(f"the other scheduler has caught up {time.monotonic() - died_at:.1f} s after the death")
        wait_until(
            lambda: all(told(lone, ticket_id, "ticket.escalated") for ticket_id in waiting),
            timeout_seconds=ESCALATION_SECONDS + ESCALATED_WITHIN_SECONDS,
            what="the escalations",
        )
        forget_last_slots(lone)
        wait_until(
            lambda: all(told(lone, ticket_id, "ticket.closed") for ticket_id in resolved),
            timeout_seconds=ARRIVAL_TIMEOUT_SECONDS,
            what="the closings",
        )
        wait_until(
            lambda: lone.tables.owed() == 0, timeout_seconds=ARRIVAL_TIMEOUT_SECONDS, what="all that is owed"
        )

    assert [told(lone, ticket_id, "ticket.escalated") for ticket_id in waiting] == [1] * len(waiting)
    assert [told(lone, ticket_id, "ticket.escalated") for ticket_id in answered] == [0] * len(answered)
    assert [told(lone, ticket_id, "ticket.closed") for ticket_id in resolved] == [1] * RESOLVED
    assert [surveys(lone, ticket_id) for ticket_id in resolved] == [1] * RESOLVED
    seconds = [seconds_behind_its_deadline(lone, ticket_id) for ticket_id in waiting]
    print(f"escalated {min(seconds):.2f} to {max(seconds):.2f} s after the deadline")
    assert min(seconds) >= 0
    assert max(seconds) < ESCALATED_WITHIN_SECONDS
    for ticket_id in waiting:
        heard = [delivery.event for delivery in site.listener.wait_for(ticket_id, 2)]
        [event] = [event for event in heard if event["event"] == "ticket.escalated"]
        assert event["data"]["reason"] == "no_first_response"


def seconds_behind_its_deadline(lone: Lone, ticket_id: int) -> float:
    microseconds = lone.tables.number(
        "SELECT TIMESTAMPDIFF(MICROSECOND, created_at, escalated_at) FROM support_tickets WHERE id = %s",
        ticket_id,
    )
    return microseconds / 1e6 - ESCALATION_SECONDS


def forget_last_slots(lone: Lone) -> None:
    with lone.tables.connection() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE scheduler_ticks SET last_slot = 0 WHERE job IN (%s, %s, %s)", JOBS)


def not_caught_up(lone: Lone) -> int:
    return lone.tables.number("SELECT COUNT(*) FROM scheduler_ticks WHERE last_slot = 0")


def surveys(lone: Lone, ticket_id: int) -> int:
    """How many mails ask its customer how they were helped."""
    return lone.tables.number(
        "SELECT COUNT(*) FROM mail_deliveries WHERE ticket_id = %s AND kind = 'closed'", ticket_id
    )


def told(lone: Lone, ticket_id: int, name: str) -> int:
    """How often the ticket's log says it."""
    return lone.tables.number(
        "SELECT COUNT(*) FROM ticket_events WHERE ticket_id = %s AND name = %s", ticket_id, name
    )


def test_sav_up_does_it_too_and_a_deadline_outlives_kill_9(tmp_path: Path) -> None:
    port = free_port()

    def start(log: str) -> UpService:
        service = UpService(tmp_path / "var", port=port, log=tmp_path / log, ESCALATION_TIMEOUT_HOURS="0.005")
        service.wait_until_ready()
        return service

    service = start("first.log")
    try:
        agent, customer = service.token("agent"), service.token("customer")
        assert call(port, "GET", "/agents/me", token=agent)[0] == 200
        body = {"subject": "Lost parcel", "description": "It never came.", "priority": "urgent"}
        status_code, ticket = call(port, "POST", "/tickets", token=customer, body=body)
        assert status_code == 201
        service.kill()
        service = start("second.log")
        available = call(port, "PUT", "/agents/me/availability", token=agent, body={"available": True})
        assert available[0] == 200

        def told_once() -> dict[str, str]:
            """The names of the ticket's events by their ids: after a kill one may be told again."""
            return {
                event["id"]: event["event"]
                for event in service.events
                if event["data"]["ticket_id"] == ticket["id"]
            }

        wait_until(
            lambda: {"ticket.assigned", "ticket.escalated"} <= set(told_once().values()),
            timeout_seconds=ARRIVAL_TIMEOUT_SECONDS,
            what="the desk to work by itself",
        )
        assert sorted(told_once().values()) == ["ticket.assigned", "ticket.created", "ticket.escalated"]
        escalated = next(event for event in service.events if event["event"] == "ticket.escalated")
        assert escalated["data"]["waited_seconds"] >= 18
    finally:
        service.kill()
