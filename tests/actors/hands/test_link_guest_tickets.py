"""`scripts/link_guest_tickets`: guests' tickets for the accounts of a file, once; nothing of a wrong one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sav.hands.link_guest_tickets import main
from sav.models.tables import Event, Ticket
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, environment
from tests.factories.tickets import make_ticket

SCRIPTS = Path(__file__).parents[3] / "scripts"
ACCOUNTS = 120
KILL_AFTER = 20
SCRIPT_TIMEOUT_SECONDS = 240


def written(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["user_id,email", *lines, ""]))
    return str(path)


def make_guests(*emails: str) -> None:
    for email in emails:
        make_ticket(user_id=None, contact_email=email)


def owners() -> dict[str, int | None]:
    return {ticket.contact_email: ticket.user_id for ticket in Ticket.select()}


def test_each_account_gets_its_tickets_once(
    command_line: CommandLine, tmp_path: Path, settings: Settings
) -> None:
    make_guests("ann@example.com", "josé@example.com", "jose@example.com", "nobody@example.com")
    file = written(tmp_path / "verified.csv", "5,Ann@example.com ", "6,josé@example.com", "5,ann@example.com")
    result = command_line(main, file, "--dry-run")
    assert "2 tickets would be linked to 2 accounts." in result.output
    assert set(owners().values()) == {None}

    assert "2 tickets were linked to 2 accounts." in command_line(main, file).output
    assert owners() == {
        "ann@example.com": 5,
        "josé@example.com": 6,
        # To a database's collation it is the same.
        "jose@example.com": None,
        "nobody@example.com": None,
    }
    assert "0 tickets were linked to 2 accounts." in command_line(main, file).output
    assert [event.name for event in Event.select()] == ["ticket.updated"] * 2
    assert list(settings.SAV_DATA_DIR.glob("link-*")) == []


def test_nothing_is_done_of_a_file_that_is_wrong(command_line: CommandLine, tmp_path: Path) -> None:
    make_guests("ann@example.com")
    file = written(
        tmp_path / "verified.csv",
        "5,ann@example.com",
        "x,b@example.com",
        "6,no address",
        "7,ANN@example.com",
        "8",
    )
    result = command_line(main, file)
    assert result.exit_code == 1
    for line in (
        "line 3: no user id and e-mail address",
        "line 4: no user id and e-mail address",
        "line 5: the address is another account's on line 2",
        "line 6: no user id and e-mail address",
    ):
        assert line in result.output
    assert owners() == {"ann@example.com": None}


def test_other_columns_are_refused(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "verified.csv"
    file.write_text("email,user_id\nann@example.com,5\n")
    result = command_line(main, str(file))
    assert (result.exit_code, "must be: user_id,email" in result.output) == (1, True)


def test_killed_in_the_middle_it_goes_on_where_it_was(settings: Settings, tmp_path: Path) -> None:
    make_guests(*(f"guest{number}@example.com" for number in range(ACCOUNTS)))
    lines = [f"{number + 1},guest{number}@example.com" for number in range(ACCOUNTS)]
    command = [str(SCRIPTS / "link_guest_tickets"), written(tmp_path / "v.csv", *lines), "--pause", "0.05"]
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    run = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL, start_new_session=True)
    give_up_at = time.monotonic() + SCRIPT_TIMEOUT_SECONDS
    while Event.select().count() < KILL_AFTER:
        assert run.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert Event.select().count() < ACCOUNTS

    (place,) = settings.SAV_DATA_DIR.glob("link-*.json")
    assert 0 < json.loads(place.read_text())["accounts"] < ACCOUNTS
    again = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=SCRIPT_TIMEOUT_SECONDS
    )
    assert (again.returncode, "Going on after" in again.stdout) == (0, True), again.stderr
    assert owners() == {f"guest{number}@example.com": number + 1 for number in range(ACCOUNTS)}
    assert Event.select().count() == ACCOUNTS


def test_the_pace_is_kept(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("sav.hands.long_runs.time.sleep", pauses.append)
    command_line(main, written(tmp_path / "v.csv", "5,a@example.com", "6,b@example.com"), "--rate", "4")
    assert pauses == [0.25] * 2


def test_the_command_has_it_too() -> None:

    sav = Path(sys.executable).parent / "sav"
    usage = subprocess.run(
        [str(sav), "link-guest-tickets", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: sav link-guest-tickets" in usage.stdout
