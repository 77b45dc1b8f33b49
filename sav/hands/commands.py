"""What all commands have in common: settings, logs, and sentences instead of tracebacks."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from sav.launch.cannot_start import CannotStart
from sav.settings import InvalidSettings, Settings, load_settings

EXIT_FAILED = 1
EXIT_WRONG_SETTINGS = 2
CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# What the commands need beyond the settings is imported when the settings are right: neither `--help` nor a
# wrong variable should wait for it.


class Commands(click.Group):
    """Says what is wrong in sentences, without a traceback, for all its commands alike."""

    def invoke(self, ctx: click.Context) -> Any:
        with _sentences(ctx):
            return super().invoke(ctx)


class Command(click.Command):
    """The same for a command that stands alone."""

    def invoke(self, ctx: click.Context) -> Any:
        with _sentences(ctx):
            return super().invoke(ctx)


embedded_option = click.option(
    "--embedded", is_flag=True, help="Act on the data of `sav up`, with its defaults and its secret."
)


def settings_for(*, embedded: bool) -> Settings:
    """The environment's settings, as `sav up` reads them when `embedded`; raises `InvalidSettings`."""
    if not embedded:
        return load_settings()
    from sav.launch.embedded_settings import embedded_settings

    return embedded_settings()


def with_logs(settings: Settings) -> Settings:
    """Sets up the logs, to standard error."""
    from sav.telemetry.logs import configure_logs

    configure_logs(settings.APP_ENV, settings.APP_NAME, settings.LOG_LEVEL)
    return settings


@contextmanager
def open_database(settings: Settings, *, statement_timeout_seconds: int | None = None) -> Iterator[None]:
    """A connection for the command, whose statements may take `statement_timeout_seconds` (or the usual).

    Raises `click.ClickException` when there is none, or when it breaks.
    """
    from sav.bootstrap import initialise_database
    from sav.models.database import (
        DATABASE_ERRORS,
        STATEMENT_TIMEOUT_SECONDS,
        DatabaseUnavailable,
        connection,
    )

    seconds = statement_timeout_seconds or STATEMENT_TIMEOUT_SECONDS
    initialise_database(settings, statement_timeout_seconds=seconds)
    try:
        with connection():
            yield
    except (DatabaseUnavailable, *DATABASE_ERRORS) as error:
        problem = type(error.__cause__ or error).__name__
        raise click.ClickException(
            f"The database cannot be used ({problem}); `sav doctor` says more."
        ) from error


def operator() -> str:
    """Who decides, for the log: the account that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In containers an account may have a number alone.
        return "unknown"


def printable(text: str) -> str:
    """One line without anything that a terminal would obey: what is shown was written by strangers."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def shown(body: bytes, *, most: int) -> str:
    """The beginning of a body of whatever bytes, fit for a terminal, and how much there is beyond it."""
    lines = body[:most].decode("utf-8", errors="backslashreplace").splitlines()
    text = "\n".join(printable(line) for line in lines)
    return text if len(body) <= most else f"{text}\n… {len(body) - most} bytes more"


def progress_bar(length: int, label: str) -> Any:
    """On standard error, so that standard output holds results alone."""
    return click.progressbar(length=length, label=label, file=sys.stderr)


@contextmanager
def _sentences(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except InvalidSettings as error:
        click.echo("These environment variables are wrong:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        ctx.exit(EXIT_WRONG_SETTINGS)
    except CannotStart as error:
        click.echo(str(error), err=True)
        ctx.exit(EXIT_FAILED)
