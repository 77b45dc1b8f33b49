"""The service as it is deployed: its processes, those who call it, and one who listens to its events.

Black box: nothing here imports `sav`.
"""

import bisect
import itertools
import json
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import httpx
import jwt
import pika
import pymysql
from pika.adapters.blocking_connection import BlockingChannel

from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.running_service import PROGRAMS, RunningCommand, clean_environment

ProcessName = Literal["http", "worker", "scheduler"]
PROCESSES: tuple[ProcessName, ...] = ("http", "worker", "scheduler")

SECRET = "a secret of the system tests, long enough for HS256"
TOKEN_LIFETIME_SECONDS = 3600

# Generous, because other processes of the machine may be busy; each is a bound, not an expectation.
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 25.0
REQUEST_TIMEOUT_SECONDS = 20.0
EVENTS_TIMEOUT_SECONDS = 60.0

AMQP_TIMEOUT_SECONDS = 5.0
LISTENER_POLL_SECONDS = 0.1
LISTENER_RETRY_SECONDS = 0.3

LOG_LINES_SHOWN = 25
SERIOUS_LEVELS = ("error", "critical")

Document = dict[str, Any]


class Fleet:
    """`sav http`, `sav worker` and `sav scheduler`, each as a process group whose log is in the directory."""

    def __init__(self, settings: Mapping[str, str], *, directory: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.directory = directory
        self._environment = clean_environment(
            **{"SAV_STORAGE": "disk", **settings},
            APP_ENV="test",
            APP_HOST=LOOPBACK,
            APP_PORT=str(self.port),
            JWT_SECRET=SECRET,
            SAV_DATA_DIR=str(directory / "var"),
        )
        self._running: dict[ProcessName, RunningCommand] = {}
        self._asked_to_end_at: dict[ProcessName, float] = {}

    def __enter__(self) -> Self:
        try:
            self.start(*PROCESSES)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *names: ProcessName) -> None:
        """Starts processes, and returns once the HTTP tier answers when it is among them."""
        for name in names:
            self._running[name] = RunningCommand(
                str(PROGRAMS / "sav"), name, environment=self._environment, log=self.log(name)
            )
        if "http" in names:
            self.wait_until_healthy()

    def also_run(self, *arguments: str, log: str) -> RunningCommand:
        """One more `sav` command with the same settings, which whoever asks for it ends; its log by name."""
        return RunningCommand(
            str(PROGRAMS / "sav"), *arguments, environment=self._environment, log=self.directory / log
        )

    def kill9(self, name: ProcessName) -> None:
        """SIGKILL to the process and all its children, in the same instant."""
        self._running.pop(name).kill()

    def ask_to_end(self, name: ProcessName) -> None:
        """SIGTERM to the process itself, as a supervisor sends it."""
        self._running[name].signal(signal.SIGTERM)
        self._asked_to_end_at[name] = time.monotonic()

    def ended(self, name: ProcessName, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> tuple[int, float]:
        """The exit code, and how many seconds after `ask_to_end` it came.

        `subprocess.TimeoutExpired` when it does not come in time.
        """
        code = self._running[name].exit_code(timeout_seconds=timeout_seconds)
        seconds = time.monotonic() - self._asked_to_end_at[name]
        self._running.pop(name).kill()
        return code, seconds

    def restart(self, name: ProcessName) -> None:
        """Ends it without ceremony if it runs, and starts it again."""
        if name in self._running:
            self.kill9(name)
        self.start(name)

    def make_whole(self) -> None:
        """Starts what a test before this one has left dead."""
        for name in PROCESSES:
            if not self.is_running(name):
                self.restart(name)
        self.wait_until_healthy()

    def is_running(self, name: ProcessName) -> bool:
        return name in self._running and self._running[name].running

    def pid(self, name: ProcessName) -> int:
        return self._running[name].pid

    def wait_until_healthy(self) -> None:
        with httpx.Client(base_url=self.url, timeout=REQUEST_TIMEOUT_SECONDS) as client:
            wait_until(
                lambda: not self.is_running("http") or _is_healthy(client),
                timeout_seconds=START_TIMEOUT_SECONDS,
                what="sav http",
            )
        assert self.is_running("http"), self.end_of_logs()

    def close(self) -> None:
        for name in list(self._running):
            self.kill9(name)

    @property
    def environment(self) -> dict[str, str]:
        """For a command of an operator beside the processes."""
        return dict(self._environment)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def effect_queues(self) -> tuple[str, ...]:
        """The workers' own queues, which only they declare."""
        queue = f"{self._environment['RABBITMQ_QUEUE']}.effects"
        return (queue, f"{queue}.DQ", f"{queue}.XQ")

    def log(self, name: ProcessName) -> Path:
        return self.directory / f"{name}.log"

    def serious_log_lines(self) -> list[str]:
        """Every line that a process wrote as an error."""
        return [
            line
            for name in PROCESSES
            for line in self.log(name).read_text(errors="replace").splitlines()
            if _level(line) in SERIOUS_LEVELS
        ]

    def end_of_logs(self) -> str:
        """For people who look at a failed test."""
        parts = []
        for name in PROCESSES:
            lines = self.log(name).read_text(errors="replace").splitlines() if self.log(name).exists() else []
            parts += [f"the end of {self.log(name)}:", *(f"    {line}" for line in lines[-LOG_LINES_SHOWN:])]
        return "\n".join(parts)


class Caller:
    """Somebody with a token. One object a thread: the connection is kept alive and not shared.

    A call returns the answer whatever its status, and raises `httpx.TransportError` when there is none.
    """

    role: ClassVar[str]

    def __init__(self, fleet: Fleet, user_id: int, *, keep_alive: bool = True) -> None:
        self.user_id = user_id
        limits = httpx.Limits(max_keepalive_connections=None if keep_alive else 0)
        self._client = httpx.Client(
            base_url=fleet.url,
            headers={"Authorization": f"Bearer {token(self.role, user_id)}"},
            timeout=REQUEST_TIMEOUT_SECONDS,
            limits=limits,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        request_id: str | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        named = {"X-Request-ID": request_id, "Idempotency-Key": key}
        headers = {name: value for name, value in named.items() if value is not None}
        return self._client.request(method, path, json=body, headers=headers)

    def get(self, path: str, **named: str | None) -> httpx.Response:
        return self.call("GET", path, None, **named)

    def post(self, path: str, body: Document, **named: str | None) -> httpx.Response:
        return self.call("POST", path, body, **named)

    def open(self, fields: Document | None = None, **named: str | None) -> httpx.Response:
        body = {"subject": "Lost parcel", "description": "It never came.", **(fields or {})}
        return self.post("/tickets", body, **named)

    def reply(self, ticket_id: int, content: str, **named: str | None) -> httpx.Response:
        return self.post(f"/tickets/{ticket_id}/messages", {"content": content}, **named)

    def ticket(self, ticket_id: int) -> Document:
        """The ticket with its messages, as this caller sees it."""
        return _document(self.get(f"/tickets/{ticket_id}"))

    def all_rows(self, path: str) -> list[Document]:
        """A whole list, page by page."""
        rows: list[Document] = []
        cursor = ""
        while True:
            joint = "&" if "?" in path else "?"
            page = _document(self.get(f"{path}{joint}per_page=100{cursor}"))
            rows += page["data"]
            if page["meta"]["next_cursor"] is None:
                return rows
            cursor = f"&cursor={page['meta']['next_cursor']}"


class Customer(Caller):
    role = "customer"

    def rate(self, ticket_id: int, rating: int, comment: str, **named: str | None) -> httpx.Response:
        return self.post(
            f"/tickets/{ticket_id}/satisfaction", {"rating": rating, "comment": comment}, **named
        )


class Agent(Caller):
    role = "agent"

    def join(self) -> None:
        """The first call of a staff member puts them on the roster."""
        _document(self.get("/agents/me"))

    def note(self, ticket_id: int, content: str, **named: str | None) -> httpx.Response:
        body = {"content": content, "is_internal": True}
        return self.post(f"/tickets/{ticket_id}/messages", body, **named)

    def assign(self, ticket_id: int, agent_id: int, **named: str | None) -> httpx.Response:
        return self.post(f"/tickets/{ticket_id}/assign", {"agent_id": agent_id}, **named)

    def resolve(self, ticket_id: int, resolution: str, **named: str | None) -> httpx.Response:
        return self.post(f"/tickets/{ticket_id}/resolve", {"resolution": resolution}, **named)

    def close(self, ticket_id: int, reason: str, **named: str | None) -> httpx.Response:
        return self.post(f"/tickets/{ticket_id}/close", {"reason": reason}, **named)

    def history(self, ticket_id: int) -> list[Document]:
        """Everything that happened to the ticket, in order."""
        return sorted(self.all_rows(f"/tickets/{ticket_id}/history"), key=lambda row: int(row["sequence"]))


class Admin(Agent):
    role = "admin"


@dataclass(frozen=True)
class Delivery:
    """A message as it came from the exchange, and when (`time.monotonic`)."""

    routing_key: str
    properties: pika.BasicProperties
    body: bytes
    at: float
    again: bool = False
    """Whether the broker had delivered it before, to a consumer that went away without a word."""

    @cached_property
    def event(self) -> Document:
        event: Document = json.loads(self.body)
        return event

    @property
    def ticket_id(self) -> int:
        return int(self.event["data"]["ticket_id"])


class ExchangeListener:
    """A consumer as another service would write it: a durable queue of its own, bound with `#`.

    It comes back by itself when the broker was away, and acknowledges what it has noted down.
    """

    _numbers = itertools.count(1)

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._parameters = pika.ConnectionParameters(
            host=settings["RABBITMQ_HOST"],
            port=int(settings["RABBITMQ_PORT"]),
            virtual_host=settings["RABBITMQ_VHOST"],
            credentials=pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"]),
            socket_timeout=AMQP_TIMEOUT_SECONDS,
            stack_timeout=AMQP_TIMEOUT_SECONDS,
            heartbeat=0,
        )
        self._exchange = settings["RABBITMQ_EXCHANGE"]
        self._queue = f"{self._exchange}_listener_{next(self._numbers)}"
        self._deliveries: list[Delivery] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exchange-listener", daemon=True)

    def __enter__(self) -> Self:
        # Bound before anybody can publish.
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.exchange_declare(self._exchange, exchange_type="topic", durable=True)
            channel.queue_declare(self._queue, durable=True)
            channel.queue_bind(self._queue, self._exchange, routing_key="#")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self.delete_queues(self._queue)

    def delete_queues(self, *names: str) -> None:
        """Leaves nothing behind on a broker that others use too; one that is gone needs no tidying."""
        with suppress(Exception), pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            for name in names:
                channel.queue_delete(name)

    @property
    def deliveries(self) -> list[Delivery]:
        """All so far, in the order in which they came."""
        return list(self._deliveries)

    def of(self, ticket_id: int) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.ticket_id == ticket_id]

    def stream(self, ticket_id: int) -> list[Delivery]:
        """A ticket's events without repetitions; each repetition must be the same event again.

        What the broker has delivered again had lost its place in the queue: meanwhile those behind it went to
        the next consumer. It is put where it belongs; all others stay as they came.
        """
        firsts: dict[str, Delivery] = {}
        for delivery in self.of(ticket_id):
            first = firsts.setdefault(delivery.event["id"], delivery)
            assert delivery.body == first.body
        stream = [delivery for delivery in firsts.values() if not delivery.again]
        for late in (delivery for delivery in firsts.values() if delivery.again):
            bisect.insort(stream, late, key=lambda delivery: delivery.event["sequence"])
        return stream

    def wait_for(
        self, ticket_id: int, count: int, *, timeout_seconds: float = EVENTS_TIMEOUT_SECONDS
    ) -> list[Delivery]:
        """A ticket's stream once it has `count` events."""
        wait_until(
            lambda: len(self.stream(ticket_id)) >= count,
            timeout_seconds=timeout_seconds,
            what=f"{count} events of ticket {ticket_id}",
        )
        return self.stream(ticket_id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(Exception):
                self._listen()
            self._stopping.wait(LISTENER_RETRY_SECONDS)

    def _listen(self) -> None:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.basic_consume(self._queue, self._note)
            while not self._stopping.is_set():
                connection.process_data_events(LISTENER_POLL_SECONDS)  # type: ignore[arg-type]

    def _note(
        self,
        channel: BlockingChannel,
        method: pika.spec.Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self._deliveries.append(
            Delivery(method.routing_key, properties, body, time.monotonic(), bool(method.redelivered))
        )
        channel.basic_ack(method.delivery_tag)


@contextmanager
def own_account(database: Mapping[str, str], *, name: str) -> Iterator[dict[str, str]]:
    """The settings of a database with an account for the service, which may do nothing elsewhere.

    It has a password whatever the server's own login has: an empty DB_PASSWORD counts as not set.
    """
    password = secrets.token_hex(16)
    pattern = database["DB_DATABASE"].replace("_", r"\_")
    _administer(database, "CREATE USER %s@'%%' IDENTIFIED BY %s", name, password)
    try:
        _administer(database, f"GRANT ALL ON `{pattern}`.* TO %s@'%%'", name)
        yield {**database, "DB_USERNAME": name, "DB_PASSWORD": password}
    finally:
        _administer(database, "DROP USER %s@'%%'", name)


def token(role: str, user_id: int) -> str:
    """An access token as the authentication service would sign it."""
    claims = {"sub": str(user_id), "role": role, "exp": int(time.time()) + TOKEN_LIFETIME_SECONDS}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def opened(answer: httpx.Response) -> int:
    """The id of the ticket, or of the message, that was made."""
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def median(values: Sequence[float]) -> float:
    return quantile(values, 0.5)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _administer(database: Mapping[str, str], statement: str, *values: str) -> None:
    connection = pymysql.connect(
        host=database["DB_HOST"],
        port=int(database["DB_PORT"]),
        user=database["DB_USERNAME"],
        password=database["DB_PASSWORD"],
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def _document(answer: httpx.Response) -> Document:
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def _is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _level(line: str) -> str | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("level") if isinstance(record, dict) else None
