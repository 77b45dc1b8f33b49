"""`scripts/dead_letters`: what could not be handled, and what an operator does about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
import structlog

from sav.actors.broker_trouble import BrokerTrouble
from sav.actors.dead_letters import DeadLetter, DeadLetters, NoDeadLetters, NowhereToGo
from sav.hands.commands import (
    CONTEXT_SETTINGS,
    Commands,
    operator,
    printable,
    progress_bar,
    settings_for,
    shown,
    with_logs,
)
from sav.hands.failed_effects import effects
from sav.settings import Settings

LISTED = 50
"""How many are listed unless more are asked for."""
BODY_BYTES = 4096
"""How much of a body is shown unless more is asked for."""
REASON_LENGTH = 120
"""How much of a reason a line of the list shows."""

log = structlog.get_logger(__name__)


@click.group(cls=Commands, context_settings=CONTEXT_SETTINGS)
def main() -> None:
    """Look at what could not be handled, try it again, or throw it away.

    Dead letters are messages of other services that nothing could be made of; they are in the queue
    <RABBITMQ_QUEUE>.dead. Failed effects were tried too often; they are in the database.

    \b
    Examples:
      scripts/dead_letters list
      scripts/dead_letters show 3f2a9c1b7d60 --body
      scripts/dead_letters replay --reason-contains "unknown event" --dry-run
      scripts/dead_letters replay --all
      scripts/dead_letters discard --id 3f2a9c1b7d60 --yes
      scripts/dead_letters effects list
      scripts/dead_letters effects retry --effect handle_received_event

    Each letter and each batch of effects is dealt with for itself: a command that was broken off goes on
    when it is given again.

    Exit codes: 0 done; 1 it failed, or nothing of that id is there; 2 wrong settings or options.
    """


@dataclass(frozen=True, slots=True)
class _Selection:
    ids: tuple[str, ...]
    reason_contains: str | None
    everything: bool

    def __post_init__(self) -> None:
        if sum(map(bool, (self.ids, self.reason_contains, self.everything))) != 1:
            raise click.UsageError("Say which: --id (any number), --reason-contains, or --all.")

    def takes(self, letter: DeadLetter) -> bool:
        if self.reason_contains:
            return self.reason_contains.lower() in (letter.reason or "").lower()
        return self.everything or letter.id in self.ids


def _selecting(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--dry-run", is_flag=True, help="Only say what would happen."),
        click.option("--all", "everything", is_flag=True, help="All that are there now."),
        click.option(
            "--reason-contains", metavar="TEXT", help="Those with this in their reason, in any case."
        ),
        click.option("--id", "ids", multiple=True, metavar="ID", help="The one of this id; may be repeated."),
    ):
        command = option(command)
    return command


@main.command("list")
@click.option(
    "--limit", type=click.IntRange(min=1), default=LISTED, show_default=True, help="How many at most."
)
@click.option("--reason-contains", metavar="TEXT", help="Only those with this in their reason, in any case.")
def list_letters(limit: int, reason_contains: str | None) -> None:
    """List the oldest dead letters; takes nothing away."""
    with _letters() as letters:
        waiting, shown = letters.count(), 0
        for letter in letters.read(limit=None if reason_contains else limit):
            if reason_contains and reason_contains.lower() not in (letter.reason or "").lower():
                continue
            click.echo(_line(letter))
            shown += 1
            if shown == limit:
                break
        click.echo(f"{shown} shown of {waiting} in {letters.queue}.")


@main.command()
@click.argument("letter_id", metavar="ID")
@click.option("--body", is_flag=True, help="Also show what it says, which may be personal data.")
@click.option(
    "--body-bytes",
    type=click.IntRange(min=1),
    default=BODY_BYTES,
    show_default=True,
    help="How much of the body.",
)
def show(letter_id: str, body: bool, body_bytes: int) -> None:
    """Show one dead letter."""
    with _letters() as letters:
        letter = next((letter for letter in letters.read() if letter.id == letter_id), None)
        if letter is None:
            raise click.ClickException(f"There is no {letter_id} in {letters.queue}.")
        for name, value in _details(letter):
            click.echo(f"{name:<14}{printable(str(value))}")
        if body:
            click.echo()
            click.echo(shown(letter.body, most=body_bytes))


@main.command()
@_selecting
def replay(ids: tuple[str, ...], reason_contains: str | None, everything: bool, dry_run: bool) -> None:
    """Put dead letters back into the queue they came from."""
    selection = _Selection(ids, reason_contains, everything)
    with _letters() as letters:
        done = _deal_with(
            letters, selection, None if dry_run else letters.replay, action="replay_dead_letter"
        )
        target = letters.home_queue
    click.echo(f"{done} {'would go' if dry_run else 'went'} back to {target}.")
    _require_found(done, selection)


@main.command()
@_selecting
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(
    ids: tuple[str, ...], reason_contains: str | None, everything: bool, dry_run: bool, yes: bool
) -> None:
    """Throw dead letters away, for ever."""
    selection = _Selection(ids, reason_contains, everything)
    if not (dry_run or yes):
        # Looked at and let go first: a connection does not outlive a person who thinks.
        with _letters() as letters:
            found = _deal_with(letters, selection, None, action="")
        _require_found(found, selection)
        click.confirm(f"Discard {found} for ever?", abort=True)
    with _letters() as letters:
        done = _deal_with(
            letters, selection, None if dry_run else letters.discard, action="discard_dead_letter"
        )
    click.echo(f"{done} {'would be' if dry_run else 'were'} discarded.")
    _require_found(done, selection)


@contextmanager
def _letters() -> Iterator[DeadLetters]:
    settings = _broker_settings()
    try:
        with DeadLetters(settings) as letters:
            yield letters
    except NoDeadLetters:
        raise click.ClickException(
            f"There is no queue {settings.RABBITMQ_QUEUE}.dead: no worker has run here, or RABBITMQ_QUEUE or "
            "RABBITMQ_VHOST is another one."
        ) from None
    except NowhereToGo:
        raise click.ClickException(
            f"There is no queue {settings.RABBITMQ_QUEUE} to go back to; start `sav worker`, which makes it. "
            "Nothing is lost."
        ) from None
    except BrokerTrouble as trouble:
        raise click.ClickException(f"RabbitMQ: {trouble.problem}. {trouble.advice}") from None


def _broker_settings() -> Settings:
    settings = with_logs(settings_for(embedded=False))
    if settings.SAV_BROKER == "embedded":
        raise click.ClickException(
            "With SAV_BROKER=embedded nothing comes from other services: there are no dead letters."
        )
    return settings


def _deal_with(
    letters: DeadLetters, selection: _Selection, act: Callable[[DeadLetter], None] | None, *, action: str
) -> int:
    """Does something with each selected letter, or only shows it; returns how many."""
    done = 0
    with progress_bar(letters.count(), "dead letters") as bar:
        for letter in letters.read():
            if selection.takes(letter):
                done += 1
                if act is None:
                    click.echo(_line(letter))
                else:
                    act(letter)
                    log.info(
                        "dead letter dealt with", action=action, letter_id=letter.id, operator=operator()
                    )
            bar.update(1)
    return done


def _require_found(found: int, selection: _Selection) -> None:
    if selection.ids and found < len(set(selection.ids)):
        raise click.ClickException("Not every id was there; `list` says which are.")


def _line(letter: DeadLetter) -> str:
    when = (letter.buried_at or "-")[:19]
    name = printable(letter.routing_key or "-")
    reason = printable(letter.reason or "no reason given")[:REASON_LENGTH]
    return f"{letter.id}  {when:<19}  {len(letter.body):>7} bytes  {name}  {reason}"


def _details(letter: DeadLetter) -> list[tuple[str, object]]:
    return [
        ("id", letter.id),
        ("reason", letter.reason or "-"),
        ("buried at", letter.buried_at or "-"),
        ("exchange", letter.exchange or "-"),
        ("routing key", letter.routing_key or "-"),
        ("message id", letter.properties.message_id or "-"),
        ("content type", letter.properties.content_type or "-"),
        ("bytes", len(letter.body)),
    ]


main.add_command(effects)


if __name__ == "__main__":
    main(prog_name="scripts/dead_letters")
