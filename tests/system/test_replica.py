"""Reads at a replica that really replicates: used while it has everything, late without anybody seeing it,
away without anybody missing it."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.plugins.servers import FreshBroker, server_database_settings
from tests.servers.belongings import create_database
from tests.servers.cable import Cable
from tests.servers.ports import LOOPBACK, wait_until
from tests.servers.replication import PrivateReplica, PrivateSource, replicated
from tests.system.conftest import Site, site_at
from tests.system.fleet import Admin, Agent, Caller, Customer, Document, opened
from tests.system.read_after_write import seen_too_late

LATE_ROUNDS = 8
LATE_SECONDS = 0.05
RETURN_TIMEOUT_SECONDS = 60.0
READS_WHILE_AWAY = 12
SLOWEST_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Pair:
    """A database server, its replica, and the cable between that and the service."""

    source: PrivateSource
    replica: PrivateReplica
    cable: Cable
    desk: str
    """The database's name: each test has its own."""

    def wait(self) -> None:
        self.replica.wait_for(self.source)


@pytest.fixture(scope="module")
def servers(shared_server_directory: Path) -> Iterator[tuple[PrivateSource, PrivateReplica]]:
    with replicated(shared_server_directory) as servers:
        yield servers


@pytest.fixture
def pair(servers: tuple[PrivateSource, PrivateReplica], request: pytest.FixtureRequest) -> Iterator[Pair]:
    source, replica = servers
    with Cable(LOOPBACK, replica.port) as cable:
        desk = request.node.name
        create_database(source.address, desk)
        yield Pair(source, replica, cable, desk)


@contextmanager
def fleet_on(pair: Pair, broker: dict[str, str], directory: Path, **settings: str) -> Iterator[Site]:
    database = server_database_settings(pair.source.address, pair.desk)
    places = {"DB_REPLICA_HOST": pair.cable.host, "DB_REPLICA_PORT": str(pair.cable.port)}
    with site_at(database=database | places | settings, broker=broker, directory=directory) as site:
        yield site


@pytest.fixture
def site(pair: Pair, fresh_broker: FreshBroker, tmp_path: Path) -> Iterator[Site]:
    """Nothing is kept ready, so that all is read."""
    with fleet_on(pair, fresh_broker(), tmp_path, CACHE_MEMORY_MB="0") as site:
        yield site


class Reads:
    """How many reads went where since this was last asked."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._before = self._all()

    def __call__(self) -> dict[str, int]:
        now, before = self._all(), self._before
        self._before = now
        return {outcome: now[outcome] - before[outcome] for outcome in now if now[outcome] > before[outcome]}

    def _all(self) -> dict[str, int]:
        text = self._caller.get("/metrics").text
        found = re.findall(r'^sav_replica_reads_total\{outcome="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return {outcome: int(float(count)) for outcome, count in found}


def test_only_what_has_arrived_is_read_there(site: Site, pair: Pair) -> None:
    with (
        Customer(site.fleet, site.someone_new()) as customer,
        Customer(site.fleet, site.someone_new()) as bystander,
        Agent(site.fleet, site.someone_new()) as agent,
        Admin(site.fleet, site.someone_new()) as admin,
    ):
        agent.join()
        ticket_id = opened(customer.open({"subject": "Lost zeppelin"}))
        opened(customer.reply(ticket_id, "Where is it?"))
        opened(bystander.open())
        everybody = [
            *(
                (who, path)
                for who in (customer, agent, admin)
                for path in ("/tickets?include_total=true", "/tickets?q=zeppelin", "/tickets/statistics")
            ),
            *(
                (customer, f"/tickets/{ticket_id}{path}")
                for path in ("", "/messages", "/attachments", "/messages?per_page=1")
            ),
        ]
        settle(pair, customer, ticket_id)
        reads = Reads(admin)
        # Nobody else asks the database any more.
        site.fleet.kill9("worker")
        site.fleet.kill9("scheduler")
        until_quiet(pair.source)

        asked_here, asked_there = pair.source.statements_answered(), pair.replica.statements_answered()
        there = [looked(who, path) for who, path in everybody]
        assert pair.source.statements_answered() == asked_here + len(everybody)
        assert pair.replica.statements_answered() > asked_there + 2 * len(everybody)
        assert reads() == {"replica": len(everybody)}

        pair.replica.hold_back()
        assert looked(customer, "/tickets") == looked(customer, "/tickets")
        assert reads() == {"replica": 2}
        second = opened(customer.open({"subject": "Second zeppelin"}))
        opened(customer.reply(ticket_id, "Hello?"))
        for who in (customer, agent, admin):
            found = {row["id"] for row in looked(who, "/tickets?q=zeppelin")["data"]}
            assert found == {ticket_id, second}
            assert looked(who, f"/tickets/{ticket_id}")["messages"][-1]["content"] == "Hello?"
            assert looked(who, f"/tickets/{second}")["subject"] == "Second zeppelin"
            assert looked(who, f"/tickets/{ticket_id}/messages")["data"][-1]["content"] == "Hello?"
            assert looked(who, "/tickets/statistics")["total"] == (2 if who is customer else 3)
        assert reads() == {"behind": 15}
        # Whom nothing has happened to is not late.
        assert len(looked(bystander, "/tickets")["data"]) == 1
        assert reads() == {"replica": 1}

        pair.replica.go_on()
        settle(pair, customer, ticket_id)
        reads()
        here_and_there = [looked(who, path) for who, path in everybody]
        assert reads() == {"replica": len(everybody)}
        assert here_and_there != there
        pair.cable.cut()
        assert [looked(who, path) for who, path in everybody] == here_and_there
        assert reads() == {"away": len(everybody)}


def test_nobody_sees_a_replica_being_late(pair: Pair, fresh_broker: FreshBroker, tmp_path: Path) -> None:
    """As it is shipped, caches and all, while the replica stops and goes on all the time."""
    over = threading.Event()

    def stop_and_go() -> None:
        while not over.wait(LATE_SECONDS):
            pair.replica.hold_back()
            over.wait(LATE_SECONDS)
            pair.replica.go_on()

    with fleet_on(pair, fresh_broker(), tmp_path) as site, Admin(site.fleet, site.someone_new()) as admin:
        reads = Reads(admin)
        thread = threading.Thread(target=stop_and_go)
        thread.start()
        try:
            assert seen_too_late(site, rounds=LATE_ROUNDS) == []
        finally:
            over.set()
            thread.join()
        outcomes = reads()
        print(outcomes)
        # It was about both: what had arrived, and what had not.
        assert outcomes["replica"] > LATE_ROUNDS
        assert outcomes["behind"] > LATE_ROUNDS


def test_nobody_misses_a_replica_that_is_away(site: Site, pair: Pair) -> None:
    with Customer(site.fleet, site.someone_new()) as customer, Admin(site.fleet, site.someone_new()) as admin:
        ticket_id = opened(customer.open())
        live_through(site, pair, customer, ticket_id, begin=pair.replica.kill, end=pair.replica.start)
        live_through(site, pair, customer, ticket_id, begin=pair.cable.black_hole, end=pair.cable.mend)
        log = site.fleet.log("http").read_text()
        assert "the replica is left aside" in log
        assert "the replica is used again" in log
        assert "sav_replica_left_aside 0.0" in admin.get("/metrics").text


def live_through(
    site: Site,
    pair: Pair,
    customer: Customer,
    ticket_id: int,
    *,
    begin: Callable[[], None],
    end: Callable[[], None],
) -> None:
    reads = Reads(customer)
    until_used(site, customer)
    assert readiness(customer) == ("ok", "connected")
    begin()
    reads()
    seconds = []
    for number in range(READS_WHILE_AWAY):
        opened(customer.reply(ticket_id, f"Reply {number}"))
        for path in ("/tickets", f"/tickets/{ticket_id}", f"/tickets/{ticket_id}/messages?per_page=100"):
            started = time.monotonic()
            answer = looked(customer, path)
            seconds.append(time.monotonic() - started)
        assert answer["data"][-1]["content"] == f"Reply {number}"
    assert reads() == {"away": 3 * READS_WHILE_AWAY}
    assert max(seconds) < SLOWEST_ANSWER_SECONDS
    assert readiness(customer) == ("ok", "disconnected")
    end()
    pair.replica.wait_until_connected()
    until_used(site, customer)


def settle(pair: Pair, customer: Customer, ticket_id: int) -> None:
    """Returns once nothing more happens by itself, and the replica has all of it."""
    revisions: list[str] = []
    wait_until(
        lambda: _is_still(revisions, customer.get(f"/tickets/{ticket_id}")),
        timeout_seconds=RETURN_TIMEOUT_SECONDS,
        what="the desk to be done",
    )
    pair.wait()


def _is_still(revisions: list[str], answer: httpx.Response) -> bool:
    time.sleep(0.2)
    revisions.append(answer.headers["ETag"])
    return len(revisions) > 5 and len(set(revisions[-5:])) == 1


def until_quiet(server: PrivateSource) -> None:
    """Returns once nobody has asked it anything for a second."""

    def is_quiet() -> bool:
        before = server.statements_answered()
        time.sleep(1.0)
        return server.statements_answered() == before

    wait_until(is_quiet, timeout_seconds=RETURN_TIMEOUT_SECONDS, what="everybody to be done")


def until_used(site: Site, customer: Customer) -> None:
    """Each web process has to find out for itself."""
    reads = Reads(customer)

    def is_used() -> bool:
        for _ in range(6):
            with Customer(site.fleet, customer.user_id, keep_alive=False) as somebody:
                looked(somebody, "/tickets")
        return set(reads()) == {"replica"}

    wait_until(is_used, timeout_seconds=RETURN_TIMEOUT_SECONDS, what="the replica to be used")


def readiness(caller: Caller) -> tuple[str, str]:
    document = caller.get("/ready").json()
    return document["status"], document["replica"]


def looked(who: Caller, path: str) -> Document:
    answer = who.get(path)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document
