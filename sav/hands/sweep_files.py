"""`scripts/sweep_files`: files without an object and objects without a file, found and removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import structlog

from sav.bootstrap import object_store
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
from sav.models.tables import Attachment
from sav.operations.sweep_files import MOST_ORPHANS, Differences, reconcile_files
from sav.storage.object_store import StorageUnavailable

log = structlog.get_logger(__name__)


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--dry-run", is_flag=True, help="Only compare; remove nothing.")
@click.option(
    "--most",
    type=click.IntRange(min=0),
    default=MOST_ORPHANS,
    show_default=True,
    help="Remove nothing when more than so many are missing on either side.",
)
@rate_option
@pause_option
@embedded_option
def main(dry_run: bool, most: int, rate: float | None, pause: float, embedded: bool) -> None:
    """Compare the files of tickets with the objects in the store, and remove what is on one side only.

    The service does this each day by itself. This is for after a restore of the database or of the store
    from a back-up, and for looking (--dry-run) at what would go. What is younger than FILE_SWEEP_AGE_HOURS
    is left alone: it may be an upload of this moment.

    A file whose object is gone disappears from its ticket, whose history says so. Very many that are
    missing are hardly the work of a crash but of a wrong MINIO_BUCKET or DB_DATABASE; nothing is removed
    then, unless --most allows for it.

    \b
    Examples:
      scripts/sweep_files --dry-run
      scripts/sweep_files --rate 200
      scripts/sweep_files --most 20000

    One that was broken off begins anew: what is gone is gone. The service may run beside it.

    Exit codes: 0 they agree now; 1 it failed, was broken off, found too many to remove them, or a dry run has
    found some; 2 wrong settings or options.
    """
    settings = with_logs(settings_for(embedded=embedded))
    throttle = Throttle(rate, pause)
    with open_database(settings):
        log.info("sweep begins", action="sweep_files", operator=operator(), dry_run=dry_run)
        try:
            with progress_bar(2 * Attachment.select().count(), "files and objects") as bar:
                found = reconcile_files(
                    store=object_store(settings),
                    now=datetime.now(UTC),
                    age=timedelta(hours=settings.FILE_SWEEP_AGE_HOURS),
                    go_on=lambda rows: _go_on(bar, throttle, rows),
                    most=most,
                    repair=not dry_run,
                )
        except StorageUnavailable:
            raise click.ClickException(
                "The attachment store cannot be used; `sav doctor` says more."
            ) from None
    _tell(found, dry_run)


def _go_on(bar: Any, throttle: Throttle, rows: int) -> None:
    throttle.wait_for(rows)
    bar.update(rows)


def _tell(found: Differences, dry_run: bool) -> None:
    click.echo(
        f"{found.unfinished_files} files that never became complete, {found.objects_without_file} objects "
        f"without a file, {found.files_without_object} files without an object"
        f"{': removed.' if found.was_removed else '; nothing was removed.'}"
    )
    is_clean = not (found.unfinished_files or found.objects_without_file or found.files_without_object)
    if not found.was_removed and not (dry_run and is_clean):
        click.get_current_context().exit(1)


if __name__ == "__main__":
    main(prog_name="scripts/sweep_files")
