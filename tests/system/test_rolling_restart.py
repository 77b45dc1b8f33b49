"""A new version takes the old one's place while people work: no request fails, no effect is lost or doubled.

As a cluster does it: the new process is ready before the old one is taken out of the balancer, and the old
one is told to end a moment after that (`preStop`).
"""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.plugins.servers import FreshBroker
from tests.servers.balancer import Balancer
from tests.servers.cable import Cable
from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.conftest import Site
from tests.system.fleet import (
    START_TIMEOUT_SECONDS,
    STOP_TIMEOUT_SECONDS,
    Admin,
    ExchangeListener,
    Fleet,
    ProcessName,
)
from tests.system.running_service import PROGRAMS, RunningCommand
from tests.system.writers import Writers, assert_all_events_are_out, assert_nothing_is_lost_or_doubled

REPLICAS = 2
WRITERS = 3
TICKETS_BETWEEN = 3
PRE_STOP_SECONDS = 1.0
"""What a balancer needs to send nothing more to a process that is about to end; a cluster's takes longer."""
READY_WORKER = "Worker process is ready"


@dataclass(frozen=True)
class Replica:
    """One process of a tier; a web process with its port."""

    process: RunningCommand
    port: int


class Deployment:
    """The processes of a deployment, each tier several times, and the balancer before the web tier."""

    def __init__(self, fleet: Fleet, balancer: Balancer) -> None:
        self.balancer = balancer
        self._fleet = fleet
        self._numbers = itertools.count(1)
        self._processes: list[RunningCommand] = []

    def start(self, name: ProcessName) -> Replica:
        """Returns once it is ready: what readiness probes wait for."""
        port = free_port()
        log = self._fleet.directory / f"{name}-{next(self._numbers)}.log"
        environment = {**self._fleet.environment, "APP_PORT": str(port), "WORKER_PROCESSES": "1"}
        process = RunningCommand(str(PROGRAMS / "sav"), name, environment=environment, log=log)
        self._processes.append(process)
        ready = (lambda: _is_ready(port)) if name == "http" else (lambda: READY_WORKER in process.output)
        wait_until(
            lambda: not process.running or name == "scheduler" or ready(),
            timeout_seconds=START_TIMEOUT_SECONDS,
            what=f"sav {name}",
        )
        assert process.running, process.output
        if name == "http":
            self.balancer.add(port)
        return Replica(process, port)

    def end(self, replica: Replica) -> int:
        """In good order; the exit code."""
        self.balancer.take_out(replica.port)
        time.sleep(PRE_STOP_SECONDS)
        replica.process.signal(signal.SIGTERM)
        return replica.process.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS)

    def close(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture
def deployment(
    tmp_path: Path, fresh_account: Callable[[str], dict[str, str]], fresh_broker: FreshBroker
) -> Iterator[tuple[Deployment, Site]]:
    broker = fresh_broker()
    with ExitStack() as stack:
        cable = stack.enter_context(Cable(broker["RABBITMQ_HOST"], int(broker["RABBITMQ_PORT"])))
        listener = stack.enter_context(ExchangeListener(broker))
        balancer = stack.enter_context(Balancer())
        # Not started: it is the address that everybody knows, and the settings.
        fleet = Fleet({**fresh_account("rolling"), **broker}, directory=tmp_path, port=balancer.port)
        stack.callback(lambda: listener.delete_queues(*fleet.effect_queues))
        deployment = Deployment(fleet, balancer)
        stack.callback(deployment.close)
        yield deployment, Site(fleet, cable, listener)


@pytest.mark.timeout(900)
def test_a_new_version_of_each_tier_under_load_fails_nothing(deployment: tuple[Deployment, Site]) -> None:
    tiers, site = deployment
    web = [tiers.start("http") for _ in range(REPLICAS)]
    workers = [tiers.start("worker") for _ in range(REPLICAS)]
    codes = []
    with Writers(site, count=WRITERS) as writers:
        writers.wait_for_tickets(TICKETS_BETWEEN)
        for name, old_ones in (("http", web), ("worker", workers)):
            for old in old_ones:
                tiers.start(name)
                codes.append(tiers.end(old))
                writers.wait_for_tickets(TICKETS_BETWEEN)

    assert codes == [0] * 2 * REPLICAS
    print(
        f"{len(writers.answers)} requests: {dict(writers.statuses)}; without an answer: {writers.unanswered}"
    )
    assert writers.unanswered == []
    assert set(writers.statuses) == {200, 201}
    with Admin(site.fleet, site.someone_new()) as admin:
        assert_nothing_is_lost_or_doubled(writers, admin)
        assert_all_events_are_out(site.listener, admin, writers.ticket_ids)
    # Who ends in good order tells nothing twice.
    ids = [delivery.event["id"] for delivery in site.listener.deliveries]
    assert len(ids) == len(set(ids))


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/ready", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False
