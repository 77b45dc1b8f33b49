"""`scripts/import_tickets`: every sound record once, with its past, and nobody outside hears of it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sav.domain.caller import Caller
from sav.domain.occasion import Occasion
from sav.hands.import_tickets import main
from sav.models.tables import (
    Agent,
    Attachment,
    DueEffect,
    Event,
    ImportedTicket,
    MailDelivery,
    Message,
    MessageReceipt,
    SightCounter,
    Ticket,
    TicketNumberSequence,
    TicketTag,
)
from sav.operations.converse import reply_to_ticket
from sav.operations.count_tickets import count_changed_tickets
from sav.operations.open_ticket import new_ticket_number
from sav.queries.ticket_search import Search
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, environment
from tests.system.doc_commands import run_by

SCRIPTS = Path(__file__).parents[3] / "scripts"
KILLED_RECORDS = 1_600
KILL_AFTER = 200
SCRIPT_TIMEOUT_SECONDS = 240
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 17 + b"\x00\x00\x00\x00IEND\xaeB`\x82"

CLOSED: dict[str, Any] = {
    "external_id": "Z-1",
    "number": "OLD-77",
    "subject": "Colis perdu",
    "description": "Jamais arrivé.",
    "status": "closed",
    "priority": "high",
    "category": "delivery",
    "source": "email",
    "tags": ["vip", "colis"],
    "user_id": 5,
    "assigned_to": 44,
    "created_at": "2024-01-15T23:30:00+01:00",
    "resolved_at": "2024-01-16T09:00:00Z",
    "closed_at": "2024-01-20T09:00:00Z",
    "resolution": "Renvoyé.",
    "satisfaction_rating": 4,
    "messages": [
        {"author": "customer", "content": "Où est-il ?", "created_at": "2024-01-15T22:40:00Z"},
        {"author": "agent", "user_id": 44, "content": "On cherche.", "created_at": "2024-01-15T23:00:00Z"},
        {
            "author": "agent",
            "user_id": 44,
            "content": "Transporteur appelé.",
            "is_internal": True,
            "created_at": "2024-01-15T23:05:00Z",
        },
    ],
}


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "external_id": f"R-{number}",
        "subject": f"Record {number}",
        "description": "Of before.",
        "user_id": 5,
        "created_at": "2024-02-01T10:00:00Z",
        **fields,
    }


def written(path: Path, records: Sequence[Any]) -> str:
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records))
    return str(path)


def rejects(path: Path) -> list[tuple[int, str | None, set[str]]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (line["line"], line["external_id"], {error["field"] for error in line["errors"]}) for line in lines
    ]


@pytest.fixture(autouse=True)
def agent(settings: Settings) -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    Agent.create(user_id=7, capacity=5, categories=[], created_at=now, updated_at=now)


def test_a_record_comes_with_its_past(command_line: CommandLine, tmp_path: Path) -> None:
    result = command_line(main, written(tmp_path / "old.jsonl", [CLOSED]), "--origin", "zendesk")
    assert result.exit_code == 0, result.output
    assert "1 tickets were imported, 0 were in already, 0 were rejected." in result.output
    ticket = Ticket.get()
    # Its number is one of the UTC day on which it was opened.
    assert ticket.ticket_number == "TICKET-20240115-001"
    assert (ticket.status, ticket.priority, ticket.source) == ("closed", "high", "email")
    assert (ticket.user_id, ticket.assigned_to, ticket.satisfaction_rating) == (5, 44, 4)
    assert ticket.created_at == datetime(2024, 1, 15, 22, 30, tzinfo=UTC)
    assert ticket.first_response_at == datetime(2024, 1, 15, 23, 0, tzinfo=UTC)
    assert ticket.closed_at == ticket.updated_at == datetime(2024, 1, 20, 9, 0, tzinfo=UTC)
    assert ticket.metadata == {"imported": {"origin": "zendesk", "id": "Z-1", "number": "OLD-77"}}
    assert {row.tag for row in TicketTag.select()} == {"vip", "colis"}
    messages = list(Message.select().order_by(Message.id))
    assert [(m.author_role, m.user_id, m.is_internal) for m in messages] == [
        ("customer", 5, False),
        ("agent", 44, False),
        ("agent", 44, True),
    ]
    # Nobody finds years of it unread.
    receipts = {(row.message_id, row.reader_id) for row in MessageReceipt.select()}
    assert receipts == {(messages[0].id, 44), (messages[1].id, 5)}


def test_nobody_is_told_and_everything_counts(command_line: CommandLine, tmp_path: Path) -> None:
    command_line(main, written(tmp_path / "old.jsonl", [CLOSED, record(1, status="open")]))
    assert [event.name for event in Event.select()] == ["ticket.imported"] * 2
    assert not Event.select().where(Event.published_sequence.is_null(False)).exists()
    assert DueEffect.select().count() == MailDelivery.select().count() == 0
    # Answers that are kept ready are seen to be old.
    assert SightCounter.select().exists()
    assert count_changed_tickets() == 2
    found = Ticket.select().where(Search("colis").by_index())
    assert [ticket.subject for ticket in found] == ["Colis perdu"]
    # The day goes on counting behind the imported ones.
    day = datetime(2024, 1, 15, 12, tzinfo=UTC)
    assert new_ticket_number(prefix="TICKET", now=day, for_guest=False) == "TICKET-20240115-002"


def test_work_goes_on_with_it(command_line: CommandLine, tmp_path: Path) -> None:
    command_line(main, written(tmp_path / "old.jsonl", [record(1)]))
    occasion = Occasion(Caller(user_id=5, role="customer"), datetime.now(UTC))
    reply_to_ticket(occasion=occasion, ticket_id=Ticket.get().id, content="Any news?")
    log = list(Event.select().order_by(Event.sequence))
    assert [(event.name, event.sequence, event.published_sequence) for event in log] == [
        ("ticket.imported", 1, None),
        ("ticket.message.new", 2, 1),
    ]


def test_the_same_file_again_changes_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    file = written(tmp_path / "old.jsonl", [CLOSED, record(1), record(1)])
    assert "2 tickets were imported, 1 were in already" in command_line(main, file).output
    assert "0 tickets were imported, 3 were in already" in command_line(main, file).output
    assert "2 tickets were imported" in command_line(main, file, "--origin", "another").output
    assert (Ticket.select().count(), Message.select().count()) == (4, 6)


def test_every_wrong_line_is_told_with_all_its_reasons(command_line: CommandLine, tmp_path: Path) -> None:
    file = written(
        tmp_path / "old.jsonl",
        [
            record(1),
            "{",
            record(2, status="lost", priority="soon", colour="red"),
            record(3, user_id=None),
            "",
            record(4, status="resolved", updated_at="2024-01-01T00:00:00Z"),
            record(5, status="assigned", assigned_to=8),
            record(6, status="open", closed_at="2999-01-01T00:00:00Z"),
            record(1, subject="Something else"),
            record(7, created_at="2024-02-01T10:00:00"),
            record(8, attachments=[{"path": "a.png"}]),
            record(9),
        ],
    )
    result = command_line(main, file)
    assert result.exit_code == 1
    assert "2 tickets were imported, 0 were in already, 9 were rejected." in result.output
    assert rejects(tmp_path / "old.jsonl.rejects.jsonl") == [
        (2, None, {""}),
        (3, "R-2", {"status", "priority", "colour"}),
        (4, "R-3", {"user_id"}),
        (6, "R-4", {"updated_at", "resolved_at"}),
        (7, "R-5", {"assigned_to"}),
        (8, "R-6", {"closed_at"}),
        (9, "R-1", {"external_id"}),
        (10, "R-7", {"created_at"}),
        (11, "R-8", {"attachments.0"}),
    ]
    assert {ticket.subject for ticket in Ticket.select()} == {"Record 1", "Record 9"}


def test_a_dry_run_says_the_same_and_changes_nothing(
    command_line: CommandLine, tmp_path: Path, settings: Settings
) -> None:
    file = written(tmp_path / "old.jsonl", [record(1), record(2, status="lost")])
    result = command_line(main, file, "--dry-run")
    assert (result.exit_code, "1 tickets would be imported" in result.output) == (1, True)
    assert len(rejects(tmp_path / "old.jsonl.rejects.jsonl")) == 1
    assert Ticket.select().count() == TicketNumberSequence.select().count() == 0
    assert list(settings.SAV_DATA_DIR.glob("import-*")) == []


def test_csv_with_cells_of_several_lines(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text(
        "external_id,subject,description,user_id,contact_email,created_at,tags,metadata,status\n"
        'A,"One, two","first\nsecond",5,,2024-02-01T10:00:00Z,vip; colis,"{""shop"": 3}",\n'
        "B,No cells\n"
        "C,A guest's,Text,,guest@example.com,2024-02-01T10:00:00Z,,,open\n"
        "D,Wrong id,Text,five,,2024-02-01T10:00:00Z,,,open\n",
        encoding="utf-8-sig",
    )
    result = command_line(main, str(file), "--origin", "shop")
    assert (result.exit_code, "2 tickets were imported" in result.output) == (1, True), result.output
    one, guests = Ticket.select().order_by(Ticket.id)
    assert (one.subject, one.description, one.tags) == ("One, two", "first\nsecond", ["vip", "colis"])
    assert one.metadata["shop"] == 3
    # Nobody guesses a guest's number, and no token opens it.
    assert len(guests.ticket_number) == len("TICKET-20240201-002-7F3K9Q2M")
    assert guests.access_token_hash is None
    assert rejects(tmp_path / "old.csv.rejects.jsonl") == [(4, None, {""}), (6, "D", {"user_id"})]


def test_columns_that_no_ticket_has_are_refused_at_once(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text("external_id,subject,colour\n1,2,3\n")
    result = command_line(main, str(file))
    assert result.exit_code == 2
    assert "unknown columns: colour; missing: description, created_at" in result.output


def test_what_the_desk_would_have_closed_long_ago_comes_in_closed(
    command_line: CommandLine, tmp_path: Path
) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    file = written(
        tmp_path / "old.jsonl",
        [
            record(1, status="resolved", resolved_at="2024-02-02T10:00:00Z"),
            record(2, status="resolved", resolved_at=yesterday),
        ],
    )
    command_line(main, file, AUTO_CLOSE_RESOLVED_DAYS="7")
    old, fresh = Ticket.select().order_by(Ticket.id)
    assert (old.status, old.closed_at) == ("closed", datetime(2024, 2, 9, 10, tzinfo=UTC))
    assert (fresh.status, fresh.closed_at) == ("resolved", None)


def test_the_deadline_of_an_urgent_ticket_begins_with_the_import(
    command_line: CommandLine, tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    command_line(main, written(tmp_path / "old.jsonl", [record(1, priority="urgent")]))
    assert Ticket.get().unanswered_since >= before.replace(microsecond=0)


def test_files_come_with_their_messages_once(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.png").write_bytes(PNG)
    (tmp_path / "secret.txt").write_text("not below the directory")
    message = {
        "author": "agent",
        "content": "Voilà.",
        "created_at": "2024-02-01T11:00:00Z",
        "attachments": [{"path": "a.png", "name": "photo.png"}],
    }
    sound = record(1, attachments=[{"path": "a.png"}], messages=[message])
    outside = record(2, attachments=[{"path": "../secret.txt"}])
    file = written(tmp_path / "old.jsonl", [sound, outside])
    arguments = (file, "--files", str(tmp_path / "files"))
    with monkeypatch.context() as patch:
        # Killed between the two files.
        patch.setattr("sav.hands.import_tickets._Run._attach", _only_the_first)
        assert command_line(main, *arguments, SAV_STORAGE="disk").exit_code == 1
    assert Attachment.select().count() == 1

    def again() -> Result:
        return command_line(main, *arguments, SAV_STORAGE="disk")

    assert "0 tickets were imported, 1 were in already" in again().output
    again()
    rows = list(Attachment.select().order_by(Attachment.id))
    assert [(row.file_name, row.state, row.message_id) for row in rows] == [
        ("a.png", "available", None),
        ("photo.png", "available", Message.get().id),
    ]
    assert [row.created_at.hour for row in rows] == [10, 11]
    assert Ticket.get().updated_at == datetime(2024, 2, 1, 11, tzinfo=UTC)
    assert ImportedTicket.get().files_done == 2
    assert (2, "R-2", {"attachments.0"}) in rejects(tmp_path / "old.jsonl.rejects.jsonl")


def test_a_note_and_its_file_cannot_be_told_from_the_ticket(
    command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.png").write_bytes(PNG)
    note = {
        "author": "agent",
        "content": "Pour nous.",
        "is_internal": True,
        "created_at": "2024-02-01T11:00:00Z",
        "attachments": [{"path": "a.png"}],
    }
    file = written(tmp_path / "old.jsonl", [record(1, messages=[note])])
    result = command_line(main, file, "--files", str(tmp_path / "files"), SAV_STORAGE="disk")
    assert result.exit_code == 0, result.output
    assert Attachment.get().state == "available"
    ticket = Ticket.get()
    assert (ticket.version, ticket.updated_at) == (1, datetime(2024, 2, 1, 10, tzinfo=UTC))


def _only_the_first(run: Any, files: Any, imported: Any) -> None:
    from sav.operations.import_tickets import attach_historic_file

    found = files[0]
    with found.path.open("rb") as content:
        attach_historic_file(
            found.file,
            content,
            imported=imported,
            kind=found.kind,
            size=found.size,
            store=run._store,
            arrival="available",
            now=datetime.now(UTC),
        )
    raise KeyboardInterrupt


def test_killed_in_the_middle_and_run_again_each_is_in_once(settings: Settings, tmp_path: Path) -> None:
    records = [
        record(number, messages=[{"author": "agent", "content": "m", "created_at": "2024-02-01T11:00:00Z"}])
        for number in range(KILLED_RECORDS)
    ]
    records[50] = record(50, status="lost")
    file = written(tmp_path / "old.jsonl", records)
    command = [str(SCRIPTS / "import_tickets"), file, "--pause", "0.05"]
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    run = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL, start_new_session=True)
    give_up_at = time.monotonic() + SCRIPT_TIMEOUT_SECONDS
    while Ticket.select().count() < KILL_AFTER:
        assert run.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert KILL_AFTER <= Ticket.select().count() < KILLED_RECORDS - 1

    again = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=SCRIPT_TIMEOUT_SECONDS
    )
    assert again.returncode == 1, again.stderr
    assert "Going on after" in again.stdout
    assert Ticket.select().count() == KILLED_RECORDS - 1
    assert Message.select().count() == KILLED_RECORDS - 1
    assert ImportedTicket.select().count() == Event.select().count() == KILLED_RECORDS - 1
    assert {row.external_id for row in ImportedTicket.select()} == {
        f"R-{number}" for number in range(KILLED_RECORDS) if number != 50
    }
    # What was wrong before the kill is still told.
    assert rejects(tmp_path / "old.jsonl.rejects.jsonl") == [(51, "R-50", {"status"})]


def test_two_imports_at_once_make_each_ticket_once(settings: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "old.jsonl", [record(number) for number in range(600)])
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    runs = [
        subprocess.Popen(
            [
                str(SCRIPTS / "import_tickets"),
                file,
                "--rejects",
                str(tmp_path / f"{number}.rejects"),
                "--resume-file",
                str(tmp_path / f"{number}.json"),
            ],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    outputs = [run.communicate(timeout=SCRIPT_TIMEOUT_SECONDS) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert Ticket.select().count() == ImportedTicket.select().count() == 600


def test_the_pace_is_kept(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("sav.hands.long_runs.time.sleep", pauses.append)
    file = written(tmp_path / "old.jsonl", [record(number) for number in range(300)])
    command_line(main, file, "--rate", "100")
    assert pauses == [2.0, 1.0]


def test_the_script_says_how_it_is_used() -> None:
    usage = subprocess.run(
        [str(SCRIPTS / "import_tickets"), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "scripts/import_tickets old.jsonl --dry-run" in usage.stdout


def test_the_example_of_the_page_is_true(command_line: CommandLine, tmp_path: Path) -> None:
    page = (SCRIPTS.parent / "docs" / "backfills.md").read_text()
    example = page.split("<!-- example: old.jsonl -->\n```json\n")[1].split("```")[0]
    (block,) = run_by("tests/actors/hands/test_import_tickets.py")
    (tmp_path / "old.jsonl").write_text(example)
    answers = []
    for command in block.text.splitlines():
        _, _, *options = command.split()
        answers.append(command_line(main, str(tmp_path / "old.jsonl"), *options).output)
    assert "1 tickets would be imported" in answers[0]
    assert "1 tickets were imported, 0 were in already, 1 were rejected." in answers[1]
    assert "`1 tickets were imported, 0 were in already, 1 were rejected.`" in page
    assert "0 tickets were imported, 1 were in already" in answers[2]
    assert rejects(tmp_path / "old.jsonl.rejects.jsonl") == [(2, "4712", {"status"})]
