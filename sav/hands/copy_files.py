"""`scripts/copy_files`: the files of all tickets out of the store into a directory, and back."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from sav.hands.commands import CONTEXT_SETTINGS, Command, embedded_option, settings_for, with_logs
from sav.storage.disk import DRAFTS
from sav.storage.object_store import ObjectStore, StorageUnavailable

ALL = timedelta(days=1)
"""Objects of tomorrow's clock are copied too."""
SHOWN_EVERY = 100


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.argument("direction", type=click.Choice(["out", "in"]))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@embedded_option
def main(direction: str, directory: Path, embedded: bool) -> None:
    """Copy every file of the store OUT into a directory, or back IN from it.

    It needs no database and may run beside the service. What is there already is left as it is, so that it
    can be stopped and run again, and a second copy into the same directory takes only what is new.
    """
    settings = with_logs(settings_for(embedded=embedded))
    from sav.bootstrap import object_store

    store = object_store(settings)
    try:
        copied, there = (_out if direction == "out" else _in)(store, directory)
    except StorageUnavailable as error:
        raise click.ClickException(f"The store does not answer: {error}") from error
    click.echo(f"copied: {copied}, there already: {there}")


def _out(store: ObjectStore, directory: Path) -> tuple[int, int]:
    directory.mkdir(parents=True, exist_ok=True)
    copied = there = 0
    for item in store.list("", older_than=datetime.now(UTC) + ALL):
        path = directory / item.key
        if path.exists():
            there += 1
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under its name only when it is whole.
        descriptor, draft = tempfile.mkstemp(dir=directory, prefix=DRAFTS)
        with store.open(item.key) as blocks, open(descriptor, "wb") as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        copied += 1
        _tell(copied)
    return copied, there


def _in(store: ObjectStore, directory: Path) -> tuple[int, int]:
    copied = there = 0
    for path in sorted(directory.rglob("*")):
        if not path.is_file() or path.name.startswith(DRAFTS):
            continue
        key = path.relative_to(directory).as_posix()
        if store.exists(key):
            there += 1
            continue
        with path.open("rb") as file:
            # The type that a file is served with is said by its row, not by the store.
            store.put(key, file, length=path.stat().st_size, mime_type="application/octet-stream")
        copied += 1
        _tell(copied)
    return copied, there


def _tell(copied: int) -> None:
    # How many there are is not known before the end: a store lists them page by page.
    if copied % SHOWN_EVERY == 0:
        click.echo(f"{copied} …", err=True)


if __name__ == "__main__":
    main()
