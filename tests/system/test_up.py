"""`sav up` as a black box: one command, durable, and polite in how it starts, refuses and ends."""

import http.client
import itertools
import json
import shutil
import signal
import socket
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.running_service import PROGRAMS, RunningCommand, UpService, call, clean_environment

STOP_TIMEOUT_SECONDS = 10.0
REFUSAL_TIMEOUT_SECONDS = 30.0
EVENTS_TIMEOUT_SECONDS = 60.0
TOUR_TIMEOUT_SECONDS = 60.0

WRITERS = 6
ROUNDS_OF_KILLING = 2
TICKETS_BEFORE_A_KILL = 25

COMMANDS = (
    "up",
    "http",
    "worker",
    "scheduler",
    "migrate",
    "migrate --status",
    "token --role agent --sub 7",
    "tick housekeeping",
)


class House:
    """A directory in which services are started, one after the other, on the same data and port."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "var"
        self.port = free_port()
        self._directory = directory
        self._numbers = itertools.count(1)
        self._started: list[RunningCommand] = []

    def up(self, *, data: Path | None = None, port: int | None = None) -> UpService:
        """Starts a service and does not wait for it."""
        log = self._directory / f"up-{next(self._numbers)}.log"
        service = UpService(data or self.data, port=port or self.port, log=log)
        self._started.append(service)
        return service

    def ready(self) -> UpService:
        service = self.up()
        service.wait_until_ready()
        return service

    def close(self) -> None:
        for service in self._started:
            service.kill()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def test_the_welcome_is_enough_to_begin(house: House) -> None:
    service = house.ready()
    assert f"http://127.0.0.1:{house.port}/docs" in service.output
    assert str(house.data) in service.output
    assert call(house.port, "GET", "/health") == (200, {"status": "ok", "service": "sav-service"})
    assert call(house.port, "GET", "/status") == (200, {"status": "ok", "database": "connected"})
    status, ticket = call(
        house.port,
        "POST",
        "/tickets",
        token=service.token("customer"),
        body={"subject": "My parcel never came", "description": "Since May."},
    )
    assert status == 201
    assert ticket["user_id"] == 1
    wait_until(
        lambda: (house.data / "events.jsonl").exists(), timeout_seconds=EVENTS_TIMEOUT_SECONDS, what="events"
    )
    assert [event["event"] for event in service.events] == ["ticket.created"]
    for role in ("agent", "admin"):
        assert call(house.port, "GET", f"/tickets/{ticket['id']}", token=service.token(role))[0] == 200


def test_the_tour_works_as_it_is_printed(house: House) -> None:
    service = house.ready()
    wait_until(
        lambda: (house.data / "sav_db.sqlite3").exists(), timeout_seconds=EVENTS_TIMEOUT_SECONDS, what="data"
    )
    begin = service.output.index("CUSTOMER=")
    tour = service.output[begin : service.output.index("Stop with Ctrl-C.")].replace(
        "A tour, to paste after them:", ""
    )
    assert shutil.which("curl"), "the tour needs curl, and it is not on the PATH"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tour],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=TOUR_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "urn:sav:problem" not in done.stdout
    for trace in (
        "ticket 1\n",
        '"available":true',
        '"status":"assigned"',
        "We are looking for it.",
        '"ticket.assigned"',
    ):
        assert trace in done.stdout.replace('": ', '":'), done.stdout


def test_a_body_without_a_length_or_far_too_long_is_refused_as_everywhere(house: House) -> None:
    token = house.ready().token("customer")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    address = f"http://{LOOPBACK}:{house.port}"
    ticket = b'{"subject": "Chunked", "description": "In two parts."}'
    # JSON may come in chunks.
    opened = httpx.post(f"{address}/tickets", content=iter([ticket[:20], ticket[20:]]), headers=headers)
    assert opened.status_code == 201, opened.text
    files = f"{address}/tickets/{opened.json()['id']}/attachments"
    part = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.log"\r\n\r\n12:00'
    headers["Content-Type"] = "multipart/form-data; boundary=xyz"
    chunked = httpx.post(files, content=iter([part, b"\r\n--xyz--\r\n"]), headers=headers)
    assert (chunked.status_code, chunked.json()["code"]) == (411, "length_required")
    connection = http.client.HTTPConnection(LOOPBACK, house.port, timeout=REFUSAL_TIMEOUT_SECONDS)
    connection.request("POST", httpx.URL(files).path, headers={**headers, "Content-Length": str(10**12)})
    refused = connection.getresponse()
    assert (refused.status, json.loads(refused.read())["code"]) == (413, "body_too_large")
    assert refused.getheader("Connection") == "close"
    connection.close()
    assert httpx.get(files, headers=headers).json()["data"] == []


def test_kill_9_in_the_middle_of_writes_loses_nothing(house: House) -> None:
    writers = Writers(house.port)
    for _ in range(ROUNDS_OF_KILLING):
        service = house.ready()
        with writers.writing(service.token("customer")):
            writers.wait_for_more(TICKETS_BEFORE_A_KILL)
            service.kill()
    service = house.ready()
    admin = service.token("admin")
    tickets = _all_tickets(house.port, admin)
    assert set(writers.acknowledged) <= tickets.keys()
    expected = {number: _expected_events(house.port, admin, ticket) for number, ticket in tickets.items()}
    total = sum(map(len, expected.values()))
    wait_until(
        lambda: len({event["id"] for event in service.events}) >= total,
        timeout_seconds=EVENTS_TIMEOUT_SECONDS,
        what=f"{total} events",
    )
    assert _streams(service.events) == expected


def test_sigterm_lets_requests_finish_and_ends_with_0(house: House) -> None:
    service = house.ready()
    writers = Writers(house.port)
    with writers.writing(service.token("customer")):
        writers.wait_for_more(TICKETS_BEFORE_A_KILL)
        service.signal(signal.SIGTERM)
        assert service.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS) == 0, service.output
    assert "Traceback" not in service.output
    # What was done was also answered, to the last one.
    again = house.ready()
    assert _all_tickets(house.port, again.token("admin")).keys() == set(writers.acknowledged)


def test_ctrl_c_ends_with_0_though_a_connection_is_kept_open(house: House) -> None:
    service = house.ready()
    with socket.create_connection((LOOPBACK, house.port)):
        service.signal(signal.SIGINT)
        assert service.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS) == 0, service.output


def test_a_second_one_on_the_same_data_is_refused(house: House) -> None:
    first = house.ready()
    second = house.up(port=free_port())
    assert second.exit_code(timeout_seconds=REFUSAL_TIMEOUT_SECONDS) == 1
    assert "already runs" in second.output
    assert "SAV_DATA_DIR" in second.output
    assert "Traceback" not in second.output
    assert first.running
    assert call(house.port, "GET", "/health")[0] == 200


def test_a_taken_port_is_explained(house: House, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, house.port)):
        service = house.up()
        assert service.exit_code(timeout_seconds=REFUSAL_TIMEOUT_SECONDS) == 1
    assert f"port {house.port}" in service.output
    assert "already in use" in service.output
    assert "APP_PORT=" in service.output
    assert "Traceback" not in service.output


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_settings_are_all_reported_by_every_command(tmp_path: Path, command: str) -> None:
    environment = clean_environment(
        SAV_DATA_DIR=str(tmp_path / "var"), APP_PORT="http", DB_PORT="0", JWT_SECRET="short"
    )
    done = subprocess.run(
        [PROGRAMS / "sav", *command.split()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=REFUSAL_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert [line.strip().partition(":")[0] for line in done.stderr.splitlines()[1:]] == [
        "APP_PORT",
        "DB_PORT",
        "JWT_SECRET",
    ]
    assert "short" not in done.stderr.replace("shorter", "")
    assert done.stdout == ""
    assert not (tmp_path / "var").exists()


def test_a_token_for_an_embedded_service_can_be_made_later(house: House) -> None:
    service = house.ready()
    done = subprocess.run(
        [PROGRAMS / "sav", "token", "--embedded", "--role", "customer", "--sub", "12"],
        env=clean_environment(SAV_DATA_DIR=str(service.data)),
        capture_output=True,
        text=True,
        timeout=REFUSAL_TIMEOUT_SECONDS,
        check=True,
    )
    assert call(house.port, "GET", "/tickets", token=done.stdout.strip())[0] == 200


class Writers:
    """Customers who open tickets, write to them, and remember what was acknowledged, until nobody answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.acknowledged: list[str] = []
        self.refused: list[object] = []

    @contextmanager
    def writing(self, token: str) -> Iterator[None]:
        """While inside, they write; the service must be gone at the end, else they would never stop."""
        threads = [threading.Thread(target=self._write, args=[token], daemon=True) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()
        assert self.refused == []

    def wait_for_more(self, count: int) -> None:
        goal = len(self.acknowledged) + count
        wait_until(
            lambda: len(self.acknowledged) >= goal, timeout_seconds=EVENTS_TIMEOUT_SECONDS, what="tickets"
        )

    def _write(self, token: str) -> None:
        try:
            while self._write_once(token):
                pass
        except (OSError, http.client.HTTPException):
            # The service is gone.
            return

    def _write_once(self, token: str) -> bool:
        ticket = {"subject": "s", "description": "d"}
        status, answer = call(self._port, "POST", "/tickets", token=token, body=ticket)
        if status == 201:
            self.acknowledged.append(answer["ticket_number"])
            path = f"/tickets/{answer['id']}/messages"
            status, answer = call(self._port, "POST", path, token=token, body={"content": "c"})
        if status != 201:
            self.refused.append(answer)
        return status == 201


def _all_tickets(port: int, token: str) -> dict[str, dict[str, Any]]:
    """Every ticket, by number."""
    tickets: list[dict[str, Any]] = []
    path = "/tickets?per_page=100"
    cursor = ""
    while cursor is not None:
        status, page = call(port, "GET", f"{path}&cursor={cursor}" if cursor else path, token=token)
        assert status == 200, page
        tickets += page["data"]
        cursor = page["meta"]["next_cursor"]
    return {ticket["ticket_number"]: ticket for ticket in tickets}


def _expected_events(port: int, token: str, ticket: dict[str, Any]) -> list[tuple[int, str]]:
    status, page = call(port, "GET", f"/tickets/{ticket['id']}/messages?per_page=100", token=token)
    assert status == 200, page
    names = ["ticket.created", *("ticket.message.new" for _ in page["data"])]
    return list(enumerate(names, start=1))


def _streams(events: list[dict[str, Any]]) -> dict[str, list[tuple[int, str]]]:
    """The events of each ticket in the order of the file; one that was written again counts once."""
    streams: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in {event["id"]: event for event in events}.values():
        streams[event["data"]["ticket_number"]].append((event["sequence"], event["event"]))
    return dict(streams)
