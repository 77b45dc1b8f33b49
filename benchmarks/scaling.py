"""What more processes bring: the web tier and the workers at 1, 2 and 4 processes, on one machine.

    python -m benchmarks.scaling

It needs what `./scripts/bench` needs, and is made of its parts.
"""

from __future__ import annotations

import re
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.bench.blocks import Block, Measure, Tidy, web_block
from benchmarks.bench.bounds import MANY_CONNECTIONS, NOISE, QUICK, TEN_THOUSAND, TICKETS, TINY, Profile
from benchmarks.bench.competitors import COLD, WEB_THREADS, WORKER_THREADS, service
from benchmarks.bench.figures import Spread
from benchmarks.bench.ground import RING, Ground, NoGround, ground, server_facts
from benchmarks.bench.pipeline import effects_block
from benchmarks.bench.report import table
from benchmarks.bench.requirements import NOTHING
from benchmarks.bench.results import Results, errors, facts
from benchmarks.bench.rounds import measure
from benchmarks.bench.workloads import Workload

HOME = Path(__file__).parent
PAGE = HOME.parent / "docs" / "scaling.md"
BEGIN, END = "<!-- scaling -->", "<!-- /scaling -->"
EXIT_NO_GROUND = 2

PROCESSES = (1, 2, 4)
WEB, WORKERS = "web processes", "worker processes"
WHATS = ((WEB, "create"), (WEB, "get"), (WEB, "list"), (WORKERS, "effects"))
THOROUGH = Profile(rounds=3, few_rounds=3, seconds=2.5, effects=1_500)


def blocks(here: Ground, size: str, profile: Profile) -> Iterator[Block]:
    """Each tier at each number of processes; the caches are off, so that there is work."""
    address = here.address(size)
    work = Workload(address, tickets=TICKETS[size])
    create = work.create()
    measures = [
        Measure(what=what, requests=requests, seconds=profile.seconds, connections=MANY_CONNECTIONS)
        for what, requests in (("create", create), ("get", work.get()), ("list", work.by_user()))
    ]
    tidy = Tidy(ground=here, address=address, seeded=TICKETS[size])
    for count in PROCESSES:
        server = service(here, address, **COLD, WEB_PROCESSES=str(count))
        yield web_block(f"{count} {WEB}", here, server, measures, tidy=tidy)
        yield effects_block(tidy, create, profile, name=f"{count} {WORKERS}", processes=count)


def report(results: Results) -> str:
    """The table, and where it comes from."""
    facts = results.facts
    lines = [
        f"{facts['started_at']}, commit {facts['commit']}: {facts['processors']} processors for everything, "
        f"{facts['database']}, Python {facts['python']}; medians of {facts['rounds']} rounds, "
        f"{errors(results.samples)} errors. {MANY_CONNECTIONS} connections, {WEB_THREADS} threads in a web "
        f"process and {WORKER_THREADS} in a worker process, caches off; of effects a ticket owes two, "
        f"its event and its mails. Differences below {NOISE:.0%} are none.\n",
        table(
            (
                "a second",
                *(f"{count} process{'es' if count > 1 else ''}" for count in PROCESSES),
                f"{PROCESSES[-1]} : {PROCESSES[0]}",
                "CPU ms each",
            ),
            [_line(results, tier, what) for tier, what in WHATS],
        ),
    ]
    lines += [f"Broke off: {trouble}\n" for trouble in results.troubles]
    return "\n".join(lines)


def _line(results: Results, tier: str, what: str) -> Sequence[str]:
    rates = [results.spread(f"{count} {tier}", what, "per_second") for count in PROCESSES]
    first, last = rates[0], rates[-1]
    times = f"{last.median / first.median:.1f}" if first and last and first.median else NOTHING
    cost = results.spread(f"{PROCESSES[0]} {tier}", what, "cpu_ms")
    return f"{what} ({tier})", *map(_shown, rates), times, f"{cost.median:.2f}" if cost else NOTHING


def _shown(rate: Spread | None) -> str:
    return f"{rate.median:,.0f} ({rate.lowest:,.0f} to {rate.highest:,.0f})" if rate else NOTHING


def write_between_markers(page: Path, text: str) -> None:
    """Replaces what stands between the markers; raises `ValueError` when they are missing."""
    whole = page.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    written, found = between.subn(lambda _: f"{BEGIN}\n{text.rstrip()}\n{END}", whole)
    if found != 1:
        raise ValueError(f"{page} must have {BEGIN} and {END} once")
    page.write_text(written, encoding="utf-8")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="[default: 3]")
@click.option("--seconds", type=float, default=None, help="Of each measurement over HTTP.  [default: 2.5]")
@click.option("--quick", is_flag=True, help="Whether everything still runs: tiny, one round.")
@click.option("--reuse", is_flag=True, help="Take a seeded database that is there, and keep it.")
@click.option("--prefix", default="sav_bench", show_default=True, help="Of databases and queues.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=HOME / "results" / "scaling.json",
    help="Where the JSON goes.",
)
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, help="Where the table goes.")
@click.option("--redraw", is_flag=True, help="Only write the table again, from the JSON.")
def main(
    rounds: int | None,
    seconds: float | None,
    quick: bool,
    reuse: bool,
    prefix: str,
    output: Path,
    page: Path,
    redraw: bool,
) -> None:
    """Measure 1, 2 and 4 web processes and worker processes, and write the table of docs/scaling.md.

    Needs a database server and RabbitMQ, which are looked for as ./scripts/test does it: named by
    SAV_TEST_MYSQL and SAV_TEST_RABBITMQ, at their default ports, or started. The machine should have nothing
    else to do. It takes about six minutes; broken off (Ctrl-C), it writes what there is.

    \b
    python -m benchmarks.scaling
    python -m benchmarks.scaling --quick --output /tmp/scaling.json --page copy-of-the-page.md
    """
    if redraw:
        write_between_markers(page, report(Results.read(output)))
        return
    profile, size = (QUICK, TINY) if quick else (THOROUGH, TEN_THOUSAND)
    profile = replace(profile, rounds=rounds or profile.rounds, seconds=seconds or profile.seconds)
    stands_on = ground(
        sizes={size if quick else f"{size}_{RING}": True},
        prefix=prefix,
        run_id=f"scaling_{secrets.token_hex(4)}",
        lent={},
        reuse=reuse,
        keep=reuse,
    )
    try:
        with stands_on as here:
            results = Results(
                facts(profile, sizes=[size], server=server_facts(here.server), rounds=profile.rounds)
            )
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with suppress(KeyboardInterrupt):
                measure(list(blocks(here, size, profile)), profile.rounds, results, output)
    except NoGround as reason:
        click.echo(f"benchmarks.scaling: {reason}", err=True)
        sys.exit(EXIT_NO_GROUND)
    write_between_markers(page, report(results))
    click.echo(f"{output}\n{page}")
    sys.exit(1 if results.troubles else 0)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.scaling")
