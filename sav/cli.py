"""The command `sav`."""

import time
from typing import Any

import click

from sav.cannot_start import CannotStart
from sav.settings import InvalidSettings, Settings, load_settings

SECONDS_AN_HOUR = 3600
EXIT_FAILED = 1
EXIT_WRONG_SETTINGS = 2

# The commands import what they run once the settings are right: neither `sav --help` nor a wrong variable
# should wait for three servers to be loaded.


class _Commands(click.Group):
    """Says what is wrong in sentences, without a traceback, for all commands alike."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidSettings as error:
            click.echo("These environment variables are wrong:", err=True)
            for problem in error.problems:
                click.echo(f"  {problem}", err=True)
            ctx.exit(EXIT_WRONG_SETTINGS)
        except CannotStart as error:
            click.echo(str(error), err=True)
            ctx.exit(EXIT_FAILED)


_EMBEDDED = click.option(
    "--embedded", is_flag=True, help="Act on the data of `sav up`, with its defaults and its secret."
)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
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
    settings = _with_logs(_embedded_settings())
    from sav.up import run_everything

    run_everything(settings)


@main.command()
def http() -> None:
    """Run the HTTP tier (gunicorn) on APP_PORT."""
    settings = _with_logs(load_settings())
    from sav.processes import serve_http

    serve_http(settings)


@main.command()
def worker() -> None:
    """Run the workers (dramatiq), for every queue."""
    settings = _with_logs(load_settings())
    from sav.processes import run_workers

    run_workers(settings)


@main.command()
def scheduler() -> None:
    """Run the scheduler; of several, one leads."""
    settings = _with_logs(load_settings())
    from sav.processes import run_scheduler

    run_scheduler(settings)


@main.command()
@click.option("--status", is_flag=True, help="Only list what is pending; change nothing.")
@_EMBEDDED
def migrate(status: bool, embedded: bool) -> None:
    """Bring the database's tables up to date.

    Safe to run at any time and from several machines at once.
    """
    settings = _with_logs(_settings(embedded=embedded))
    from sav import startup

    startup.wait_for_database(settings)
    names = startup.pending_migrations(settings) if status else startup.apply_migrations(settings)
    for name in names:
        click.echo(f"{'pending' if status else 'applied'}: {name}")
    if not names:
        click.echo("Nothing is pending." if status else "Nothing to do: the tables are up to date.")


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
@_EMBEDDED
def token(role: Any, sub: int, email: str | None, name: str | None, hours: float, embedded: bool) -> None:
    """Print an access token, signed with JWT_SECRET."""
    settings = _settings(embedded=embedded)
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
@_EMBEDDED
def tick(job: str, embedded: bool) -> None:
    """Make a scheduled JOB due now, whatever the clock says; the workers then do it.

    With a JOB that does not exist it lists those that do.
    """
    settings = _with_logs(_settings(embedded=embedded))
    from sav.processes import run_tick

    run_tick(settings, job)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is out of date.")
def settings(check: bool) -> None:
    """Write docs/configuration.md and .env.example from the code; run it in the project's directory."""
    from sav.settings_docs import PAGES

    for path, page in PAGES.items():
        if not check:
            path.write_text(page(), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != page():
            raise click.ClickException(f"{path} is out of date; run `sav settings`.")


def _settings(*, embedded: bool) -> Settings:
    return _embedded_settings() if embedded else load_settings()


def _embedded_settings() -> Settings:
    from sav.embedded_settings import embedded_settings

    return embedded_settings()


def _with_logs(settings: Settings) -> Settings:
    from sav.telemetry.logs import configure_logs

    configure_logs(settings.APP_ENV, settings.APP_NAME, settings.LOG_LEVEL)
    return settings
