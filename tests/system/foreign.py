"""Another service, and the workers that listen to it: what the tests of foreign events are told with.

Black box: nothing here imports `sav`; what became of an event is read from the tables.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pika
import pymysql
from pika.adapters.blocking_connection import BlockingChannel

from tests.servers.ports import wait_until
from tests.system.running_service import PROGRAMS, RunningCommand, clean_environment

START_TIMEOUT_SECONDS = 90.0
AMQP_TIMEOUT_SECONDS = 10.0
DEAD_LETTERS_AT_A_TIME = 100


class Worker(RunningCommand):
    """`sav worker` with one process of its own."""

    @property
    def pids(self) -> set[int]:
        """Everything that runs in it: dramatiq's main process and those that it has started."""
        return {int(path.name) for path in Path("/proc").glob("[0-9]*") if _group(path) == self._process.pid}

    @property
    def memory_megabytes(self) -> float:
        """What all of it holds in memory."""
        return sum(_resident_kilobytes(pid) for pid in self.pids) / 1024


class Workers:
    """Some `sav worker` processes, each of which can be killed and started again apart from the others."""

    def __init__(self, settings: Mapping[str, str], *, directory: Path, count: int = 2) -> None:
        self._environment = clean_environment(
            **settings,
            APP_ENV="test",
            SAV_STORAGE="disk",
            SAV_DATA_DIR=str(directory / "var"),
            WORKER_PROCESSES="1",
        )
        self._logs = [directory / f"worker-{number}.log" for number in range(count)]
        self.running: list[Worker] = []

    def __enter__(self) -> Self:
        for number in range(len(self._logs)):
            self.running.append(self._start(number))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.running:
            worker.kill()
        # Shown by pytest when a test has failed.
        for log in self._logs:
            print(f"the end of {log}:", *log.read_text(errors="replace").splitlines()[-15:], sep="\n    ")

    def kill9(self, number: int) -> None:
        """SIGKILL to everything of one of them."""
        self.running[number].kill()

    def start(self, number: int) -> None:
        self.running[number] = self._start(number)

    def _start(self, number: int) -> Worker:
        command = (str(PROGRAMS / "sav"), "worker")
        return Worker(*command, environment=self._environment, log=self._logs[number])


class Shop:
    """The other service: publishes, straight into the exchange, whatever it is given."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._parameters = pika.ConnectionParameters(
            host=settings["RABBITMQ_HOST"],
            port=int(settings["RABBITMQ_PORT"]),
            virtual_host=settings["RABBITMQ_VHOST"],
            credentials=pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"]),
            socket_timeout=AMQP_TIMEOUT_SECONDS,
            blocked_connection_timeout=AMQP_TIMEOUT_SECONDS,
            heartbeat=0,
        )
        self._exchange = settings["RABBITMQ_EXCHANGE"]
        self.queue = settings["RABBITMQ_QUEUE"]

    def tell(self, bodies: Sequence[bytes], *, confirm: bool = False) -> None:
        """Publishes in this order; returns once the broker has all of them."""
        with self.channel() as channel:
            if confirm:
                channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish(
                    self._exchange,
                    "order.issue",
                    body,
                    pika.BasicProperties(delivery_mode=2, content_type="application/json"),
                )

    def consumers(self) -> int:
        """How many workers listen."""
        try:
            with self.channel() as channel:
                return int(channel.queue_declare(self.queue, passive=True).method.consumer_count)
        except pika.exceptions.ChannelClosedByBroker:
            return 0

    def waiting(self) -> int:
        """How many messages no worker has taken yet, or was able to finish."""
        return self._length(self.queue)

    def buried(self) -> int:
        """How many dead letters there are."""
        return self._length(f"{self.queue}.dead")

    def wait_for_consumers(self, count: int) -> None:
        wait_until(
            lambda: self.consumers() == count,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what=f"{count} workers that listen",
        )

    def dead_letters(self) -> list["DeadLetter"]:
        """Takes all out of the dead letters."""
        letters = []
        with self.channel() as channel:
            while (got := channel.basic_get(f"{self.queue}.dead"))[0] is not None:
                method, properties, body = got
                letters.append(DeadLetter(body, dict(properties.headers or {})))
                if not len(letters) % DEAD_LETTERS_AT_A_TIME:
                    channel.basic_ack(method.delivery_tag, multiple=True)
            if letters:
                channel.basic_ack(0, multiple=True)
        return letters

    def purge(self) -> None:
        """Leaves nothing behind on a broker that others use too."""
        with self.channel() as channel:
            for name in ("", ".dead", ".effects", ".effects.DQ", ".effects.XQ"):
                channel.queue_delete(self.queue + name)

    def _length(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(self._parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()


@dataclass(frozen=True)
class DeadLetter:
    body: bytes
    headers: dict[str, Any]


class Tables:
    """The service's tables, as somebody sees them who only looks."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def number(self, statement: str, *values: object) -> int:
        return int(self.rows(statement, *values)[0][0])

    def owed(self) -> int:
        return self.number("SELECT COUNT(*) FROM due_effects WHERE created_at <= UTC_TIMESTAMP(6)")

    def metadata(self) -> list[dict[str, Any]]:
        """What each ticket says it is about."""
        return [json.loads(text) for (text,) in self.rows("SELECT metadata FROM support_tickets")]

    def connection(self) -> "pymysql.Connection[Any]":
        return pymysql.connect(
            host=self._settings["DB_HOST"],
            port=int(self._settings["DB_PORT"]),
            user=self._settings["DB_USERNAME"],
            password=self._settings["DB_PASSWORD"],
            database=self._settings["DB_DATABASE"],
            autocommit=True,
        )


def envelope(event: str, data: object, **members: object) -> bytes:
    """An event as other services write it."""
    body = {"event": event, "timestamp": "2026-01-15T10:30:00Z", "data": data, **members}
    return json.dumps(body).encode()


def _group(process: Path) -> int | None:
    try:
        # The name of the program, in brackets, may hold anything.
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, IndexError):
        return None


def _resident_kilobytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(found[0].split()[1]) if found else 0
