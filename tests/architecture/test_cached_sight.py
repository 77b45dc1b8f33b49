"""Nobody writes what is shown of a ticket without saying so to those who keep it ready.

Two doors say it: `TicketChange.save` and `write_new_ticket`; an import says it of many at once. Whatever
else writes to the tables of tickets, messages, files and agents is named here, with the reason why nothing
kept gets old by it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "sav"

SHOWN = ("Ticket", "TicketTag", "Message", "Attachment", "Agent")
TABLE_NAMES = "support_tickets|ticket_tags|ticket_messages|ticket_attachments|agents"
WRITING = {"create", "insert", "insert_many", "update", "delete", "replace", "bulk_create", "bulk_update"}
OBJECTS = {"insert_new", "update_changed"}
RAW = re.compile(rf"\b(UPDATE|INSERT INTO|DELETE FROM|REPLACE INTO)\s+({TABLE_NAMES})\b", re.IGNORECASE)

REASONS = {
    "operations/assign_open_tickets.py": "when an agent was last given something is shown by nothing kept",
    "operations/assign_ticket.py": "the same",
    "operations/attach_files.py": "a file is shown once `_complete` has recorded it, by TicketChange",
    "operations/converse.py": "messages by TicketChange; read marks are a part of the ticket's revision",
    "operations/count_tickets.py": "how a ticket is counted changes no number",
    "operations/edit_ticket.py": "tags, by TicketChange",
    "operations/erase_ticket.py": "by TicketChange; what is too much for one transaction is `outdate`d",
    "operations/erase_traces.py": "says so by `outdate`, and advances the roster's counter",
    "operations/import_tickets.py": "advances the counters itself, of many tickets at once",
    "operations/link_guest_tickets.py": "within a TicketChange",
    "operations/open_ticket.py": "tags, by write_new_ticket and TicketChange",
    "operations/remove_objects.py": "files that are not shown, or no longer",
    "operations/roster.py": "advances the roster's counter",
    "operations/scan_attachment.py": "records what the scanner found, by TicketChange",
    "operations/sweep_files.py": "files that are not shown; one whose object is lost goes by TicketChange",
}


def written_in(source: str) -> Iterator[str]:
    """The tables that a module writes to, other than by an instance's `save`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in WRITING and isinstance(node.value, ast.Name):
            if node.value.id in SHOWN:
                yield node.value.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            written = node.args[0]
            if isinstance(written, ast.Name) and (
                node.func.id in OBJECTS or (node.func.id == "insert_rows" and written.id in SHOWN)
            ):
                yield written.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and RAW.search(node.value):
            yield node.value


def modules() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in ROOT.rglob("*.py")
        if "migrations" not in path.parts
    }


def test_whoever_writes_what_is_shown_has_a_reason() -> None:
    writers = {name for name, source in modules().items() if set(written_in(source))}
    assert writers == set(REASONS)


def test_tickets_are_saved_by_doors_that_say_so_alone() -> None:
    saving = {
        name
        for name, source in modules().items()
        if name.startswith("operations/")
        and re.search(r"\bticket\.save\(|\b(insert_new|update_changed)\((self\.)?ticket\b", source)
    }
    assert saving == {
        "operations/ticket_change.py",
        "operations/open_ticket.py",
        "operations/import_tickets.py",
    }
    for name in saving:
        assert "advance_counters(" in modules()[name]


def test_raw_statements_are_recognised() -> None:
    assert list(written_in('run("update support_tickets SET subject = 1")'))
    assert list(written_in("insert_rows(TicketTag, rows)"))
    assert list(written_in("update_changed(message)"))
    assert not list(written_in('run("SELECT 1 FROM support_tickets")'))
