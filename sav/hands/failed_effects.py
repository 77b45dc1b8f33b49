"""`scripts/dead_letters effects`: what was tried too often, and what an operator does about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from sav.hands.commands import (
    embedded_option,
    open_database,
    operator,
    printable,
    progress_bar,
    settings_for,
    shown,
    with_logs,
)
from sav.operations import failed_effects as decisions
from sav.queries import failed_effects as reading
from sav.queries.failed_effects import FailedEffect

LISTED = 50
"""How many are listed unless more are asked for."""
BODY_BYTES = 4096
"""How much is shown of what another service has sent."""
ERROR_LENGTH = 120
"""How much of an error a line of the list shows."""


@click.group()
def effects() -> None:
    """The effects that were given up after too many tries."""


@effects.command("list")
@click.option("--effect", metavar="NAME", help="Only those of this name.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Begin behind this id.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=LISTED, show_default=True, help="How many at most."
)
@embedded_option
def list_effects(effect: str | None, after: int, limit: int, embedded: bool) -> None:
    """List failed effects, the oldest first."""
    with _effects_database(embedded):
        found = reading.list_failed_effects(effect=effect, after_id=after, limit=limit)
        for failed in found:
            click.echo(_effect_line(failed))
        click.echo(f"{len(found)} shown of {reading.count_failed_effects(effect=effect)}.")
        if len(found) == limit:
            click.echo(f"Go on with --after {found[-1].id}.")


@effects.command("show")
@click.argument("effect_id", metavar="ID", type=int)
@click.option(
    "--body", is_flag=True, help="Also show what the other service sent, which may be personal data."
)
@embedded_option
def show_effect(effect_id: int, body: bool, embedded: bool) -> None:
    """Show one failed effect, and what it is about."""
    with _effects_database(embedded):
        failed = reading.failed_effect(effect_id)
        if failed is None:
            raise click.ClickException(f"There is no failed effect {effect_id}.")
        cause = reading.cause_of(failed)
        click.echo(_effect_line(failed))
        if cause is None:
            click.echo("It is about nothing that is still there; the clock may have asked for it.")
            return
        click.echo(f"about         {cause.what}: {printable(cause.event_name)}")
        click.echo(f"happened      {cause.occurred_at.isoformat()}")
        click.echo(f"event id      {cause.event_id or '-'}")
        click.echo(f"request       {printable(cause.request_id or '-')}")
        if body and cause.text is not None:
            click.echo()
            click.echo(shown(cause.text.encode(), most=BODY_BYTES))


def _selecting_effects(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        embedded_option,
        click.option("--dry-run", is_flag=True, help="Only say what would happen."),
        click.option("--all", "everything", is_flag=True, help="All of every name."),
        click.option("--effect", metavar="NAME", help="All of this name."),
        click.option("--id", "ids", type=int, multiple=True, help="The one of this id; may be repeated."),
    ):
        command = option(command)
    return command


@effects.command()
@_selecting_effects
def retry(ids: tuple[int, ...], effect: str | None, everything: bool, dry_run: bool, embedded: bool) -> None:
    """Let the workers try failed effects again, from the first try on."""
    _require_one(ids, effect, everything)
    with _effects_database(embedded):
        if dry_run:
            click.echo(f"{_count(ids, effect)} would be tried again.")
            return
        now, who = datetime.now(UTC), operator()
        done = _in_batches(
            ids,
            effect,
            one=lambda effect_id: decisions.retry_failed_effect(effect_id=effect_id, operator=who, now=now),
            batch=lambda: decisions.retry_failed_effects(effect=effect, operator=who, now=now),
        )
    click.echo(f"{done} are due now.")
    _require_all(done, ids)


@effects.command("discard")
@_selecting_effects
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard_effects(
    ids: tuple[int, ...], effect: str | None, everything: bool, dry_run: bool, embedded: bool, yes: bool
) -> None:
    """Give failed effects up for good: what they owe will never be done."""
    _require_one(ids, effect, everything)
    with _effects_database(embedded):
        count = _count(ids, effect)
        if dry_run:
            click.echo(f"{count} would be discarded.")
            return
        if count and not yes:
            click.confirm(f"Discard {count} failed effects for ever?", abort=True)
        now, who = datetime.now(UTC), operator()
        done = _in_batches(
            ids,
            effect,
            one=lambda effect_id: decisions.discard_failed_effect(effect_id=effect_id, operator=who),
            batch=lambda: decisions.discard_failed_effects(effect=effect, operator=who, now=now),
        )
    click.echo(f"{done} were discarded.")
    _require_all(done, ids)


@contextmanager
def _effects_database(embedded: bool) -> Iterator[None]:
    with open_database(with_logs(settings_for(embedded=embedded))):
        yield


def _effect_line(failed: FailedEffect) -> str:
    owner = "the desk" if failed.ticket_id is None else f"ticket {failed.ticket_id}"
    when = failed.failed_at.isoformat(timespec="seconds")
    error = printable(failed.last_error or "-")[:ERROR_LENGTH]
    return f"{failed.id}  {failed.effect}  {owner}  {failed.tries} tries  given up {when}  {error}"


def _require_one(ids: tuple[int, ...], effect: str | None, everything: bool) -> None:
    if sum(map(bool, (ids, effect, everything))) != 1:
        raise click.UsageError("Say which: --id (any number), --effect, or --all.")


def _require_all(done: int, ids: tuple[int, ...]) -> None:
    if done < len(set(ids)):
        raise click.ClickException("Not every id was that of a failed effect; `effects list` says which are.")


def _count(ids: tuple[int, ...], effect: str | None) -> int:
    if ids:
        return sum(reading.failed_effect(effect_id) is not None for effect_id in set(ids))
    return reading.count_failed_effects(effect=effect)


def _in_batches(
    ids: tuple[int, ...], effect: str | None, *, one: Callable[[int], bool], batch: Callable[[], int]
) -> int:
    if ids:
        return sum(one(effect_id) for effect_id in sorted(set(ids)))
    done = 0
    with progress_bar(reading.count_failed_effects(effect=effect), "failed effects") as bar:
        while count := batch():
            done += count
            bar.update(count)
    return done
