"""`scripts/copy_files`: back-ups have every file, and what was erased leaves them too."""

import io
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from sav.bootstrap import object_store
from sav.hands.copy_files import KEEP_DAYS, main
from sav.operations.build_export import EXPORT_PREFIX
from sav.settings import Settings
from sav.storage.object_store import ObjectStore
from tests.actors.hands.conftest import CommandLine

ARCHIVE = f"{EXPORT_PREFIX}1/archive.zip"
# People may call a file what we call a file that is not whole.
KEYS = {"tickets/1/1/parcel.txt", "tickets/1/2/drafts.txt", "tickets/2/3/draft-.txt"}


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    made = object_store(settings.model_copy(update={"SAV_STORAGE": "disk"}))
    for key in (*KEYS, ARCHIVE):
        put(made, key)
    return made


def put(store: ObjectStore, key: str) -> None:
    store.put(key, io.BytesIO(b"ab"), length=2, mime_type="text/plain")


def copies(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def run(command_line: CommandLine, *arguments: object) -> str:
    result = command_line(main, *map(str, arguments), SAV_STORAGE="disk")
    assert result.exit_code == 0, result.output
    return result.output.strip()


def grow_old(directory: Path, *, days: float) -> None:
    then = time.time() - timedelta(days=days).total_seconds()
    for path in directory.rglob("*"):
        os.utime(path, (then, then))


def test_all_files_go_out_and_in_again_but_no_archive_of_a_person(
    command_line: CommandLine, store: ObjectStore, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    assert run(command_line, "out", backup) == "copied: 3, there already: 0, removed: 0"
    assert copies(backup) == KEYS
    for key in (*KEYS, ARCHIVE):
        store.delete(key)
    # One that an earlier release has copied.
    (backup / ARCHIVE).parent.mkdir(parents=True)
    (backup / ARCHIVE).write_bytes(b"ab")
    (backup / ".draft-left").write_bytes(b"a")
    assert run(command_line, "in", backup) == "copied: 3, there already: 0"
    assert all(store.exists(key) for key in KEYS)
    assert not store.exists(ARCHIVE)


def test_a_copy_outlives_its_file_by_the_days_that_are_asked_for(
    command_line: CommandLine, store: ObjectStore, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    run(command_line, "out", backup)
    erased = "tickets/1/1/parcel.txt"
    store.delete(erased)
    grow_old(backup, days=KEEP_DAYS - 1)
    assert run(command_line, "out", backup) == "copied: 0, there already: 2, removed: 0"
    # The others were just seen; this one was not.
    os.utime(backup / erased, (time.time() - timedelta(days=KEEP_DAYS + 1).total_seconds(),) * 2)
    assert run(command_line, "out", backup) == "copied: 0, there already: 2, removed: 1"
    assert copies(backup) == KEYS - {erased}


def test_what_is_in_the_store_is_never_removed_however_long_no_copy_was_made(
    command_line: CommandLine, store: ObjectStore, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    run(command_line, "out", backup)
    grow_old(backup, days=400)
    assert run(command_line, "out", backup, "--keep-days", 1) == "copied: 0, there already: 3, removed: 0"
    assert copies(backup) == KEYS


def test_archives_and_drafts_that_lie_in_the_directory_go(
    command_line: CommandLine, store: ObjectStore, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    (backup / ARCHIVE).parent.mkdir(parents=True)
    (backup / ARCHIVE).write_bytes(b"ab")
    (backup / ".draft-left").write_bytes(b"a")
    os.utime(backup / ".draft-left", (0, 0))
    assert run(command_line, "out", backup) == "copied: 3, there already: 0, removed: 2"
    assert copies(backup) == KEYS


def test_a_store_that_was_lost_does_not_take_its_copies_along(
    command_line: CommandLine, store: ObjectStore, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    run(command_line, "out", backup)
    grow_old(backup, days=400)
    for key in KEYS:
        store.delete(key)
    assert run(command_line, "out", backup).endswith("the store is empty, so no copy was removed")
    assert copies(backup) == KEYS
