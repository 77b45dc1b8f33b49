"""`scripts/backfill_metrics`: the numbers made anew, all or for a span, and from where it was."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sav.hands import backfill_metrics
from sav.hands.backfill_metrics import main
from sav.models.tables import CountedTicket, DeskCount, Ticket
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, environment
from tests.factories.tickets import make_ticket

SCRIPTS = Path(__file__).parents[3] / "scripts"
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
DAYS = ("--from", "2026-01-05", "--to", "2026-01-07")


@pytest.fixture(autouse=True)
def three_days(settings: Settings) -> None:
    """Two tickets on each of three days, and nobody has counted them."""
    for day in range(3):
        for _ in range(2):
            make_ticket(at=NOON + timedelta(days=day))


def test_a_dry_run_compares_and_changes_nothing(command_line: CommandLine, settings: Settings) -> None:
    result = command_line(main, *DAYS, "--dry-run")
    assert result.exit_code == 1
    assert "6 tickets: 6 are not counted as they are, and 0 sums are not" in result.output
    assert CountedTicket.select().count() == DeskCount.select().count() == 0
    assert list(settings.SAV_DATA_DIR.glob("backfill-*")) == []


def test_what_was_counted_is_right_afterwards(command_line: CommandLine) -> None:
    result = command_line(main, *DAYS)
    assert (result.exit_code, "6 tickets were counted: 6 had not been" in result.output) == (0, True)
    assert not Ticket.select().where(Ticket.uncounted).exists()
    again = command_line(main, *DAYS, "--dry-run")
    assert (again.exit_code, "6 tickets: 0 are not" in again.output) == (0, True), again.output


def test_sums_that_somebody_spoilt_are_repaired(command_line: CommandLine) -> None:
    command_line(main, *DAYS)
    DeskCount.update(tickets=100).where(DeskCount.kind == "priority").execute()
    # Those of three days, and that of all three.
    assert "4 sums are not" in command_line(main, *DAYS, "--dry-run").output
    assert "4 sums were repaired" in command_line(main, *DAYS).output
    assert command_line(main, *DAYS, "--dry-run").exit_code == 0


def test_a_span_leaves_other_days_alone(command_line: CommandLine) -> None:
    assert command_line(main, "--from", "2026-01-06", "--to", "2026-01-06").exit_code == 0
    assert {row.created_at.day for row in CountedTicket.select()} == {6}
    # Without a span, from the first ticket until today.
    assert "6 tickets were counted: 4 had not been" in command_line(main).output


def test_one_that_was_broken_off_goes_on_where_it_was(
    command_line: CommandLine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(day: object, *, repair: bool) -> None:
        if Ticket.select().where(Ticket.uncounted).count() == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        original = backfill_metrics.recount_sums_of
        patch.setattr(
            backfill_metrics,
            "recount_sums_of",
            lambda day, repair: break_off(day, repair=repair) or original(day, repair=repair),
        )
        assert command_line(main, *DAYS).exit_code == 1
    (file,) = settings.SAV_DATA_DIR.glob("backfill-*.json")
    assert json.loads(file.read_text())["day"] == "2026-01-06"
    other = command_line(main, "--from", "2026-01-05", "--resume-file", str(file))
    assert other.exit_code == 1, "it belongs to another backfill"

    result = command_line(main, *DAYS)
    assert "Going on with 2026-01-06" in result.output
    # The day that was broken off is counted again: its two tickets are right by now.
    assert "6 tickets were counted: 4 had not been" in result.output, result.output
    assert not file.exists()
    assert command_line(main, *DAYS, "--dry-run").exit_code == 0


def test_the_rate_is_kept(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    command_line(main, *DAYS, "--rate", "10")
    assert pauses == [0.2] * 3
    pauses.clear()
    command_line(main, *DAYS, "--pause", "0.5")
    assert pauses == [0.5] * 3


@pytest.mark.parametrize(
    "options", [["--from", "yesterday"], ["--from", "2026-01-02", "--to", "2026-01-01"], ["--rate", "0"]]
)
def test_wrong_options_are_refused(command_line: CommandLine, options: list[str]) -> None:
    assert command_line(main, *options).exit_code == 2


def test_the_script_finds_the_service(settings: Settings) -> None:
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    command = [str(SCRIPTS / "backfill_metrics"), *DAYS]
    result = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "6 tickets were counted" in result.stdout
    assert CountedTicket.select().count() == 6
    usage = subprocess.run([*command[:1], "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "scripts/backfill_metrics --dry-run" in usage.stdout
