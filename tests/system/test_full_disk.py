"""The embedded service's disk is full: writes say so, nothing is half written, and it recovers by itself."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.ports import free_port, wait_until
from tests.system.running_service import UpService, call

LIMIT_BYTES = 4096
EVENTS_TIMEOUT_SECONDS = 60.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[UpService]:
    service = UpService(tmp_path / "var", port=free_port(), log=tmp_path / "log")
    service.wait_until_ready()
    yield service
    service.kill()


def fill_disk(service: UpService) -> None:
    """From now on every write into a file behind its first 4 KiB fails, as on a full disk."""
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, resource.RLIM_INFINITY))


def empty_disk(service: UpService) -> None:
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def open_ticket(service: UpService, number: int) -> int:
    body = {"subject": f"Ticket {number}", "description": "x" * 5_000}
    status, _ = call(service.port, "POST", "/tickets", token=service.token("customer"), body=body)
    return status


def test_a_full_disk_is_said_and_survived(service: UpService) -> None:
    assert open_ticket(service, 1) == 201
    fill_disk(service)
    refused = [open_ticket(service, 2) for _ in range(5)]
    assert refused == [503] * 5
    assert call(service.port, "GET", "/health")[0] == 200
    assert call(service.port, "GET", "/tickets/1", token=service.token("customer"))[0] == 200
    assert service.running

    empty_disk(service)
    wait_until(lambda: open_ticket(service, 3) == 201, timeout_seconds=EVENTS_TIMEOUT_SECONDS, what="a write")
    _, answer = call(service.port, "GET", "/tickets", token=service.token("customer"))
    assert [ticket["subject"] for ticket in answer["data"]] == ["Ticket 3", "Ticket 1"]
    wait_until(
        lambda: sorted(event["data"]["subject"] for event in service.events) == ["Ticket 1", "Ticket 3"],
        timeout_seconds=EVENTS_TIMEOUT_SECONDS,
        what="the events of what was written, and of nothing else",
    )
