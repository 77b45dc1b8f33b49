"""Upgrades an old release to the one of this directory while people write and read: nobody notices.

    python -m benchmarks.upgrade --old 1924107 --tickets 20000

The old release is checked out and installed beside this one, in a temporary directory. Its processes run on
a database with its own tables; today's `sav migrate` changes them under its feet, and it goes on for a while.
Then each of its processes gives way to one of today's, as docs/operations.md has it. No request may fail,
nothing that was acknowledged may be lost, and every event goes out once.

The servers are those that the tests would use (`SAV_TEST_*`, or the default ports). Takes about three
minutes. Exit code 1 when anything is wrong.
"""

import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import httpx

from tests.plugins.servers import broker_settings_at, server_database_settings
from tests.servers import belongings
from tests.servers.balancer import Balancer
from tests.servers.cable import Cable
from tests.servers.find import at_default_port, at_environment
from tests.servers.kinds import BROKER, DATABASE
from tests.servers.ports import NotReady, wait_until
from tests.system.conftest import Site
from tests.system.deployment import Deployment
from tests.system.fleet import Admin, Customer, ExchangeListener, Fleet, ProcessName, opened, own_account
from tests.system.foreign import Tables
from tests.system.running_service import PROGRAMS
from tests.system.writers import Writers, assert_all_events_are_out, assert_nothing_is_lost_or_doubled

ROOT = Path(__file__).parents[1]
TIERS: tuple[tuple[ProcessName, int], ...] = (("http", 2), ("worker", 2), ("scheduler", 1))
OWED_TIMEOUT_SECONDS = 120.0
READ_PAUSE_SECONDS = 0.05
# Those of before migration 0022 tell nobody what they have changed (docs/operations.md).
OF_THE_NEW: Mapping[str, str] = {"CACHE_MEMORY_MB": "0", "SAV_MIGRATE_AT_START": "false"}


@click.command(help=__doc__)
@click.option("--old", required=True, help="The commit of the old release.")
@click.option("--tickets", default=20_000, show_default=True, help="Tickets that its database has.")
@click.option("--writers", default=4, show_default=True, help="People who write; as many read.")
@click.option("--seconds", default=5.0, show_default=True, help="For which each state of the upgrade lasts.")
def main(old: str, tickets: int, writers: int, seconds: float) -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sav_upgrade_")))
        old_programs = stack.enter_context(_installed(old, directory / "old"))
        site, deployment = _site(stack, directory)
        _run(old_programs / "sav", "migrate", environment=site.fleet.environment)
        _fill(site.fleet.environment, deployment, old_programs, site, tickets)
        problems = _upgrade(site, deployment, old_programs, writers=writers, seconds=seconds)
    click.echo("\n".join(problems) or "no request failed, nothing is lost, owed or told twice")
    sys.exit(1 if problems else 0)


def _upgrade(
    site: Site, deployment: Deployment, old_programs: Path, *, writers: int, seconds: float
) -> list[str]:
    old = {name: [deployment.start(name, programs=old_programs) for _ in range(n)] for name, n in TIERS}
    problems = []
    with Writers(site, count=writers) as writing, Readers(site, writing) as reading:
        _say("the old release serves")
        time.sleep(seconds)
        begun = time.monotonic()
        _run(PROGRAMS / "sav", "migrate", environment=site.fleet.environment)
        ended = time.monotonic()
        _say(f"migrated in {ended - begun:.1f} s; the old release goes on")
        time.sleep(seconds)
        for name, replicas in old.items():
            for replica in replicas:
                deployment.start(name, variables=OF_THE_NEW)
                if code := deployment.end(replica):
                    problems.append(f"an old sav {name} ended with {code}")
                _say(f"a sav {name} was replaced")
                time.sleep(seconds)
    slowest = max(writing.seconds_between(begun, ended), default=0.0)
    _say(f"{len(writing.answers)} writes ({dict(writing.statuses)}), {reading.statuses.total()} reads")
    _say(f"slowest write {max(a.seconds for a in writing.answers):.2f} s, while migrating {slowest:.2f} s")
    problems += [f"a write got no answer: {name}" for name in writing.unanswered] + reading.problems
    problems += [f"a write was answered with {code}" for code in set(writing.statuses) - {200, 201}]
    return problems + _reconcile(site, writing)


def _reconcile(site: Site, writers: Writers) -> list[str]:
    problems = []
    try:
        with Admin(site.fleet, site.someone_new()) as admin:
            assert_nothing_is_lost_or_doubled(writers, admin)
            assert_all_events_are_out(site.listener, admin, writers.ticket_ids)
        what = "all that is owed"
        owed = "SELECT COUNT(*) FROM due_effects"
        tables = Tables(site.fleet.environment)
        wait_until(lambda: not tables.number(owed), timeout_seconds=OWED_TIMEOUT_SECONDS, what=what)
    except (AssertionError, NotReady) as error:
        problems.append(str(error) or repr(error))
    told = Counter(delivery.event["id"] for delivery in site.listener.deliveries)
    _say(f"{len(writers.ticket_ids)} tickets, {len(told)} events")
    return problems + [f"told {times} times: {event}" for event, times in told.items() if times > 1]


class Readers:
    """As many people as write, each reading again and again what one of those was promised."""

    def __init__(self, site: Site, writers: Writers) -> None:
        self.statuses: Counter[int] = Counter()
        self.problems: list[str] = []
        self._site = site
        self._writers = writers
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[place], daemon=True)
            for place in range(len(writers.user_ids))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, place: int) -> None:
        promised = self._writers.promises[place].messages
        with Customer(self._site.fleet, self._writers.user_ids[place]) as customer:
            while not self._stopping.wait(READ_PAUSE_SECONDS):
                ids = list(promised)
                if not ids:
                    continue
                messages = list(promised[ids[-1]])
                try:
                    self._look(customer, ids[-1], messages)
                except httpx.TransportError as error:
                    self.problems.append(f"a read got no answer: {error!r}")

    def _look(self, customer: Customer, ticket_id: int, messages: list[int]) -> None:
        one, listed = customer.get(f"/tickets/{ticket_id}"), customer.get("/tickets")
        self.statuses.update((one.status_code, listed.status_code))
        if (one.status_code, listed.status_code) != (200, 200):
            self.problems.append(f"reads were answered with {one.status_code}, {listed.status_code}")
            return
        missing = set(messages) - {message["id"] for message in one.json()["messages"]}
        if missing or ticket_id not in {row["id"] for row in listed.json()["data"]}:
            self.problems.append(
                f"ticket {ticket_id} or its messages {missing} were acknowledged, and not read"
            )


def _site(stack: ExitStack, directory: Path) -> tuple[Site, Deployment]:
    """A database and a place on the broker, and the address at which everybody calls the web tier."""
    name = f"sav_upgrade_{secrets.token_hex(4)}"
    database, broker = (
        (at_environment(kind) or at_default_port(kind)).address for kind in (DATABASE, BROKER)
    )
    belongings.create_database(database, name)
    stack.callback(belongings.drop_database, database, name)
    account = own_account(server_database_settings(database, name), name=name)
    on_broker = broker_settings_at(broker, name)
    cable = stack.enter_context(Cable(on_broker["RABBITMQ_HOST"], int(on_broker["RABBITMQ_PORT"])))
    listener = stack.enter_context(ExchangeListener(on_broker))
    balancer = stack.enter_context(Balancer())
    fleet = Fleet({**stack.enter_context(account), **on_broker}, directory=directory, port=balancer.port)
    queue = on_broker["RABBITMQ_QUEUE"]
    stack.callback(lambda: listener.delete_queues(queue, f"{queue}.dead", *fleet.effect_queues))
    deployment = Deployment(fleet.environment, directory=directory, balancer=balancer)
    stack.callback(deployment.close)
    return Site(fleet, cable, listener), deployment


@contextmanager
def _installed(commit: str, directory: Path) -> Iterator[Path]:
    """The programs of that commit, in a virtual environment of their own."""
    _say(f"installing {commit}")
    _run("git", "-C", ROOT, "worktree", "add", "--detach", "--force", directory, commit)
    try:
        _run(sys.executable, "-m", "venv", directory / ".venv")
        programs = directory / ".venv" / "bin"
        _run(programs / "python", "-m", "pip", "install", "--quiet", "-e", directory)
        yield programs
    finally:
        _run("git", "-C", ROOT, "worktree", "remove", "--force", directory)


def _fill(
    environment: Mapping[str, str], deployment: Deployment, programs: Path, site: Site, tickets: int
) -> None:
    """One ticket by the old release itself, and its rows again and again."""
    web = deployment.start("http", programs=programs)
    with Customer(site.fleet, site.someone_new()) as customer:
        opened(customer.open())
    deployment.end(web)
    _say(f"filling the tables with {tickets} tickets")
    with Tables(environment).connection() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW COLUMNS FROM support_tickets")
        columns = [f"`{row[0]}`" for row in cursor.fetchall() if "GENERATED" not in row[5]]
        copied = [name for name in columns if name != "`id`"]
        values = ["CONCAT('OLD-', UUID_SHORT())" if name == "`ticket_number`" else name for name in copied]
        there = 1
        while there < tickets:
            more = min(there, tickets - there)
            cursor.execute(
                f"INSERT INTO support_tickets ({', '.join(copied)}) "  # noqa: S608
                f"SELECT {', '.join(values)} FROM support_tickets LIMIT {more}"
            )
            there += more


def _run(*command: str | Path, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise click.ClickException(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")


def _timer() -> Callable[[], float]:
    started = time.monotonic()
    return lambda: time.monotonic() - started


_seconds = _timer()


def _say(what: str) -> None:
    click.echo(f"{_seconds():6.1f} s  {what}")


if __name__ == "__main__":
    main()
