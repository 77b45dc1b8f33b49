"""`sav doctor`: says what is wrong and what to do, in bounded time, and never a secret."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pika
import pytest

from sav.actors.broker import effects_queue
from sav.actors.event_tap import EventTap
from sav.cli import main
from sav.hands import examinations
from sav.hands.findings import Finding, examine, ok
from sav.models.database import database, ensure_connection, reading_at
from sav.models.replica import Replica
from sav.models.tables import DueEffect, SchedulerTick
from sav.settings import Settings
from tests.actors.conftest import eventually, parameters
from tests.actors.hands.conftest import CommandLine, DeadQueue, failed_event
from tests.actors.owed import new_ticket
from tests.plugins.desk import open_database
from tests.plugins.servers import FreshBucket, FreshDatabase
from tests.servers.clamd import PrivateClamd

SECRET = "a secret of the tests, long enough for HS256"


class Doctor:
    """`doctor(RABBITMQ_PORT="1")`: the findings by what they are about, and the exit code."""

    def __init__(self, command_line: CommandLine, **variables: str) -> None:
        self._command_line = command_line
        self._variables = variables
        self.exit_code = -1
        self.output = ""

    def __call__(self, **variables: str) -> list[Finding]:
        given = {**self._variables, **variables}
        result = self._command_line(main, "doctor", "--json", **given)
        self.exit_code, self.output = result.exit_code, result.stdout
        report = json.loads(result.stdout)
        assert report["healthy"] is (result.exit_code == 0)
        for name in ("DB_PASSWORD", "RABBITMQ_PASSWORD", "MINIO_SECRET_KEY", "JWT_SECRET"):
            if len(given.get(name, "")) > 5:
                assert given[name] not in result.output
        return [Finding(**finding) for finding in report["findings"]]


@pytest.fixture
def doctor(command_line: CommandLine, fresh_bucket: FreshBucket) -> Doctor:
    """All servers are there, and nothing has ever run on the broker."""
    return Doctor(command_line, **fresh_bucket(), JWT_SECRET=SECRET)


def about(findings: list[Finding], subject: str, state: str) -> str:
    return "\n".join(
        f"{finding.says} → {finding.advice}"
        for finding in findings
        if (finding.subject, finding.state) == (subject, state)
    )


def test_with_everything_there_nothing_has_failed(
    doctor: Doctor, settings: Settings, command_line: CommandLine
) -> None:
    findings = doctor()
    assert doctor.exit_code == 0, doctor.output
    subjects = {finding.subject for finding in findings}
    assert {"settings", "python", "database", "pipeline", "rabbitmq", "storage", "authentication"} <= subjects
    assert "made by" not in about(findings, "rabbitmq", "failed")
    assert "The first worker that starts makes it." in about(findings, "rabbitmq", "warning")
    assert "rows can be written" in about(findings, "database", "ok")
    assert "tables can be changed" in about(findings, "database", "ok")
    assert SchedulerTick.select().count() == 0, "what it tried to write is gone"
    plain = command_line(main, "doctor", **doctor._variables)
    assert plain.exit_code == 0
    assert plain.stdout.splitlines()[-1].endswith("0 failed.")


def test_a_running_consumer_is_seen(doctor: Doctor, settings: Settings) -> None:
    tap = EventTap(settings)
    tap.start()
    try:
        with pika.BlockingConnection(parameters(settings)) as connection:
            eventually(lambda: _consumers(connection, settings.RABBITMQ_QUEUE) == 1, "the tap to consume")
            findings = doctor()
    finally:
        tap.stop()
    assert f"queue {settings.RABBITMQ_QUEUE} is there: 0 messages, 1 consumers" in about(
        findings, "rabbitmq", "ok"
    )
    assert "is a durable topic exchange" in about(findings, "rabbitmq", "ok")


def _consumers(connection: pika.BlockingConnection, queue: str) -> int:
    try:
        return int(connection.channel().queue_declare(queue, passive=True).method.consumer_count)
    except pika.exceptions.ChannelClosedByBroker:
        return 0


@pytest.mark.parametrize(
    ("variables", "subject", "problem"),
    [
        ({"RABBITMQ_PORT": "1"}, "rabbitmq", "it does not answer"),
        ({"RABBITMQ_HOST": "no-such-machine.invalid"}, "rabbitmq", "RABBITMQ_HOST"),
        ({"RABBITMQ_PASSWORD": "certainly-wrong"}, "rabbitmq", "RABBITMQ_PASSWORD"),
        ({"RABBITMQ_VHOST": "no-such-vhost"}, "rabbitmq", "RABBITMQ_VHOST"),
        ({"MINIO_ENDPOINT": "http://127.0.0.1:1"}, "storage", "MINIO_ENDPOINT"),
        ({"MINIO_SECRET_KEY": "certainly-wrong"}, "storage", "MINIO_SECRET_KEY"),
        ({"MINIO_BUCKET": "no-such-bucket"}, "storage", "MINIO_BUCKET"),
        ({"JWT_SECRET": "", "JWT_JWKS_URL": "http://127.0.0.1:1/keys"}, "authentication", "does not answer"),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1"}, "mail", "SMTP_PORT"),
        ({"CLAMAV_HOST": "127.0.0.1", "CLAMAV_PORT": "1"}, "antivirus", "CLAMAV_PORT"),
    ],
    ids=str,
)
def test_what_is_broken_is_named_with_what_to_do(
    doctor: Doctor, variables: dict[str, str], subject: str, problem: str
) -> None:
    findings = doctor(**variables)
    assert doctor.exit_code == 1
    assert problem in about(findings, subject, "failed")
    assert {finding.subject for finding in findings if finding.state == "failed"} == {subject}


def test_a_replica_that_cannot_be_read_is_a_warning(doctor: Doctor, settings: Settings) -> None:
    # The database itself has all that it has.
    here = {"DB_REPLICA_HOST": settings.DB_HOST, "DB_REPLICA_PORT": str(settings.DB_PORT)}
    assert "answers" in about(doctor(**here), "replica", "ok")
    assert "cannot be read" in about(doctor(**here | {"DB_REPLICA_PORT": "1"}), "replica", "warning")
    assert doctor.exit_code == 0, doctor.output


def test_a_replica_of_another_desk_is_a_failure(settings: Settings, fresh_database: FreshDatabase) -> None:
    new_ticket()
    other = Replica(open_database(fresh_database("other")))
    with reading_at(other.server):
        database.execute_sql("CREATE TABLE ticket_events (id INT, event_id CHAR(36))")
        database.execute_sql("INSERT INTO ticket_events VALUES (1, 'of another desk')")
    findings = list(examinations.examine_replica(settings, other))
    ensure_connection()
    assert "no replica of it" in about(findings, "replica", "failed")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"DB_PORT": "1"}, "it does not answer"),
        ({"DB_PASSWORD": "certainly-wrong", "DB_USERNAME": "nobody"}, "DB_USERNAME and DB_PASSWORD"),
        ({"DB_DATABASE": "sav_test_no_such_database"}, "DB_DATABASE"),
    ],
    ids=str,
)
def test_a_broken_database_does_not_keep_the_others_from_being_examined(
    doctor: Doctor, variables: dict[str, str], problem: str
) -> None:
    findings = doctor(DB_CONNECTION="mysql", DB_HOST="127.0.0.1", **variables)
    assert doctor.exit_code == 1
    assert problem in about(findings, "database", "failed")
    assert "unknown without the database" in about(findings, "pipeline", "warning")
    assert "RabbitMQ" in about(findings, "rabbitmq", "ok")


def test_what_exists_in_another_shape_is_named(
    doctor: Doctor, settings: Settings, dead_queue: DeadQueue
) -> None:
    dead_queue.channel.exchange_declare(settings.RABBITMQ_EXCHANGE, "fanout", durable=True)
    dead_queue.channel.queue_declare(dead_queue.inbox, durable=True, arguments={"x-max-length": 10})
    dead_queue.channel.queue_declare(effects_queue(settings), durable=True)
    findings = doctor()
    assert doctor.exit_code == 1
    assert "is not a durable topic exchange" in about(findings, "rabbitmq", "failed")
    warnings = about(findings, "rabbitmq", "warning")
    assert f"queue {dead_queue.inbox} was made with other arguments" in warnings
    assert f"queue {effects_queue(settings)} was made with other arguments" in warnings


def test_what_waits_for_the_operator_is_counted(doctor: Doctor, dead_queue: DeadQueue) -> None:
    dead_queue.declare()
    dead_queue.bury(b"?", "not JSON in UTF-8")
    failed_event(1)
    findings = doctor()
    assert doctor.exit_code == 0, "neither keeps the service from its work"
    assert "1 dead letters → See scripts/dead_letters list." in about(findings, "rabbitmq", "warning")
    assert "1 effects have failed" in about(findings, "pipeline", "warning")


def test_effects_that_nobody_does_are_a_failure(doctor: Doctor) -> None:
    new_ticket()
    findings = doctor()
    assert doctor.exit_code == 1
    assert "Start `sav worker`" in about(findings, "pipeline", "failed")
    DueEffect.update(due_at=datetime.now(UTC) - timedelta(seconds=20)).execute()
    findings = doctor()
    assert doctor.exit_code == 0
    assert "nobody does it" in about(findings, "pipeline", "warning")
    assert "waits for its publication" in about(findings, "pipeline", "warning")


class _Keys(BaseHTTPRequestHandler):
    answer = (200, b"{}")

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def key_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://user:hidden-word@127.0.0.1:{server.server_port}/keys"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((200, b"{}"), "has no list of keys"),
        ((200, b'{"keys": []}'), "holds no usable key"),
        ((500, b""), "answers 500"),
    ],
    ids=["no keys", "empty", "error"],
)
def test_an_authentication_service_without_usable_keys_is_a_failure(
    doctor: Doctor,
    key_server: str,
    answer: tuple[int, bytes],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_Keys, "answer", answer)
    # A user in the URL is not what urllib understands, and not what may be printed.
    url = key_server.replace("user:hidden-word@", "")
    findings = doctor(JWT_SECRET="", JWT_JWKS_URL=url)
    assert problem in about(findings, "authentication", "failed")
    doctor(JWT_SECRET="", JWT_JWKS_URL=key_server)
    assert "hidden-word" not in doctor.output


def test_slips_and_well_known_passwords_are_warnings(settings: Settings) -> None:
    production = settings.model_copy(
        update={"APP_ENV": "production", "DB_PASSWORD": Settings.model_fields["DB_PASSWORD"].default}
    )
    found = list(examinations.examine_settings(production, {"RABBITMQ_HSOT": "x", "PATH": "/bin"}))
    says = "\n".join(finding.says + finding.advice for finding in found if finding.state == "warning")
    assert "RABBITMQ_HSOT has no meaning hereWas RABBITMQ_HOST meant?" in says
    assert "DB_PASSWORD is the default" in says
    assert "PATH" not in says


def test_wrong_settings_end_it_as_they_end_every_command(command_line: CommandLine) -> None:
    result = command_line(main, "doctor", RABBITMQ_PORT="many")
    assert result.exit_code == 2
    assert "RABBITMQ_PORT" in result.output


def test_the_embedded_service_is_examined_too(command_line: CommandLine, tmp_path: Any) -> None:
    embedded = {"DB_CONNECTION": "sqlite", "DB_DATABASE": "sav_db", "SAV_STORAGE": "disk"}
    result = command_line(main, "doctor", "--embedded", SAV_BROKER="embedded", JWT_SECRET=SECRET, **embedded)
    assert result.exit_code == 0, result.output
    assert "MiB are free" in result.output
    assert "migrations are pending" in result.output


def test_an_examination_that_hangs_or_breaks_takes_no_others_along() -> None:
    release = threading.Event()

    def hang() -> Iterator[Finding]:
        yield ok("slow", "the first part")
        release.wait(30)

    def broken() -> Iterator[Finding]:
        yield ok("broken", "the first part")
        raise ValueError("password=secret")

    started = time.monotonic()
    found = examine(
        {"slow": hang, "broken": broken, "fine": lambda: iter([ok("fine", "all")])}, timeout_seconds=0.5
    )
    release.set()
    assert time.monotonic() - started < 5
    assert [(finding.subject, finding.state) for finding in found] == [
        ("slow", "ok"),
        ("slow", "failed"),
        ("broken", "ok"),
        ("broken", "failed"),
        ("fine", "ok"),
    ]
    assert "secret" not in repr(found)


def test_a_broker_that_accepts_and_says_nothing_is_named(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        findings = doctor(RABBITMQ_HOST="127.0.0.1", RABBITMQ_PORT=str(silent.getsockname()[1]))
    assert doctor.exit_code == 1
    assert "it does not answer" in about(findings, "rabbitmq", "failed")


def test_the_virus_scanner_must_take_the_largest_file(doctor: Doctor, clamd: PrivateClamd) -> None:
    where = {"CLAMAV_HOST": "127.0.0.1", "CLAMAV_PORT": str(clamd.port)}
    findings = doctor(**where, MAX_ATTACHMENT_SIZE_MB="0.5")
    assert "ClamAV" in about(findings, "antivirus", "ok")
    assert "scans files of 0.5 MB" in about(findings, "antivirus", "ok")
    assert "StreamMaxLength" in about(doctor(**where), "antivirus", "failed")
    assert "unscanned" in about(doctor(), "antivirus", "ok")
