"""How fast the workers publish what is owed, beside what Dramatiq does with actors that do nothing.

    python -m benchmarks.pipeline_load --events 5000

It reads the environment of the service (DB_…, RABBITMQ_…, WORKER_…), of which the database and the virtual
host must be its own: it migrates the one, fills it with events that are owed, and purges queues in the other.
What is waited for is made before the workers start, and the clock runs from when a tenth of it is done: how
long a process takes to start is another question.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click
import dramatiq
import orjson
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from sav import bootstrap
from sav.actors.amqp import connect, connection_options, ensure_exchange
from sav.domain.caller import SYSTEM
from sav.domain.effects import PUBLISH_EVENT
from sav.domain.occasion import Occasion
from sav.models.database import connection
from sav.models.migrate import migrate
from sav.models.tables import DueEffect, Event
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.settings import Settings, load_settings
from sav.telemetry.logs import configure_logs

ROWS_A_STATEMENT = 1_000
FIRST_TICKET_ID = 1_000_000_000
"""Far from the tickets of anybody else: nothing but their events exists."""
MODULE = "benchmarks.pipeline_load"
NOTHING_ACTOR, NOTHING_QUEUE = "nothing", "nothing"
WARM_SHARE = 0.1
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 300.0
STOP_SECONDS = 30.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What the worker processes did: so many a second, each for so much of their processors' time."""

    done: int
    per_second: float
    cpu_milliseconds_each: float


def publishing(settings: Settings, *, events: int) -> Throughput:
    """Events that are owed, one by each of as many tickets, until all are confirmed by the exchange."""
    with connection():
        owe_events(events)
        return _watched(_worker_command(settings), total=events, left=_owed)


def doing_nothing(settings: Settings, *, messages: int) -> Throughput:
    """The same workers, the same broker, stock Dramatiq, and an actor that returns at once."""
    broker = _stock_broker(settings)
    for _ in range(messages):
        broker.get_actor(NOTHING_ACTOR).send()
    with connect(settings) as amqp:
        channel = amqp.channel()

        def left() -> int:
            return int(channel.queue_declare(NOTHING_QUEUE, passive=True).method.message_count)

        done = _watched(_dramatiq(settings, "nothing_worker"), total=messages, left=left)
    broker.close()
    return done


def latencies(settings: Settings, *, per_second: float, seconds: float) -> list[float]:
    """Seconds from just before a ticket is written until its first event is out, at a steady pace; sorted.

    The workers must be running, as `with workers(settings)` has them; it begins when they are at work.
    """
    hints = bootstrap.web_hints(settings)
    with _Ear(settings) as ear, connection():
        _open_ticket(settings)
        ear.wait_for(1)
        ear.delays.clear()
        begun = time.monotonic()
        count = int(per_second * seconds)
        for number in range(count):
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            _open_ticket(settings)
        ear.wait_for(count)
    hints.stop(timeout_seconds=STOP_SECONDS)
    return sorted(ear.delays)


def owe_events(count: int) -> None:
    """As many tickets owe their `ticket.created`; tickets that nobody but their events knows."""
    now = datetime.now(UTC)
    Event.delete().where(Event.ticket_id >= FIRST_TICKET_ID).execute()
    for start in range(0, count, ROWS_A_STATEMENT):
        tickets = range(FIRST_TICKET_ID + start, FIRST_TICKET_ID + min(start + ROWS_A_STATEMENT, count))
        Event.insert_many([_event(ticket_id, now) for ticket_id in tickets]).execute()
        DueEffect.insert_many([_token(ticket_id, now) for ticket_id in tickets]).execute()


def _open_ticket(settings: Settings) -> None:
    rules = DeskRules(number_prefix=settings.TICKET_NUMBER_PREFIX, customer_maximum_priority="urgent")
    new = NewTicket(subject="Lost parcel", description="It never came.", user_id=1)
    open_ticket(occasion=Occasion(SYSTEM, datetime.now(UTC), "bench"), new=new, rules=rules)


@contextmanager
def workers(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The service's workers, as `sav worker` runs them."""
    with _running(_worker_command(settings)) as process:
        yield process


def _event(ticket_id: int, now: datetime) -> dict[str, object]:
    number = f"TICKET-20260105-{ticket_id}"
    about = {"ticket_id": ticket_id, "ticket_number": number, "user_id": 1}
    return {
        "event_id": str(uuid4()),
        "ticket_id": ticket_id,
        "sequence": 1,
        "published_sequence": 1,
        "name": "ticket.created",
        "data": {
            **about,
            "subject": "Lost parcel",
            "priority": "normal",
            "category": "order",
            "source": "web",
        },
        "changes": {},
        "actor_id": 1,
        "actor_role": "customer",
        "request_id": f"bench-{ticket_id}",
        "occurred_at": now,
    }


def _token(ticket_id: int, now: datetime) -> dict[str, object]:
    return {
        "effect": PUBLISH_EVENT,
        "ticket_id": ticket_id,
        "sequence": 1,
        "due_at": now,
        "created_at": now,
    }


def _owed() -> int:
    return int(DueEffect.select().where(DueEffect.effect == PUBLISH_EVENT).count())


def _watched(command: Sequence[str], *, total: int, left: Callable[[], int]) -> Throughput:
    """Runs workers until nothing is left; measures from when the first tenth is done."""
    with _running(command) as process:
        _wait_until(lambda: left() <= total * (1 - WARM_SHARE))
        begun, cpu_begun, left_begun = time.monotonic(), _cpu_seconds(process.pid), left()
        _wait_until(lambda: left() == 0)
        seconds, cpu_seconds = time.monotonic() - begun, _cpu_seconds(process.pid) - cpu_begun
    return Throughput(
        done=left_begun,
        per_second=left_begun / seconds,
        cpu_milliseconds_each=1000 * cpu_seconds / left_begun,
    )


def _wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > give_up_at:
            raise TimeoutError("the workers have not come to an end")
        time.sleep(LOOK_SECONDS)


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _worker_command(settings: Settings) -> list[str]:
    return [str(Path(sys.executable).parent / "sav"), "worker"]


def _dramatiq(settings: Settings, function: str) -> list[str]:
    sizes = [f"--processes={settings.WORKER_PROCESSES}", f"--threads={settings.WORKER_THREADS}"]
    return [sys.executable, "-m", "dramatiq", f"{MODULE}:{function}", *sizes]


def nothing_worker() -> None:
    """What dramatiq calls in each of its processes."""
    dramatiq.set_broker(_stock_broker(load_settings()))


def _stock_broker(settings: Settings) -> RabbitmqBroker:
    broker = RabbitmqBroker(confirm_delivery=True, parameters=connection_options(settings))
    dramatiq.actor(actor_name=NOTHING_ACTOR, queue_name=NOTHING_QUEUE, broker=broker)(_do_nothing)
    return broker


def _do_nothing() -> None: ...


def _cpu_seconds(pid: int) -> float:
    """Of a process and all that it has started, dead or alive."""
    total = 0.0
    for member in (pid, *_descendants(pid)):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        # utime, stime, and those of children that have ended.
        total += sum(map(int, fields[11:15])) / TICKS_A_SECOND
    return total


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)


class _Ear:
    """Listens to the exchange on a thread of its own, and notes how old each event is when it arrives."""

    def __init__(self, settings: Settings) -> None:
        self._amqp = connect(settings)
        ensure_exchange(self._amqp, settings.RABBITMQ_EXCHANGE)
        self._channel = self._amqp.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, settings.RABBITMQ_EXCHANGE, "ticket.created")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._stopping = threading.Event()
        self.delays: list[float] = []

    def __enter__(self) -> "_Ear":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._amqp.close()

    def wait_for(self, count: int) -> None:
        _wait_until(lambda: len(self.delays) >= count)

    def _listen(self) -> None:
        for _, _, body in self._channel.consume(self._queue, auto_ack=True, inactivity_timeout=0.1):
            if body is not None:
                happened = datetime.fromisoformat(orjson.loads(body)["timestamp"])
                self.delays.append((datetime.now(UTC) - happened) / timedelta(seconds=1))
            if self._stopping.is_set():
                return


@click.command()
@click.option("--events", default=5_000, show_default=True, help="How many are owed, and messages to nobody.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured, in turns.")
@click.option("--pace", default=50.0, show_default=True, help="Tickets a second, for the latency.")
@click.option("--seconds", default=20.0, show_default=True, help="For how long the latency is measured.")
def main(events: int, rounds: int, pace: float, seconds: float) -> None:
    """Measures and prints."""
    settings = load_settings()
    configure_logs(settings.APP_ENV, settings.APP_NAME, "WARNING")
    bootstrap.initialise_database(settings)
    migrate()
    for _ in range(rounds):
        nothing, published = doing_nothing(settings, messages=events), publishing(settings, events=events)
        click.echo(f"nothing {nothing}\nevents  {published}")
        click.echo(f"ratio   {published.per_second / nothing.per_second:.2f}")
    with workers(settings):
        delays = latencies(settings, per_second=pace, seconds=seconds)
    marks = ", ".join(f"p{mark} {1000 * delays[len(delays) * mark // 100]:.1f} ms" for mark in (50, 95, 99))
    click.echo(f"write to exchange at {pace:g}/s: {marks}")


if __name__ == "__main__":
    main()
