"""The commands of docs/backfills.md, as they stand there, one after the other."""

import shlex
from importlib import import_module
from pathlib import Path

import pytest

from sav.models.tables import Ticket
from tests.actors.hands.conftest import CommandLine
from tests.factories.tickets import make_ticket
from tests.system.doc_commands import run_by

COMMANDS = [
    line for block in run_by("tests/actors/hands/test_backfills_page.py") for line in block.text.splitlines()
]


def test_each_command_does_its_work(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = make_ticket(user_id=None, contact_email="ann@example.com")
    (tmp_path / "verified.csv").write_text("user_id,email\n5,ann@example.com\n")
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        program, *options = shlex.split(command)
        main = import_module(f"sav.hands.{Path(program).name}").main
        result = command_line(main, *options, SAV_STORAGE="disk")
        # One that only looks says by 1 that there is something to do.
        assert result.exit_code in ((0, 1) if "--dry-run" in options else (0,)), f"{command}: {result.output}"
        assert isinstance(result.exception, SystemExit | None)
    assert Ticket.get_by_id(ticket.id).user_id == 5
