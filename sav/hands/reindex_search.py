"""`scripts/reindex_search`: whether searches find what there is, and the full-text index made anew."""

from __future__ import annotations

import random

import click
import structlog

from sav.hands.commands import (
    CONTEXT_SETTINGS,
    Command,
    embedded_option,
    open_database,
    operator,
    progress_bar,
    settings_for,
    with_logs,
)
from sav.hands.long_runs import Throttle, pause_option, rate_option
from sav.models.database import is_sqlite
from sav.models.migrate import STATEMENT_TIMEOUT_SECONDS
from sav.models.tables import Ticket
from sav.operations.rebuild_search import TableInUse, is_whole, rebuild, rebuild_steps
from sav.queries.search_check import searched_for

SAMPLE = 500
TICKETS_A_BATCH = 100
SECONDS_A_MILLION = 164
"""What building took once, on two cores that had other work too."""

log = structlog.get_logger(__name__)


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--dry-run", is_flag=True, help="Only look whether the index is right; change nothing.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=SAMPLE,
    show_default=True,
    help="How many tickets, taken by chance, are searched for.",
)
@click.option("--yes", is_flag=True, help="Do not ask before writes have to wait.")
@rate_option
@pause_option
@embedded_option
def main(dry_run: bool, sample: int, yes: bool, rate: float | None, pause: float, embedded: bool) -> None:
    """Make the full-text index over subjects and descriptions anew, and look whether it is right.

    The index keeps itself up to date; this is for one that was damaged. First a sample of tickets is
    searched for, each by its longest word, and after the rebuilding again.

    READ THIS FIRST: while a MySQL or MariaDB server builds the index, reads and searches go on, but every
    write to a ticket waits, and is answered 503 with Retry-After when that takes long: some minutes for a
    million tickets. Do it at a quiet hour. Neither server can build a full-text index without that. SQLite
    holds up writes likewise, for a few seconds as a rule. The old index serves until the new one is there,
    and a run that is broken off leaves it as it was; one that had built the new index goes on with it.

    \b
    Examples:
      scripts/reindex_search --dry-run --sample 2000
      scripts/reindex_search
      scripts/reindex_search --yes

    Exit codes: 0 the index is right; 1 it is not, or it failed, or was broken off; 2 wrong settings
    or options.
    """
    settings = with_logs(settings_for(embedded=embedded))
    throttle = Throttle(rate, pause)
    with open_database(settings, statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS):
        wrong = _examine(sample, throttle)
        if not dry_run:
            if not yes:
                _ask()
            _rebuild()
            wrong = _examine(sample, throttle)
        click.echo("The index is right." if not wrong else "The index is not right.")
        if wrong:
            click.get_current_context().exit(1)


def _ask() -> None:
    tickets = Ticket.select().count()
    seconds = tickets * SECONDS_A_MILLION / 1_000_000
    where = "SQLite" if is_sqlite() else "The server"
    click.confirm(
        f"{where} will make writes wait while it builds the index of {tickets} tickets: {seconds:.0f} s or "
        "more, by what was measured once. Go on?",
        abort=True,
    )


def _rebuild() -> None:
    log.info("rebuilding begins", action="reindex_search", operator=operator())
    steps = rebuild_steps()
    with progress_bar(len(steps), "steps") as bar:
        for step in steps:
            try:
                rebuild(step)
            except TableInUse:
                raise click.ClickException(
                    "Something has been using the table for long (a back-up, a long query?): nobody was "
                    "made to wait for it. Try again when it is through; what is built is kept."
                ) from None
            bar.update(1)
    log.info("rebuilding ended", action="reindex_search")


def _examine(sample: int, throttle: Throttle) -> bool:
    """Whether anything is wrong; says what."""
    ids = [row for (row,) in Ticket.select(Ticket.id).where(Ticket.deleted_at.is_null()).tuples().iterator()]
    chosen = sorted(random.sample(ids, min(sample, len(ids))))
    missing: list[int] = []
    with progress_bar(len(chosen), "tickets") as bar:
        for start in range(0, len(chosen), TICKETS_A_BATCH):
            batch = chosen[start : start + TICKETS_A_BATCH]
            missing += [ticket_id for ticket_id, is_found in searched_for(batch) if not is_found]
            throttle.wait_for(len(batch))
            bar.update(len(batch))
    whole = is_whole()
    click.echo(f"{len(chosen) - len(missing)} of {len(chosen)} tickets are found by their longest word.")
    if not whole:
        click.echo("The database says that the index does not fit its texts.")
    return bool(missing) or not whole


if __name__ == "__main__":
    main(prog_name="scripts/reindex_search")
