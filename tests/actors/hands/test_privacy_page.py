"""The commands of docs/privacy.md, as they stand there, one after the other."""

import json
import shlex
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from sav.actors.effects import effect_table
from sav.bootstrap import object_store
from sav.domain.effects import BUILD_EXPORT, ERASE_PERSON
from sav.models.tables import DueEffect, PrivacyRequest, Ticket
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, environment
from tests.actors.owed import means
from tests.factories.tickets import make_ticket
from tests.servers.ports import LOOPBACK, accepts, free_port, wait_until
from tests.system.doc_commands import run_by
from tests.system.fleet import SECRET, START_TIMEOUT_SECONDS, token
from tests.system.running_service import PROGRAMS, RunningCommand, clean_environment

ADDRESS = "localhost:8007"
CURL_TIMEOUT_SECONDS = 30
PERSON, EMAIL = 42, "camille@example.com"
COMMANDS = [
    line.removeprefix("$ ")
    for block in run_by("tests/actors/hands/test_privacy_page.py")
    for line in block.text.splitlines()
]


@pytest.fixture
def web(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """The port of a web process on the test's database."""
    port = free_port()
    variables = environment(settings) | {"SAV_STORAGE": "disk", "JWT_SECRET": SECRET, "WEB_PROCESSES": "1"}
    process = RunningCommand(
        str(PROGRAMS / "sav"), "http",
        environment=clean_environment(**variables, APP_HOST=LOOPBACK, APP_PORT=str(port)),
        log=tmp_path / "web.log",
    )  # fmt: skip
    try:
        wait_until(
            lambda: accepts(port) or not process.running,
            timeout_seconds=START_TIMEOUT_SECONDS,
            what="sav http",
        )
        assert process.running, process.output
        yield port
    finally:
        process.kill()


def curl(command: str, port: int) -> str:
    """The status that the command as it stands is answered with, but for the port."""
    assert ADDRESS in command
    said = command.replace(ADDRESS, f"{LOOPBACK}:{port}").replace(
        "curl ", "curl -sS -w '\\n%{http_code}' ", 1
    )
    done = subprocess.run(
        ["bash", "-c", said],
        env=clean_environment(ADMIN=token("admin", 99)),
        capture_output=True,
        text=True,
        timeout=CURL_TIMEOUT_SECONDS,
        check=True,
    )
    return done.stdout.rpartition("\n")[2]


def test_each_command_does_its_work(
    web: int,
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
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        program, *words = shlex.split(command)
        if program == "curl":
            assert curl(command, web) == "202", command
            continue
        main = import_module(f"sav.hands.{Path(program).name}").main
        with monkeypatch.context() as patched:
            # Everybody's sleep: curl is waited for by it, too.
            patched.setattr("sav.hands.privacy.time.sleep", work_meanwhile)
            result = command_line(main, *words, SAV_STORAGE="disk")
        assert result.exit_code == 0, f"{command}: {result.output}"

    told = json.loads(zipfile.ZipFile(tmp_path / "camille.zip").read("tickets.json"))
    assert {ticket["id"] for ticket in told} == {mine.id, guests.id}
    assert {ticket.subject for ticket in Ticket.select()} == {"[erased]"}
    # The first two commands have asked for the same.
    assert [row.kind for row in PrivacyRequest.select().order_by(PrivacyRequest.id)] == ["export", "erasure"]
