"""`scripts/privacy`: asks, says how far it has come, gives out and verifies."""

import json
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sav.actors.effects import effect_table
from sav.bootstrap import object_store
from sav.domain.effects import BUILD_EXPORT, ERASE_PERSON
from sav.hands.privacy import main
from sav.models.tables import Contact, DueEffect, PrivacyRequest, Ticket
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, environment
from tests.actors.owed import means
from tests.factories.guest_tickets import make_guest_ticket
from tests.factories.messages import make_message
from tests.factories.tickets import make_ticket

SCRIPTS = Path(__file__).parents[3] / "scripts"
PERSON, EMAIL = 4_100_041, "camille@example.com"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"SAV_STORAGE": "disk"})


@pytest.fixture
def command_line(settings: Settings) -> CommandLine:
    line = CommandLine(settings)
    line._environment["SAV_STORAGE"] = "disk"
    return line


@pytest.fixture(autouse=True)
def written(settings: Settings) -> None:
    ticket = make_ticket("closed", user_id=PERSON, subject="My parcel")
    make_message(ticket, user_id=PERSON)
    make_ticket("closed", user_id=None, contact_email=EMAIL)


def work(settings: Settings, effect: str) -> None:
    """What the workers do meanwhile."""
    from dataclasses import replace

    effects = effect_table(replace(means(), storage=object_store(settings)))
    DueEffect.update(leased_until=None, lease_owner=None).execute()
    effects[effect]((0,))


def test_a_dry_run_says_how_much_there_is_and_asks_for_nothing(command_line: CommandLine) -> None:
    for command in ("export", "erase"):
        result = command_line(main, command, "--user-id", str(PERSON), "--email", EMAIL, "--dry-run")
        assert result.exit_code == 0, result.output
        assert "2 tickets" in result.output
        assert "1 messages" in result.output
    assert PrivacyRequest.select().count() == 0


def test_nobody_is_no_person(command_line: CommandLine) -> None:
    assert command_line(main, "erase", "--yes").exit_code == 2
    assert command_line(main, "export", "--email", "camille").exit_code == 2


def test_whoever_does_not_confirm_has_asked_for_nothing(command_line: CommandLine) -> None:
    result = command_line(main, "erase", "--user-id", str(PERSON), answer="n\n")
    assert result.exit_code == 1
    assert PrivacyRequest.select().count() == 0


def test_an_erasure_from_asking_to_its_receipt(
    command_line: CommandLine, settings: Settings, tmp_path: Path
) -> None:
    person = ("--user-id", str(PERSON), "--email", EMAIL)
    asked = command_line(main, "erase", *person, "--yes")
    number = PrivacyRequest.get().id
    assert (asked.exit_code, f"erasure {number} is waiting" in asked.output) == (0, True), asked.output
    assert f"erasure {number}: waiting (find)" in command_line(main, "status").output
    work(settings, ERASE_PERSON)

    again = command_line(main, "status", "erasure", str(number))
    assert "finished" in again.output
    assert "2 tickets" in again.output
    assert {ticket.subject for ticket in Ticket.select()} == {"[erased]"}
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(PrivacyRequest.get().receipt))
    for whom, code in ((person, 0), ((), 0), (("--user-id", "2"), 1)):
        assert command_line(main, "verify", str(receipt), *whom).exit_code == code
    receipt.write_text(receipt.read_text().replace('"tickets": 2', '"tickets": 3'))
    assert command_line(main, "verify", str(receipt)).exit_code == 1
    receipt.write_text("no JSON")
    assert command_line(main, "verify", str(receipt)).exit_code == 1


def test_whoever_has_waited_for_it_is_told_what_the_index_keeps(
    command_line: CommandLine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sav.hands.privacy.time.sleep", lambda _: work(settings, ERASE_PERSON))
    result = command_line(main, "erase", "--user-id", str(PERSON), "--yes", "--wait")
    assert (result.exit_code, "scripts/reindex_search" in result.output) == (0, True), result.output


def test_a_dry_run_names_whose_address_it_was(command_line: CommandLine) -> None:
    at = datetime.now(UTC)
    for user_id, verified in ((5, None), (6, EMAIL), (7, None)):
        Contact.create(user_id=user_id, email=EMAIL, verified_email=verified, updated_at=at)
    make_guest_ticket(user_id=7, contact_email=EMAIL)
    output = command_line(main, "erase", "--email", EMAIL, "--dry-run").output
    assert "1 accounts" in output
    assert "nobody has verified the address to be theirs: accounts 5." in output
    assert "it was verified to be somebody else's since: accounts 7." in output


def test_an_archive_is_fetched_when_it_is_there(
    command_line: CommandLine, settings: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "camille.zip"
    command_line(main, "export", "--user-id", str(PERSON))
    number = PrivacyRequest.get().id
    assert command_line(main, "fetch", str(number + 1), str(out)).exit_code == 1
    early = command_line(main, "fetch", str(number), str(out))
    assert (early.exit_code, "not ready" in early.output) == (1, True)
    work(settings, BUILD_EXPORT)

    result = command_line(main, "fetch", str(number), str(out))
    assert result.exit_code == 0, result.output
    tickets: Any = json.loads(zipfile.ZipFile(out).read("tickets.json"))
    assert [ticket["subject"] for ticket in tickets] == ["My parcel"]
    assert command_line(main, "status", "export", str(number + 1)).exit_code == 1


def test_the_script_runs_by_itself(settings: Settings) -> None:
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    command = [str(SCRIPTS / "privacy"), "status"]
    result = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
