"""The processes live within the memory of a container, in the numbers that Kubernetes starts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from tests.plugins.servers import FreshBroker, FreshDatabase, Settings
from tests.system.conftest import Site, site_at
from tests.system.fleet import REQUEST_TIMEOUT_SECONDS, Admin, Agent, Customer, opened, token

K8S = Path(__file__).parents[2] / "k8s" / "base"
FILES = {"http": "web.yaml", "worker": "worker.yaml", "scheduler": "scheduler.yaml"}
CALLERS = 16
TICKETS_A_CALLER = 25
MEBIBYTE = 1024 * 1024
A_LARGE_FILE = b"12:00 the parcel left the depot\n" * (9 * MEBIBYTE // 32)


def container(process: str) -> dict[str, object]:
    deployment = yaml.safe_load((K8S / FILES[process]).read_text())
    found: dict[str, object] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def limit_bytes(process: str) -> int:
    text = container(process)["resources"]["limits"]["memory"]  # type: ignore[index]
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi")) * MEBIBYTE


def counts() -> Settings:
    """How many processes the manifests ask for."""
    return {
        variable["name"]: variable["value"]
        for process in FILES
        for variable in container(process).get("env", ())  # type: ignore[attr-defined]
    }


def memory_of_group(leader: int) -> int:
    """What a command and all its children hold, in bytes; what they share counts once."""
    total = 0
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            group = int((directory / "stat").read_text().rpartition(")")[2].split()[2])
            rollup = (directory / "smaps_rollup").read_text() if group == leader else ""
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


@pytest.fixture(scope="module")
def as_in_kubernetes(
    tmp_path_factory: pytest.TempPathFactory, fresh_account: FreshDatabase, fresh_broker: FreshBroker
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("memory")
    with site_at(
        database=fresh_account("memory") | counts(), broker=fresh_broker(), directory=directory
    ) as s:
        yield s


def work(site: Site, number: int) -> int:
    """What one caller does; the id of their last ticket."""
    with Customer(site.fleet, site.someone_new()) as customer:
        for _ in range(TICKETS_A_CALLER):
            ticket_id = opened(customer.open({"description": "It never came. " * 1000}))
            opened(customer.reply(ticket_id, "Hello? " * 1000))
            customer.ticket(ticket_id)
            assert customer.get("/tickets?per_page=100&q=parcel").status_code == 200
        files = {"file": ("large.log", A_LARGE_FILE)}
        bearer = {"Authorization": f"Bearer {token('customer', customer.user_id)}"}
        url = f"{site.fleet.url}/tickets/{ticket_id}/attachments"
        sent = httpx.post(url, files=files, headers=bearer, timeout=3 * REQUEST_TIMEOUT_SECONDS)
        assert sent.status_code == 201, sent.text
    return ticket_id


def test_every_process_keeps_within_the_limit_of_its_container(as_in_kubernetes: Site) -> None:
    site = as_in_kubernetes
    with Agent(site.fleet, site.someone_new()) as agent:
        agent.join()
        agent.call("PUT", "/agents/me/availability", {"available": True})
    with ThreadPoolExecutor(CALLERS) as callers:
        last = list(callers.map(lambda number: work(site, number), range(CALLERS)))
    with Admin(site.fleet, site.someone_new()) as admin:
        for path in ("/tickets/statistics", "/openapi.json", "/docs/swagger_bundle.js", "/metrics"):
            assert admin.get(path).status_code == 200
    for ticket_id in last:
        site.listener.wait_for(ticket_id, 2)
    held = {name: memory_of_group(site.fleet.pid(name)) for name in ("http", "worker", "scheduler")}
    print({name: f"{size / MEBIBYTE:.0f} MiB" for name, size in held.items()})
    assert all(size > 10 * MEBIBYTE for size in held.values()), held
    assert [name for name, size in held.items() if size > limit_bytes(name)] == []
