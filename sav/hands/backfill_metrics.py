"""`scripts/backfill_metrics`: the desk's numbers made anew, for a span of days or for all of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
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
from sav.operations.recount_tickets import (
    Recounted,
    days_to_recount,
    recount_load,
    recount_sums_of,
    recount_tickets_of,
)

FINGERPRINT_LENGTH = 12

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

    fingerprint: str
    day: str
    tickets: int = 0
    wrong_tickets: int = 0
    wrong_sums: int = 0

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.draft")
        draft.write_text(json.dumps(asdict(self)))
        os.replace(draft, file)

    @property
    def found(self) -> Recounted:
        return Recounted(self.tickets, self.wrong_tickets, self.wrong_sums)


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--from", "since", type=_Day(), help="The first day, in UTC (that of the first ticket).")
@click.option("--to", "until", type=_Day(), help="The last day, in UTC (today).")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Tickets a second at most.")
@click.option("--dry-run", is_flag=True, help="Only compare; change nothing.")
@click.option(
    "--resume-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the place is kept, seen from the project's directory (a file in SAV_DATA_DIR).",
)
@click.option("--restart", is_flag=True, help="Begin anew, although a backfill was broken off.")
@embedded_option
def main(
    since: date | None,
    until: date | None,
    rate: float | None,
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
        fingerprint = _fingerprint(since, until)
        file = resume_file or settings.SAV_DATA_DIR / f"backfill-{fingerprint}.json"
        place = (None if restart else _kept_place(file, fingerprint)) or _Place(fingerprint, "")
        _backfill(since, until, place, file, _Throttle(rate))


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
    click.echo(
        f"{found.tickets} tickets: {found.wrong_tickets} are not counted as they are, and "
        f"{found.wrong_sums} sums are not those of the counted tickets."
    )
    if found.wrong_tickets or found.wrong_sums:
        click.get_current_context().exit(1)


def _backfill(since: date | None, until: date | None, place: _Place, file: Path, throttle: _Throttle) -> None:
    log.info("backfill begins", action="backfill_metrics", operator=operator())
    days = days_to_recount(since=since, until=until, now=datetime.now(UTC))
    found = place.found
    with progress_bar(len(days), "days") as bar:
        for day in days:
            if day.isoformat() >= place.day:
                # Written down before the day, which is counted again if it was broken off.
                _Place(place.fingerprint, day.isoformat(), **asdict(found)).save(file)
                for part in recount_tickets_of(day, repair=True):
                    throttle.wait_for(part.tickets)
                    found += part
                found += recount_sums_of(day, repair=True)
            bar.update(1)
    found += recount_load(repair=True)
    file.unlink(missing_ok=True)
    log.info("backfill ended", action="backfill_metrics", **asdict(found))
    click.echo(
        f"{found.tickets} tickets were counted: {found.wrong_tickets} had not been counted as they are, and "
        f"{found.wrong_sums} sums were repaired."
    )


def _fingerprint(since: date | None, until: date | None) -> str:
    """Tells one backfill from another."""
    return hashlib.sha256(f"{since} {until}".encode()).hexdigest()[:FINGERPRINT_LENGTH]


def _kept_place(file: Path, fingerprint: str) -> _Place | None:
    if not file.exists():
        return None
    try:
        place = _Place(**json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise click.ClickException(
            f"{file} is not the file of a backfill; remove it, or use --restart."
        ) from None
    if place.fingerprint != fingerprint:
        raise click.ClickException(
            f"{file} belongs to another backfill; name another file, or use --restart."
        )
    click.echo(f"Going on with {place.day} ({file}).")
    return place


class _Throttle:
    """Keeps to a rate, by pauses between the transactions."""

    def __init__(self, rate: float | None) -> None:
        self._seconds_each = 1 / rate if rate else 0.0

    def wait_for(self, tickets: int) -> None:
        if self._seconds_each and tickets:
            time.sleep(tickets * self._seconds_each)


if __name__ == "__main__":
    main(prog_name="scripts/backfill_metrics")
