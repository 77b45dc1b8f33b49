"""The commands of docs/privacy.md, as they stand there, one after the other."""

import json
import shlex
import zipfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from sav.actors.effects import effect_table
from sav.bootstrap import object_store
from sav.domain.effects import BUILD_EXPORT, ERASE_PERSON
from sav.models.tables import DueEffect, PrivacyRequest, Ticket
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine
from tests.actors.owed import means
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api
from tests.system.doc_commands import run_by

PERSON, EMAIL = 42, "camille@example.com"
COMMANDS = [
    line.removeprefix("$ ")
    for block in run_by("tests/actors/hands/test_privacy_page.py")
    for line in block.text.splitlines()
]


def call(api: Api, words: list[str]) -> int:
    """What curl would do, as an admin."""
    method, body = words[words.index("-X") + 1], json.loads(words[words.index("-d") + 1])
    (address,) = [word for word in words if word.startswith("localhost:8007/")]
    return int(api.admin().call(method, address.removeprefix("localhost:8007"), body).status_code)


def test_each_command_does_its_work(
    api: Api,
    command_line: CommandLine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = make_ticket("closed", user_id=PERSON, subject="My parcel")
    guests = make_ticket("closed", user_id=None, contact_email=EMAIL)
    on_disk = settings.model_copy(update={"SAV_STORAGE": "disk"})
    effects = effect_table(replace(means(), storage=object_store(on_disk)))

    def work_meanwhile(_: float) -> None:
        DueEffect.update(leased_until=None, lease_owner=None).execute()
        for effect in (BUILD_EXPORT, ERASE_PERSON):
            effects[effect]((0,))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sav.hands.privacy.time.sleep", work_meanwhile)
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        program, *words = shlex.split(command)
        if program == "curl":
            assert call(api, words) == 202, command
            continue
        main = import_module(f"sav.hands.{Path(program).name}").main
        result = command_line(main, *words, SAV_STORAGE="disk")
        assert result.exit_code == 0, f"{command}: {result.output}"

    told = json.loads(zipfile.ZipFile(tmp_path / "camille.zip").read("tickets.json"))
    assert {ticket["id"] for ticket in told} == {mine.id, guests.id}
    assert {ticket.subject for ticket in Ticket.select()} == {"[erased]"}
    # The first two commands have asked for the same.
    assert [row.kind for row in PrivacyRequest.select().order_by(PrivacyRequest.id)] == ["export", "erasure"]
