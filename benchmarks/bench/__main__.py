"""One run of the benchmark: seeds, measures in rounds, writes everything down after each block."""

from __future__ import annotations

import secrets
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.bench.bounds import QUICK, TICKETS, TINY, Profile
from benchmarks.bench.ground import NoGround, ground, server_facts
from benchmarks.bench.plan import Plan, databases
from benchmarks.bench.plot import plot
from benchmarks.bench.report import shares, write_report
from benchmarks.bench.results import Results, facts
from benchmarks.bench.rounds import measure

HOME = Path(__file__).parent.parent
EXIT_NO_GROUND = 2


def conclude(results: Results, directory: Path, report: Path) -> None:
    """The table and the picture, from the JSON alone."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plot.svg").write_text(plot(shares(results)))
    write_report(results, report, HOME / "EXPLANATIONS.md")
    click.echo(f"{report}\n{directory / 'plot.svg'}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sizes", default="10k,100k,1m", show_default=True, help=f"Of {', '.join(TICKETS)}.")
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="[default: 9]")
@click.option("--seconds", type=float, default=None, help="Of each measurement.  [default: 1.2]")
@click.option("--only", multiple=True, metavar="TEXT", help="Blocks whose names contain this; repeatable.")
@click.option("--quick", is_flag=True, help="Whether everything still runs: tiny, one round, no peers.")
@click.option("--peers/--no-peers", default=None, help="Install and measure django-helpdesk.  [default: yes]")
@click.option("--reuse", is_flag=True, help="Take seeded databases that are there, and keep all.")
@click.option("--keep", is_flag=True, help="Keep the databases, for a later --reuse.")
@click.option("--database", "lent", multiple=True, metavar="SIZE=NAME", help="A seeded database to read.")
@click.option("--seed-only", is_flag=True, help="Only seed, keep, and name the blocks and what they take.")
@click.option("--prefix", default="sav_bench", show_default=True, help="Of databases and queues.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=HOME / "results", help="Where the JSON goes."
)
@click.option("--report", type=click.Path(path_type=Path), default=HOME / "RESULTS.md", help="The table.")
@click.option("--redraw", is_flag=True, help="Only write the table and the picture again, from the JSON.")
def main(
    sizes: str,
    rounds: int | None,
    seconds: float | None,
    only: tuple[str, ...],
    quick: bool,
    peers: bool | None,
    reuse: bool,
    keep: bool,
    lent: tuple[str, ...],
    seed_only: bool,
    prefix: str,
    output: Path,
    report: Path,
    redraw: bool,
) -> None:
    """Measure the service against the limit, and against what people would use instead.

    Needs a database server and RabbitMQ, which are looked for as ./scripts/test does it: named by
    SAV_TEST_MYSQL and SAV_TEST_RABBITMQ, at their default ports, or started. The machine should have nothing
    else to do.

    \b
    ./scripts/bench                                     everything: see the time that it shows at its start
    ./scripts/bench --quick                             whether everything still runs, in half a minute
    ./scripts/bench --sizes 10k --only "thinnest" --only "caches off"
    ./scripts/bench --seed-only; ./scripts/bench --reuse
    """
    file = output / "results.json"
    if redraw:
        conclude(Results.read(file), output, report)
        return
    profile = QUICK if quick else Profile()
    if seconds:
        profile = replace(profile, seconds=seconds)
    wanted = (TINY,) if quick else tuple(sorted(sizes.split(","), key=TICKETS.__getitem__))
    names = dict(pair.split("=", 1) for pair in lent)
    peers = not quick if peers is None else peers
    stands_on = ground(
        sizes=databases(wanted),
        prefix=prefix,
        run_id=f"bench_{secrets.token_hex(4)}",
        lent=names,
        reuse=reuse,
        keep=keep or reuse or seed_only,
    )
    try:
        with stands_on as here:
            plan = Plan(ground=here, sizes=wanted, profile=profile, peers=peers, reuse=reuse)
            blocks = plan.blocks(lambda name: not only or any(text in name for text in only))
            if seed_only:
                click.echo("\n".join(f"{block.seconds:5.1f} s a round  {block.name}" for block in blocks))
                return
            all_rounds = rounds or profile.rounds
            results = Results(
                facts(profile, sizes=wanted, server=server_facts(here.server), rounds=all_rounds)
            )
            # Whoever ends the run, by Ctrl-C or by SIGTERM, has a table of what there is so far.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with suppress(KeyboardInterrupt):
                measure(blocks, all_rounds, results, file)
    except NoGround as reason:
        click.echo(f"scripts/bench: {reason}", err=True)
        sys.exit(EXIT_NO_GROUND)
    conclude(results, output, report)
    sys.exit(1 if results.troubles else 0)


if __name__ == "__main__":
    main(prog_name="scripts/bench")
