"""The command `sav`."""

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sav.hands.commands import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    Commands,
    embedded_option,
    settings_for,
    with_logs,
)
from sav.settings import load_settings
from sav.telemetry.process_files import share_counts_between_processes

SECONDS_AN_HOUR = 3600

# The commands import what they run once the settings are right: neither `sav --help` nor a wrong variable
# should wait for three servers to be loaded.


@click.group(cls=Commands, context_settings=CONTEXT_SETTINGS)
@click.version_option(package_name="sav-service")
def main() -> None:
    """The after-sales support desk: tickets, conversations, events.

    Everything is configured by environment variables (docs/configuration.md). A wrong one ends every
    command with exit code 2 and a line for each mistake.
    """


@main.command()
def up() -> None:
    """Run the whole service in this one process.

    HTTP, workers and scheduler, with SQLite, an embedded broker and files under SAV_DATA_DIR (./var),
    unless the environment names other servers. Nothing that it has confirmed is lost, even by kill -9.
    """
    settings = with_logs(settings_for(embedded=True))
    from sav.launch.up import run_everything

    run_everything(settings)


@main.command()
def http() -> None:
    """Run the HTTP tier (gunicorn) on APP_PORT."""
    settings = with_logs(load_settings())
    share_counts_between_processes()
    from sav.launch.processes import serve_http

    serve_http(settings)


@main.command()
def worker() -> None:
    """Run the workers (dramatiq), for every queue."""
    settings = with_logs(load_settings())
    share_counts_between_processes()
    from sav.launch.processes import run_workers

    run_workers(settings)


@main.command()
def scheduler() -> None:
    """Run the scheduler; of several, one leads."""
    settings = with_logs(load_settings())
    from sav.launch.processes import run_scheduler

    run_scheduler(settings)


@main.command()
@click.option("--status", is_flag=True, help="Only list what is pending; change nothing.")
@click.option("--wait", is_flag=True, help="Only wait until another one has done it; change nothing.")
@embedded_option
def migrate(status: bool, wait: bool, embedded: bool) -> None:
    """Bring the database's tables up to date.

    Safe to run at any time and from several machines at once.
    """
    settings = with_logs(settings_for(embedded=embedded))
    from sav.launch import startup

    startup.wait_for_database(settings)
    if wait:
        startup.wait_for_migrations(settings)
    names = startup.pending_migrations(settings) if status or wait else startup.apply_migrations(settings)
    for name in names:
        click.echo(f"{'pending' if status else 'applied'}: {name}")
    if not names:
        click.echo("Nothing is pending." if status or wait else "Nothing to do: the tables are up to date.")


@main.command()
@click.option(
    "--role", type=click.Choice(["customer", "agent", "admin"]), required=True, help="What they are."
)
@click.option("--sub", type=click.IntRange(min=1), required=True, help="Their user id.")
@click.option("--email", help="Their e-mail address.")
@click.option("--name", help="Their name.")
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    default=12,
    show_default=True,
    help="How long it is good.",
)
@embedded_option
def token(role: Any, sub: int, email: str | None, name: str | None, hours: float, embedded: bool) -> None:
    """Print an access token, signed with JWT_SECRET."""
    settings = settings_for(embedded=embedded)
    if settings.JWT_SECRET is None:
        raise click.ClickException(
            "JWT_SECRET is not set: tokens come from the authentication service. "
            "For a service that was started by `sav up`, add --embedded."
        )
    from sav.http.authentication import mint_token

    click.echo(
        mint_token(
            secret=settings.JWT_SECRET.get_secret_value(),
            user_id=sub,
            role=role,
            email=email,
            name=name,
            lifetime_seconds=hours * SECONDS_AN_HOUR,
            now=time.time(),
            issuer=settings.JWT_ISSUER,
            audience=settings.JWT_AUDIENCE,
        )
    )


@main.command()
@click.argument("job")
@embedded_option
def tick(job: str, embedded: bool) -> None:
    """Make a scheduled JOB due now, whatever the clock says; the workers then do it.

    With a JOB that does not exist it lists those that do.
    """
    settings = with_logs(settings_for(embedded=embedded))
    from sav.launch.processes import run_tick

    run_tick(settings, job)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is out of date.")
def settings(check: bool) -> None:
    """Write docs/configuration.md and .env.example from the code; run it in the project's directory."""
    from sav.hands.settings_docs import PAGES

    _write(PAGES, "sav settings", check=check)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is out of date.")
def docs(check: bool) -> None:
    """Write the pages on events and metrics from the code; run it in the project's directory."""
    from sav.hands import event_docs, metrics_docs

    _write({**event_docs.PAGES, **metrics_docs.PAGES}, "sav docs", check=check)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
@embedded_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, embedded: bool) -> None:
    """Examine everything that the service depends on, and say what is wrong and what to do.

    What it writes to try things is taken back, and no secret is printed. Exit codes: 0 nothing has failed
    (there may be warnings), 1 something has, 2 the settings are wrong.
    """
    settings = with_logs(settings_for(embedded=embedded))
    from sav.hands.doctor import report

    if not report(settings, as_json=as_json):
        ctx.exit(EXIT_FAILED)


@main.group()
def mail() -> None:
    """Look at the mails that the desk writes."""


@mail.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("mail-preview"),
    show_default=True,
    help="The directory to write to.",
)
def preview(out: Path) -> None:
    """Write every mail and page in every language into files; nothing is sent."""
    from sav.hands.mail_preview import write_previews

    click.echo(f"{len(write_previews(out))} files are in {out}.")


HANDS = {
    "backfill-metrics": "Count the desk's tickets again, and repair the numbers.",
    "copy-files": "Copy the store's files out, for a back-up, or in again.",
    "dead-letters": "List, replay and discard what could not be done.",
    "import-tickets": "Import the tickets of a former system.",
    "link-guest-tickets": "Give guests' tickets to the accounts they have.",
    "privacy": "Give out or erase what is known of a person.",
    "reindex-search": "Make the full-text index anew.",
    "replay-events": "Publish events of the past again.",
    "sweep-files": "Compare files with the objects in the store.",
}
"""The operator's commands that also stand alone in `scripts/`."""


def _add_hand(name: str, short_help: str) -> None:
    @main.command(
        name,
        short_help=short_help,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        module = import_module(f"sav.hands.{name.replace('-', '_')}")
        module.main(args=list(arguments), prog_name=f"sav {name}")


for _name, _short_help in HANDS.items():
    _add_hand(_name, _short_help)


def _write(pages: Mapping[Path, Callable[[], str]], command: str, *, check: bool) -> None:
    for path, page in pages.items():
        if not check:
            path.write_text(page(), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != page():
            raise click.ClickException(f"{path} is out of date; run `{command}`.")
