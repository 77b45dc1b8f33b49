"""`scripts/replay_events`: the published events once more, for whoever has lost them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import structlog

from sav.actors.broker_trouble import BrokerTrouble
from sav.actors.event_replay import EventReplay, NoSuchTarget, Target
from sav.domain.events import PUBLISHED_NAMES
from sav.hands.commands import (
    CONTEXT_SETTINGS,
    Command,
    open_database,
    operator,
    progress_bar,
    settings_for,
    with_logs,
)
from sav.queries.event_replay import PublishedEvent, Wanted, published_events, replay_span
from sav.settings import Settings

SAVED_EVERY_SECONDS = 1.0
"""How often the place is written down: what a killed replay repeats at most."""
FINGERPRINT_LENGTH = 12

log = structlog.get_logger(__name__)


class _Moment(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-01-31 or 2026-01-31T09:30:00Z", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """How far a replay is: the places up to `place` are done, and `last` is where it ends."""

    fingerprint: str
    place: int
    last: int
    published: int = 0

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.draft")
        draft.write_text(json.dumps(asdict(self)))
        os.replace(draft, file)


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--ticket", "ticket_id", type=click.IntRange(min=1), help="Events of this ticket.")
@click.option(
    "--event",
    "names",
    type=click.Choice(sorted(PUBLISHED_NAMES)),
    multiple=True,
    help="Events of this name; may be repeated.",
)
@click.option(
    "--from", "occurred_from", type=_Moment(), help="Events since this moment (UTC unless it says)."
)
@click.option("--to", "occurred_to", type=_Moment(), help="Events before this moment.")
@click.option("--exchange", help="Publish to this exchange instead of RABBITMQ_EXCHANGE.")
@click.option("--queue", help="Publish into this queue alone.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second at most.")
@click.option("--dry-run", is_flag=True, help="Only count; publish nothing.")
@click.option(
    "--resume-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the place is kept, seen from the project's directory (a file in SAV_DATA_DIR).",
)
@click.option("--restart", is_flag=True, help="Begin anew, although a replay was broken off.")
def main(
    ticket_id: int | None,
    names: tuple[str, ...],
    occurred_from: datetime | None,
    occurred_to: datetime | None,
    exchange: str | None,
    queue: str | None,
    rate: float | None,
    dry_run: bool,
    resume_file: Path | None,
    restart: bool,
) -> None:
    """Publish events of the past again, each with its original id, in the order of each ticket.

    The conditions are joined by "and"; at least one is needed. Events that still wait for their first
    publication are left out. Everybody who listens to an exchange gets the copies, and should know them by
    their ids; name a queue if one consumer alone has lost something.

    \b
    Examples:
      scripts/replay_events --ticket 42 --dry-run
      scripts/replay_events --ticket 42
      scripts/replay_events --from 2026-01-01 --to 2026-01-08 --queue billing.tickets
      scripts/replay_events --event ticket.created --event ticket.closed --exchange archive --rate 200

    A replay that was broken off goes on where it was when the same command is given again.

    Exit codes: 0 done; 1 it failed or was broken off; 2 wrong settings or options.
    """
    wanted = Wanted(
        ticket_id=ticket_id,
        names=tuple(sorted(set(names))),
        occurred_from=occurred_from,
        occurred_to=occurred_to,
    )
    _require_sense(wanted, exchange, queue)
    settings = _broker_settings()
    target = Target(queue or exchange or settings.RABBITMQ_EXCHANGE, is_queue=queue is not None)
    with open_database(settings):
        if dry_run:
            _count(wanted, target)
            return
        fingerprint = _fingerprint(wanted, target)
        file = resume_file or settings.SAV_DATA_DIR / f"replay-{fingerprint}.json"
        cursor = None if restart else _kept_cursor(file, fingerprint)
        cursor = cursor or _first_cursor(wanted, fingerprint)
        if cursor is None:
            click.echo("There is nothing to replay.")
            return
        _replay(settings, wanted, target, cursor, file, rate)


def _require_sense(wanted: Wanted, exchange: str | None, queue: str | None) -> None:
    if wanted == Wanted():
        raise click.UsageError("Say which events: --ticket, --event, --from or --to.")
    if exchange is not None and queue is not None:
        raise click.UsageError("Either --exchange or --queue.")
    if wanted.occurred_from and wanted.occurred_to and wanted.occurred_from >= wanted.occurred_to:
        raise click.UsageError("--from must lie before --to.")


def _broker_settings() -> Settings:
    settings = with_logs(settings_for(embedded=False))
    if settings.SAV_BROKER == "embedded":
        raise click.ClickException(
            "With SAV_BROKER=embedded events are in SAV_DATA_DIR/events.jsonl, and nobody else listens."
        )
    return settings


def _count(wanted: Wanted, target: Target) -> None:
    span = replay_span(wanted)
    counts: Counter[str] = Counter()
    if span is not None:
        for batch in published_events(wanted, after=span[0] - 1, until=span[1]):
            counts.update(event.name for event in batch)
    for name, count in sorted(counts.items()):
        click.echo(f"{count:>9}  {name}")
    click.echo(f"{counts.total():>9}  would be published to the {target}")


def _fingerprint(wanted: Wanted, target: Target) -> str:
    """Tells one replay from another: what is replayed, and where to."""
    meaning = json.dumps([asdict(wanted), asdict(target)], default=str)
    return hashlib.sha256(meaning.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def _kept_cursor(file: Path, fingerprint: str) -> _Cursor | None:
    if not file.exists():
        return None
    try:
        cursor = _Cursor(**json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise click.ClickException(
            f"{file} is not the file of a replay; remove it, or use --restart."
        ) from None
    if cursor.fingerprint != fingerprint:
        raise click.ClickException(f"{file} belongs to another replay; name another file, or use --restart.")
    click.echo(f"Going on after {cursor.published} events ({file}).")
    return cursor


def _first_cursor(wanted: Wanted, fingerprint: str) -> _Cursor | None:
    span = replay_span(wanted)
    return None if span is None else _Cursor(fingerprint, place=span[0] - 1, last=span[1])


def _replay(
    settings: Settings, wanted: Wanted, target: Target, cursor: _Cursor, file: Path, rate: float | None
) -> None:
    log.info("replay begins", action="replay_events", target=str(target), operator=operator())
    try:
        with EventReplay(settings, target) as publish:
            done = _Run(publish, cursor, file, rate).through(wanted)
    except NoSuchTarget:
        raise click.ClickException(f"There is no {target} on this broker.") from None
    except BrokerTrouble as trouble:
        raise click.ClickException(
            f"RabbitMQ: {trouble.problem}. {trouble.advice} The same command goes on where this one was."
        ) from None
    file.unlink(missing_ok=True)
    log.info("replay ended", action="replay_events", target=str(target), published=done.published)
    click.echo(f"{done.published} events were published to the {target}.")


class _Run:
    """One run of a replay, which keeps its place in a file."""

    def __init__(self, publish: EventReplay, cursor: _Cursor, file: Path, rate: float | None) -> None:
        self._publish = publish
        self._cursor = cursor
        self._file = file
        self._seconds_each = 1 / rate if rate else 0.0
        self._free_at = self._saved_at = time.monotonic()

    def through(self, wanted: Wanted) -> _Cursor:
        """Publishes all that is left; returns the last cursor. However it ends, the place is kept."""
        places = self._cursor.last - self._cursor.place
        try:
            with progress_bar(places, "events") as bar:
                for batch in published_events(wanted, after=self._cursor.place, until=self._cursor.last):
                    for event in batch:
                        before = self._cursor.place
                        self._one(event)
                        bar.update(self._cursor.place - before)
        finally:
            self._cursor.save(self._file)
        return self._cursor

    def _one(self, event: PublishedEvent) -> None:
        self._wait_for_turn()
        self._publish(event)
        self._cursor = replace(self._cursor, place=event.place, published=self._cursor.published + 1)
        if time.monotonic() - self._saved_at >= SAVED_EVERY_SECONDS:
            self._cursor.save(self._file)
            self._saved_at = time.monotonic()

    def _wait_for_turn(self) -> None:
        if not self._seconds_each:
            return
        now = time.monotonic()
        if now < self._free_at:
            self._publish.pause(self._free_at - now)
        self._free_at = max(now, self._free_at) + self._seconds_each


if __name__ == "__main__":
    main(prog_name="scripts/replay_events")
