"""`scripts/sweep_files`: what is on one side only is told, and removed when that is plausible."""

import io
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from sav.bootstrap import object_store
from sav.hands.sweep_files import main
from sav.models.tables import Attachment, Event
from sav.settings import Settings
from sav.storage.object_store import ObjectStore
from tests.actors.hands.conftest import CommandLine, environment
from tests.factories.tickets import make_ticket

SCRIPTS = Path(__file__).parents[3] / "scripts"
LONG_AGO = datetime.now(UTC) - timedelta(days=2)
ORPHANS = 900
SCRIPT_TIMEOUT_SECONDS = 120.0


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    return object_store(settings.model_copy(update={"SAV_STORAGE": "disk"}))


@pytest.fixture(autouse=True)
def differences(settings: Settings, store: ObjectStore) -> None:
    """A file in one piece, an object without a file, a file without an object, and one never complete."""
    ticket_id = make_ticket().id
    for name, state, is_stored in (
        ("whole.txt", "available", True),
        ("lost.txt", "available", False),
        ("half.txt", "pending", True),
    ):
        row = Attachment.create(
            ticket_id=ticket_id, file_name=name, file_path="", file_type="txt", file_size=2,
            mime_type="text/plain", state=state, created_at=LONG_AGO, updated_at=LONG_AGO,
        )  # fmt: skip
        row.file_path = f"tickets/{ticket_id}/{row.id}/{name}"
        row.save()
        if is_stored:
            put(store, row.file_path)
    put(store, f"tickets/{ticket_id}/999999/orphan.txt")
    for path in (settings.SAV_DATA_DIR / "attachments").rglob("*"):
        os.utime(path, (LONG_AGO.timestamp(),) * 2)


def put(store: ObjectStore, key: str) -> None:
    store.put(key, io.BytesIO(b"ab"), length=2, mime_type="text/plain")


def objects(settings: Settings) -> set[str]:
    # Not by pathlib: directories vanish while they are walked.
    walk = os.walk(settings.SAV_DATA_DIR / "attachments")
    return {name for _, _, names in walk for name in names if name.endswith(".txt")}


def run(command_line: CommandLine, *arguments: str) -> Result:
    return command_line(main, *arguments, SAV_STORAGE="disk")


FOUND = "1 files that never became complete, {} objects without a file, 1 files without an object"


def test_a_dry_run_tells_and_removes_nothing(command_line: CommandLine, settings: Settings) -> None:
    result = run(command_line, "--dry-run")
    assert result.exit_code == 1
    assert FOUND.format(1) + "; nothing was removed." in result.output
    assert Attachment.select().count() == 3
    assert objects(settings) == {"whole.txt", "half.txt", "orphan.txt"}


def test_both_kinds_are_removed_and_a_second_time_finds_none(
    command_line: CommandLine, settings: Settings
) -> None:
    result = run(command_line)
    assert (result.exit_code, FOUND.format(1) + ": removed." in result.output) == (0, True), result.output
    assert [row.file_name for row in Attachment.select()] == ["whole.txt"]
    assert objects(settings) == {"whole.txt"}
    assert [event.name for event in Event.select()] == ["ticket.attachment.lost"]
    again = run(command_line, "--dry-run")
    assert (again.exit_code, "0 files that never" in again.output) == (0, True), again.output


def test_very_many_are_not_removed(command_line: CommandLine, settings: Settings) -> None:
    result = run(command_line, "--most", "0")
    assert (result.exit_code, "nothing was removed" in result.output) == (1, True)
    assert {"whole.txt", "orphan.txt"} <= objects(settings)


def test_the_pace_is_kept(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("sav.hands.long_runs.time.sleep", pauses.append)
    run(command_line, "--dry-run", "--rate", "2")
    # Three objects, then the two files that are complete.
    assert pauses == [1.5, 1.0]


def test_a_store_that_is_away_is_told(command_line: CommandLine, settings: Settings, tmp_path: Path) -> None:
    result = command_line(main, "--dry-run", SAV_STORAGE="s3", MINIO_ENDPOINT="http://127.0.0.1:1")
    assert (result.exit_code, "`sav doctor`" in result.output) == (1, True)


def test_killed_in_the_middle_it_begins_anew(settings: Settings, store: ObjectStore) -> None:
    orphans = [f"tickets/7/{number}/orphan-{number}.txt" for number in range(ORPHANS)]
    for key in orphans:
        put(store, key)
    for path in (settings.SAV_DATA_DIR / "attachments").rglob("*"):
        os.utime(path, (LONG_AGO.timestamp(),) * 2)
    command = [str(SCRIPTS / "sweep_files")]
    variables = {**environment(settings), "PATH": "/usr/bin:/bin", "SAV_STORAGE": "disk"}
    run_away = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL, start_new_session=True)
    give_up_at = time.monotonic() + SCRIPT_TIMEOUT_SECONDS
    while len(objects(settings)) >= ORPHANS:
        assert run_away.poll() is None
        assert time.monotonic() < give_up_at
    os.killpg(run_away.pid, signal.SIGKILL)
    run_away.wait()
    left = objects(settings)
    assert len(left) > 1

    again = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=SCRIPT_TIMEOUT_SECONDS
    )
    assert (again.returncode, "removed." in again.stdout) == (0, True), again.stderr
    assert objects(settings) == {"whole.txt"}
    assert {row.file_name for row in Attachment.select()} == {"whole.txt"}
    assert [event.name for event in Event.select()] == ["ticket.attachment.lost"]
