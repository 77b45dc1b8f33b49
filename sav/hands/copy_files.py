"""`scripts/copy_files`: the files of all tickets out of the store into a directory, and back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from sav.hands.commands import CONTEXT_SETTINGS, Command, embedded_option, settings_for, with_logs
from sav.operations.build_export import EXPORT_PREFIX
from sav.storage.object_store import ObjectStore, StorageUnavailable

ALL = timedelta(days=1)
"""Objects of tomorrow's clock are copied too."""
DRAFT = ".draft-"
"""How a file is called until it is whole; no key begins with a dot."""
KEEP_DAYS = 30
SHOWN_EVERY = 100


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.argument("direction", type=click.Choice(["out", "in"]))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    default=KEEP_DAYS,
    show_default=True,
    help="OUT: how long a copy outlives its file in the store.",
)
@embedded_option
def main(direction: str, directory: Path, keep_days: int, embedded: bool) -> None:
    """Copy every file of the store OUT into a directory, or back IN from it.

    It needs no database and may run beside the service. What is there already is left as it is, so that it
    can be stopped and run again, and a second copy into the same directory takes only what is new.

    OUT removes copies as well: those of files that no run has seen in the store for --keep-days. A copy's
    time in the directory is when it was last seen. The archives of /privacy/exports are never copied.
    """
    settings = with_logs(settings_for(embedded=embedded))
    from sav.bootstrap import object_store

    store = object_store(settings)
    try:
        if direction == "in":
            click.echo(_in(store, directory))
        else:
            click.echo(_out(store, directory, keep=timedelta(days=keep_days)))
    except StorageUnavailable as error:
        raise click.ClickException(f"The store does not answer: {error}") from error


def _out(store: ObjectStore, directory: Path, *, keep: timedelta) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    copied = there = 0
    for item in store.list("", older_than=datetime.now(UTC) + ALL):
        if item.key.startswith(EXPORT_PREFIX):
            continue
        path = directory / item.key
        if path.exists():
            # What is not seen any more grows old.
            os.utime(path)
            there += 1
            continue
        _copy(store, item.key, path, drafts=directory)
        copied += 1
        _tell(copied)
    told = f"copied: {copied}, there already: {there}"
    if not copied + there:
        # More likely the wrong bucket, or one that was lost, than a desk without a file.
        return f"{told}; the store is empty, so no copy was removed"
    return f"{told}, removed: {_remove_old(directory, unseen_since=datetime.now(UTC) - keep)}"


def _copy(store: ObjectStore, key: str, path: Path, *, drafts: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under its name only when it is whole.
    descriptor, draft = tempfile.mkstemp(dir=drafts, prefix=DRAFT)
    with store.open(key) as blocks, open(descriptor, "wb") as file:
        file.writelines(blocks)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _remove_old(directory: Path, *, unseen_since: datetime) -> int:
    """Removes copies, and drafts of runs that were killed; returns how many."""
    removed = 0
    for path in _files(directory):
        is_archive = path.relative_to(directory).as_posix().startswith(EXPORT_PREFIX)
        if is_archive or path.stat().st_mtime < unseen_since.timestamp():
            path.unlink()
            removed += 1
    return removed


def _in(store: ObjectStore, directory: Path) -> str:
    copied = there = 0
    for path in _files(directory):
        key = path.relative_to(directory).as_posix()
        if key.startswith((DRAFT, EXPORT_PREFIX)):
            continue
        if store.exists(key):
            there += 1
            continue
        with path.open("rb") as file:
            # The type that a file is served with is said by its row, not by the store.
            store.put(key, file, length=path.stat().st_size, mime_type="application/octet-stream")
        copied += 1
        _tell(copied)
    return f"copied: {copied}, there already: {there}"


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def _tell(copied: int) -> None:
    # How many there are is not known before the end: a store lists them page by page.
    if copied % SHOWN_EVERY == 0:
        click.echo(f"{copied} …", err=True)


if __name__ == "__main__":
    main()
