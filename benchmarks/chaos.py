"""Kills everything at random while people write, and counts afterwards what was lost.

    python -m benchmarks.chaos --tickets 5000 --seed 7

Clients take tickets through all their states over HTTP, and another service publishes events, some of them
more than once. Meanwhile the web tier, the workers, the scheduler and the broker are killed with SIGKILL and
the database is restarted; whatever has ended is started again. In the end, the tables, the published events
and what was acknowledged must say the same.

Broker and database are private ones unless addresses are given; given servers are never killed.
"""

import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.chaos_clients import Clients, ForeignService
from benchmarks.chaos_reconciliation import Reconciliation, reconcile, settled_share
from benchmarks.chaos_victims import Death, Reaper, Victim
from tests.plugins.servers import broker_settings_at, server_database_settings
from tests.servers.addresses import Address
from tests.servers.belongings import create_database, drop_database
from tests.servers.mysql import PrivateMySQL
from tests.servers.ports import free_port
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.system.fleet import PROCESSES, ExchangeListener, Fleet

QUIET_SHARE = 0.3
"""Which last part of the writing nobody disturbs: a killed publisher's lease of 30 s ends meanwhile."""
POLL_SECONDS = 0.25
SETTLE_TIMEOUT_SECONDS = 120.0
STALLED_SECONDS = 150.0
"""After so long without a single finished step the run is given up."""

Progress = Callable[[str, float], None]
"""Told what is going on and how much of it is done, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is written, by how many, and how often somebody dies of it."""

    tickets: int
    foreign: int
    clients: int
    seed: int
    deaths: int
    processes: int = 1
    """Of the web tier, and of the workers."""
    database: Address | None = None
    broker: Address | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    seconds: float
    deaths: list[Death]
    unanswered: int
    unavailable: int
    reconciliation: Reconciliation

    @property
    def lines(self) -> list[str]:
        """For people: one line a number."""
        longest = max((death.down_seconds for death in self.deaths), default=0.0)
        return [
            f"{self.seconds:.1f} s, {len(self.deaths)} deaths, the longest absence {longest:.1f} s",
            f"requests without an answer: {self.unanswered}, answered 503: {self.unavailable}",
            *self.reconciliation.lines,
        ]


@dataclass
class Stage:
    """The service, its servers, and everybody who can be killed."""

    fleet: Fleet
    settings: dict[str, str]
    listener: ExchangeListener
    victims: list[Victim] = field(default_factory=list)


def run(plan: Plan, directory: Path, *, progress: Progress = lambda what, share: None) -> Outcome:
    """One run from empty servers to the reconciliation; the directory must be short and open to others."""
    chance = random.Random(plan.seed)  # noqa: S311
    with stage(plan, directory) as on:
        started_at = time.monotonic()
        clients = Clients(on.fleet, tickets=plan.tickets, threads=plan.clients)
        shop = ForeignService(on.settings, events=plan.foreign, seed=chance.random())
        reaper = Reaper(on.victims, deaths=plan.deaths, chance=chance, until_share=1 - QUIET_SHARE)
        with clients, shop, reaper:
            _wait(
                "writing",
                lambda: min(clients.done_share, shop.done_share),
                progress=progress,
                tell=reaper.tell,
                raise_errors=lambda: [one.raise_errors() for one in (clients, shop, reaper)],
            )
            reaper.wait_until_all_live()
            _wait(
                "settling",
                lambda: settled_share(on.settings, on.listener, foreign=plan.foreign),
                progress=progress,
                timeout_seconds=SETTLE_TIMEOUT_SECONDS,
            )
            reaper.raise_errors()
        return Outcome(
            seconds=time.monotonic() - started_at,
            deaths=reaper.past,
            unanswered=clients.unanswered,
            unavailable=clients.unavailable,
            reconciliation=reconcile(
                on.settings, on.listener.deliveries, stories=clients.stories, foreign=shop.confirmed
            ),
        )


@contextmanager
def stage(plan: Plan, directory: Path) -> Iterator[Stage]:
    """Servers, private or given, and a fleet on them."""
    name = f"sav_chaos_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        victims = []
        database, broker = plan.database, plan.broker
        if database is None:
            store = stack.enter_context(PrivateMySQL(directory / "database"))
            database = store.address
            victims.append(
                Victim(
                    "database", ways=(store.kill, store.stop), start=store.start, is_up=lambda: store.running
                )
            )
        if broker is None:
            node = stack.enter_context(PrivateRabbitMQ(directory / "broker"))
            broker = node.address
            victims.append(Victim("broker", ways=(node.kill,), start=node.start, is_up=lambda: node.running))
        create_database(database, name)
        stack.callback(drop_database, database, name)
        settings = server_database_settings(database, name) | broker_settings_at(broker, name)
        listener = stack.enter_context(ExchangeListener(settings))
        processes = {"WEB_PROCESSES": str(plan.processes), "WORKER_PROCESSES": str(plan.processes)}
        (directory / "fleet").mkdir(exist_ok=True)
        fleet = Fleet(settings | processes, directory=directory / "fleet", port=free_port())
        queue = settings["RABBITMQ_QUEUE"]
        stack.callback(lambda: listener.delete_queues(queue, f"{queue}.dead", *fleet.effect_queues))
        stack.enter_context(fleet)
        victims = [*(Victim.process(fleet, process) for process in PROCESSES), *victims]
        yield Stage(fleet, settings, listener, victims)


def _wait(
    what: str,
    share: Callable[[], float],
    *,
    progress: Progress,
    tell: Callable[[float], None] = lambda _: None,
    raise_errors: Callable[[], object] = lambda: None,
    timeout_seconds: float | None = None,
) -> None:
    """Until the share is 1, or the time is over; without such a time `Stalled` when it stops growing."""
    began_at = grew_at = time.monotonic()
    best = -1.0
    while True:
        raise_errors()
        now = share()
        tell(now)
        progress(what, now)
        if now >= 1:
            return
        if now > best:
            best, grew_at = now, time.monotonic()
        if timeout_seconds is not None:
            if time.monotonic() - began_at > timeout_seconds:
                # What is missing will be in the reconciliation.
                return
        elif time.monotonic() - grew_at > STALLED_SECONDS:
            raise Stalled(f"{what}: nothing was finished for {STALLED_SECONDS:.0f} s, at {now:.1%}")
        time.sleep(POLL_SECONDS)


class Stalled(Exception):
    """The service did not come back to work."""


class _Bars:
    """A progress bar for each thing that goes on."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""

    def __call__(self, what: str, share: float) -> None:
        if what != self._what:
            self.close()
            self._what = what
            self._bar = click.progressbar(length=1000, label=f"{what:>9}")
            self._bar.__enter__()
        if self._bar is not None:
            self._bar.update(int(share * 1000) - self._bar.pos)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def _address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Address | None:
    try:
        return Address.parse(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n") if __doc__ else None)
@click.option("--tickets", default=200, show_default=True, help="Tickets that the clients open.")
@click.option("--foreign", type=int, help="Events of another service.  [default: half of the tickets]")
@click.option("--clients", default=8, show_default=True, help="Clients that write at the same time.")
@click.option("--deaths", type=int, help="How often something is killed.  [default: 8 + tickets / 50]")
@click.option("--processes", default=2, show_default=True, help="Processes of the web tier, and workers.")
@click.option("--seed", type=int, help="Who dies when; printed, and by default chosen at random.")
@click.option(
    "--database", callback=_address, help="mysql://user:password@host:port instead of a private one."
)
@click.option("--broker", callback=_address, help="amqp://user:password@host:port instead of a private one.")
@click.option("--keep", is_flag=True, help="Keep the directory with the logs.")
def main(
    *,
    tickets: int,
    foreign: int | None,
    clients: int,
    deaths: int | None,
    processes: int,
    seed: int | None,
    database: Address | None,
    broker: Address | None,
    keep: bool,
) -> None:
    plan = Plan(
        tickets=tickets,
        foreign=tickets // 2 if foreign is None else foreign,
        clients=clients,
        seed=secrets.randbelow(10**6) if seed is None else seed,
        deaths=8 + tickets // 50 if deaths is None else deaths,
        processes=processes,
        database=database,
        broker=broker,
    )
    click.echo(
        f"seed {plan.seed}: {plan.tickets} tickets, {plan.foreign} foreign events, {plan.deaths} deaths"
    )
    directory = Path(tempfile.mkdtemp(prefix="sav_chaos_"))
    directory.chmod(0o711)
    bars = _Bars()
    try:
        outcome = run(plan, directory, progress=bars)
    finally:
        bars.close()
        if keep:
            click.echo(f"the logs are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    for death in outcome.deaths:
        click.echo(f"    {death}")
    click.echo("\n".join(outcome.lines))
    if outcome.reconciliation.faults:
        click.echo("\n".join(["LOST:", *outcome.reconciliation.faults]), err=True)
        sys.exit(1)
    click.echo("nothing was lost, nothing was done twice")


if __name__ == "__main__":
    main()
