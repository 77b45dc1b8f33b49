"""`scripts/backfill_metrics`: the desk's numbers made anew, for a span of days or for all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

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
from sav.hands.long_runs import (
    ResumeFile,
    Throttle,
    fingerprint_of,
    pause_option,
    rate_option,
    restart_option,
    resume_file_option,
)
from sav.operations.recount_tickets import (
    Recounted,
    days_to_recount,
    recount_load,
    recount_sums_of,
    recount_tickets_of,
    recount_wider_sums,
)

log = structlog.get_logger(__name__)


class _Day(click.ParamType[date]):
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day such as 2026-01-31", param, ctx)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a backfill is: all days before `day` are done."""

    day: str = ""
    tickets: int = 0
    wrong_tickets: int = 0
    wrong_sums: int = 0

    @property
    def found(self) -> Recounted:
        return Recounted(self.tickets, self.wrong_tickets, self.wrong_sums)


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--from", "since", type=_Day(), help="The first day, in UTC (that of the first ticket).")
@click.option("--to", "until", type=_Day(), help="The last day, in UTC (today).")
@rate_option
@pause_option
@click.option("--dry-run", is_flag=True, help="Only compare; change nothing.")
@resume_file_option
@restart_option
@embedded_option
def main(
    since: date | None,
    until: date | None,
    rate: float | None,
    pause: float,
    dry_run: bool,
    resume_file: Path | None,
    restart: bool,
    embedded: bool,
) -> None:
    """Count the desk's tickets again, and repair the numbers that statistics are read from.

    The numbers keep themselves up to date. This is for a desk that is new to them (the first hour would count
    its tickets just as well), after an import, and after somebody has written to the tables by hand. The
    service may run beside it, and statistics stay exact meanwhile.

    A span chooses the days on which tickets were opened, and the days whose sums are made anew. Without one
    everything is counted.

    \b
    Examples:
      scripts/backfill_metrics --dry-run
      scripts/backfill_metrics
      scripts/backfill_metrics --from 2026-01-01 --to 2026-03-31 --rate 500

    A backfill that was broken off goes on where it was when the same command is given again.

    Exit codes: 0 done, or nothing is wrong; 1 it failed, was broken off, or a dry run has found something
    wrong; 2 wrong settings or options.
    """
    if since and until and since > until:
        raise click.UsageError("--from must not lie after --to.")
    settings = with_logs(settings_for(embedded=embedded))
    with open_database(settings):
        if dry_run:
            _compare(since, until)
            return
        fingerprint = fingerprint_of(since, until)
        resume = ResumeFile(
            resume_file or settings.SAV_DATA_DIR / f"backfill-{fingerprint}.json", fingerprint
        )
        kept = None if restart else resume.kept()
        if kept:
            click.echo(f"Going on with {kept['day']} ({resume.path}).")
        _backfill(since, until, _Place(**(kept or {})), resume, Throttle(rate, pause))


def _compare(since: date | None, until: date | None) -> None:
    found = Recounted()
    days = days_to_recount(since=since, until=until, now=datetime.now(UTC))
    with progress_bar(len(days), "days") as bar:
        for day in days:
            for part in recount_tickets_of(day, repair=False):
                found += part
            found += recount_sums_of(day, repair=False)
            bar.update(1)
    found += recount_load(repair=False)
    found += recount_wider_sums(repair=False)
    click.echo(
        f"{found.tickets} tickets: {found.wrong_tickets} are not counted as they are, and "
        f"{found.wrong_sums} sums are not those of the counted tickets."
    )
    if found.wrong_tickets or found.wrong_sums:
        click.get_current_context().exit(1)


def _backfill(
    since: date | None, until: date | None, place: _Place, resume: ResumeFile, throttle: Throttle
) -> None:
    log.info("backfill begins", action="backfill_metrics", operator=operator())
    days = days_to_recount(since=since, until=until, now=datetime.now(UTC))
    found = place.found
    with progress_bar(len(days), "days") as bar:
        for day in days:
            if day.isoformat() >= place.day:
                # Written down before the day, which is counted again if it was broken off.
                resume.keep(asdict(_Place(day.isoformat(), **asdict(found))))
                for part in recount_tickets_of(day, repair=True):
                    throttle.wait_for(part.tickets)
                    found += part
                found += recount_sums_of(day, repair=True)
            bar.update(1)
    found += recount_load(repair=True)
    found += recount_wider_sums(repair=True)
    resume.remove()
    log.info("backfill ended", action="backfill_metrics", **asdict(found))
    click.echo(
        f"{found.tickets} tickets were counted: {found.wrong_tickets} had not been counted as they are, and "
        f"{found.wrong_sums} sums were repaired."
    )


if __name__ == "__main__":
    main(prog_name="scripts/backfill_metrics")
