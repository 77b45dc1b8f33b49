"""The Procfile on real servers: all starts at once on an empty database, works, and ends when told to."""

import http.client
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.servers import FreshBroker, FreshBucket, FreshDatabase
from tests.servers.belongings import prefix
from tests.servers.ports import LOOPBACK, accepts, free_port, wait_until
from tests.system.fleet import SECRET, ExchangeListener, own_account, token
from tests.system.running_service import PROGRAMS, RunningCommand, call, clean_environment

ROOT = Path(__file__).resolve().parents[2]

START_TIMEOUT_SECONDS = 90.0
QUIET_SECONDS = 1.0
STOP_TIMEOUT_SECONDS = 25.0
REFUSAL_TIMEOUT_SECONDS = 30.0
PROCESSES = ("web", "worker", "scheduler")
READY = {
    "http": "Booting worker",
    "worker": "Worker process is ready",
    "scheduler": "leading the schedule",
}
"""What each process logs once it is at work."""


@pytest.fixture
def settings(
    fresh_database: FreshDatabase,
    fresh_broker: FreshBroker,
    fresh_bucket: FreshBucket,
    run_id: str,
    worker: str,
) -> Iterator[dict[str, str]]:
    """An empty database, a place on the broker, a bucket; and tokens that the tests can sign."""
    with own_account(fresh_database("processes"), name=f"{prefix(run_id)}{worker}_p") as database:
        yield {
            **database,
            **fresh_broker(),
            **fresh_bucket(),
            "APP_ENV": "test",
            "APP_HOST": LOOPBACK,
            "APP_PORT": str(free_port()),
            "JWT_SECRET": SECRET,
            "WORKER_PROCESSES": "1",
        }


@pytest.fixture
def listener(settings: dict[str, str]) -> Iterator[ExchangeListener]:
    with ExchangeListener(settings) as listener:
        yield listener
        queue = f"{settings['RABBITMQ_QUEUE']}.effects"
        listener.delete_queues(queue, f"{queue}.DQ", f"{queue}.XQ")


@pytest.fixture
def honcho(settings: dict[str, str], tmp_path: Path) -> Iterator[RunningCommand]:
    # A copy, because honcho would also read a developer's .env from beside the original.
    shutil.copy(ROOT / "Procfile", tmp_path)
    command = RunningCommand(
        str(PROGRAMS / "honcho"),
        "--procfile",
        str(tmp_path / "Procfile"),
        "start",
        environment=clean_environment(**settings),
        log=tmp_path / "honcho.log",
    )
    yield command
    # Shown by pytest when the test has failed.
    print(command.output)
    if command.running:
        command.signal(signal.SIGTERM)
        command.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS)
    command.kill()


def wait_until_quiet(command: RunningCommand) -> None:
    """honcho 2.0 prints in its signal handler, and breaks when the signal comes while it prints."""

    def says_nothing() -> bool:
        before = command.output
        time.sleep(QUIET_SECONDS)
        return command.output == before

    wait_until(says_nothing, timeout_seconds=START_TIMEOUT_SECONDS, what="silence")


def test_all_processes_start_at_once_on_an_empty_database(
    honcho: RunningCommand, listener: ExchangeListener, settings: dict[str, str]
) -> None:
    port = int(settings["APP_PORT"])
    wait_until(
        lambda: accepts(port) or not honcho.running, timeout_seconds=START_TIMEOUT_SECONDS, what="sav http"
    )
    customer = token("customer", 1)
    status, ticket = call(
        port, "POST", "/tickets", token=customer, body={"subject": "Broken", "description": "It is."}
    )
    assert status == 201, ticket
    (created,) = listener.wait_for(ticket["id"], 1, timeout_seconds=START_TIMEOUT_SECONDS)
    assert created.routing_key == "ticket.created"
    assert created.event["data"]["ticket_number"] == ticket["ticket_number"]
    wait_until(
        lambda: "leading the schedule" in honcho.output,
        timeout_seconds=START_TIMEOUT_SECONDS,
        what="the scheduler",
    )
    ready = {"status": "ok", "database": "connected", "storage": "connected", "broker": "connected"}
    assert call(port, "GET", "/ready") == (200, ready)
    assert honcho.output.count("the database was brought up to date") == 1
    for process in PROCESSES:
        assert f"{process}.1 stopped" not in honcho.output.replace("  ", " ")

    wait_until_quiet(honcho)
    honcho.signal(signal.SIGTERM)
    started_at = time.monotonic()
    honcho.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS)
    assert time.monotonic() - started_at < STOP_TIMEOUT_SECONDS
    assert "SIGKILL" not in honcho.output, "a process did not end by itself"
    assert "Traceback" not in honcho.output
    assert not accepts(port)


@pytest.mark.parametrize("process", READY)
def test_each_process_ends_with_0_at_sigterm(settings: dict[str, str], tmp_path: Path, process: str) -> None:
    command = _run(settings, tmp_path, process)
    try:
        wait_until(
            lambda: READY[process] in command.output or not command.running,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what=f"sav {process}",
        )
        command.signal(signal.SIGTERM)
        assert command.exit_code(timeout_seconds=STOP_TIMEOUT_SECONDS) == 0, command.output
        assert "Traceback" not in command.output, command.output
    finally:
        command.kill()


@pytest.mark.parametrize("process", ["http", "worker", "scheduler", "migrate"])
def test_a_database_that_comes_late_is_waited_for(
    settings: dict[str, str], tmp_path: Path, process: str
) -> None:
    command = _run(settings | {"DB_PORT": str(free_port())}, tmp_path, process)
    try:
        wait_until(
            lambda: "waiting for the database" in command.output,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what="patience",
        )
        assert command.running
    finally:
        command.kill()
    assert settings["DB_PASSWORD"] not in command.output


def test_workers_need_a_broker(settings: dict[str, str], tmp_path: Path) -> None:
    command = _run(settings | {"SAV_BROKER": "embedded"}, tmp_path, "worker")
    assert command.exit_code(timeout_seconds=REFUSAL_TIMEOUT_SECONDS) == 1
    assert "SAV_BROKER=embedded" in command.output
    assert "Traceback" not in command.output


def test_migrations_can_be_left_to_somebody_else(settings: dict[str, str], tmp_path: Path) -> None:
    command = _run(settings | {"SAV_MIGRATE_AT_START": "false"}, tmp_path, "scheduler")
    try:
        wait_until(
            lambda: "the database waits for `sav migrate`" in command.output,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what="the warning",
        )
    finally:
        command.kill()


def test_the_http_tier_bounds_what_it_reads_and_hides_its_version(
    settings: dict[str, str], tmp_path: Path
) -> None:
    command = _run(settings, tmp_path, "http")
    port = int(settings["APP_PORT"])
    try:
        wait_until(lambda: accepts(port), timeout_seconds=START_TIMEOUT_SECONDS, what="sav http")
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=REFUSAL_TIMEOUT_SECONDS)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert answer.status == 200
        assert not any(letter.isdigit() for letter in answer.getheader("Server", ""))
        connection.close()
        for path, headers in (("/health?" + 9000 * "a", {}), ("/health", {"X-Long": 9000 * "a"})):
            connection.request("GET", path, headers=headers)
            assert connection.getresponse().status in (400, 414, 431)
            connection.close()
    finally:
        command.kill()


def _run(settings: dict[str, str], directory: Path, process: str) -> RunningCommand:
    return RunningCommand(
        str(PROGRAMS / "sav"),
        process,
        environment=clean_environment(**settings),
        log=directory / f"{process}.log",
    )
