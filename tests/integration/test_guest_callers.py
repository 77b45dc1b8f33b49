"""A guest inside the house: whatever operation or query is asked, only their reply and rating are done."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sav.domain.caller import NOBODY, Caller, guest_of
from sav.domain.errors import Forbidden, NotFound
from sav.domain.occasion import Occasion
from sav.domain.statistics import Span
from sav.models.tables import Message
from sav.operations.assign_ticket import assign_ticket
from sav.operations.converse import delete_message, edit_message, mark_read, reply_to_ticket
from sav.operations.edit_ticket import delete_ticket, edit_ticket
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.operations.roster import change_agent
from sav.operations.settle_ticket import close_ticket, rate_ticket, resolve_ticket
from sav.queries.conversation import list_history, list_messages, one_message
from sav.queries.pages import PageRequest
from sav.queries.statistics import read_statistics
from sav.queries.ticket_detail import visible_detail
from sav.queries.ticket_inbox import TicketFilter, list_tickets
from tests.factories.agents import make_agent
from tests.factories.guest_tickets import make_guest_ticket
from tests.factories.messages import make_message
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.http.problems import every_row

pytestmark = pytest.mark.usefixtures("empty_database")
NOW = datetime(2026, 3, 29, 10, 31, tzinfo=UTC)
PAGE = PageRequest()
Do = Callable[[Occasion, int, int], Any]
FIELDS: dict[str, Any] = {
    "subject": "x", "description": "x", "category": "x", "tags": ["x"], "priority": "urgent",
    "status": "closed", "internal_notes": "x", "metadata": {"x": 1},
}  # fmt: skip


def edit(name: str) -> Do:
    return lambda who, ticket, _: edit_ticket(
        occasion=who, ticket_id=ticket, fields={name: FIELDS[name]}, customer_maximum_priority="urgent"
    )


WRITES: dict[str, Do] = {
    "reply": lambda who, ticket, _: reply_to_ticket(occasion=who, ticket_id=ticket, content="x"),
    "note": lambda who, ticket, _: reply_to_ticket(
        occasion=who, ticket_id=ticket, content="x", is_internal=True
    ),
    "rate": lambda who, ticket, _: rate_ticket(occasion=who, ticket_id=ticket, rating=5),
    "resolve": lambda who, ticket, _: resolve_ticket(occasion=who, ticket_id=ticket, resolution="x"),
    "close": lambda who, ticket, _: close_ticket(occasion=who, ticket_id=ticket),
    "assign": lambda who, ticket, _: assign_ticket(occasion=who, ticket_id=ticket, agent_id=7),
    "delete": lambda who, ticket, _: delete_ticket(occasion=who, ticket_id=ticket),
    **{f"edit {name}": edit(name) for name in FIELDS},
    "edit message": lambda who, ticket, message: edit_message(
        occasion=who, ticket_id=ticket, message_id=message, content="x"
    ),
    "delete message": lambda who, ticket, message: delete_message(
        occasion=who, ticket_id=ticket, message_id=message
    ),
    "read": lambda who, ticket, message: mark_read(occasion=who, ticket_id=ticket, message_id=message),
    "read all": lambda who, ticket, _: mark_read(occasion=who, ticket_id=ticket),
}
BESIDE_TICKETS: dict[str, Do] = {
    "open": lambda who, *_: open_ticket(
        occasion=who, new=NewTicket(subject="x", description="x"), rules=DeskRules("TICKET", "urgent")
    ),
    "change an agent": lambda who, *_: change_agent(
        occasion=who, user_id=7, fields={"capacity": 1}, default_capacity=20
    ),
    "list": lambda who, *_: list_tickets(
        caller=who.caller, wanted=TicketFilter(), order="-created_at", page=PAGE
    ),
    "history": lambda who, ticket, _: list_history(caller=who.caller, ticket_id=ticket, page=PAGE),
    "statistics": lambda who, *_: read_statistics(
        caller=who.caller, span=Span(), zone=ZoneInfo("UTC"), now=NOW
    ),
}
ALLOWED = {"reply", "rate"}


def kinds() -> dict[str, tuple[int, int]]:
    """A ticket and a message in it, of each kind: the guest's own first."""
    make_agent(7)
    tickets = {
        "own": make_guest_ticket("resolved")[0],
        "another guest's": make_guest_ticket("resolved")[0],
        "a customer's": make_ticket("resolved", user_id=1),
        "deleted": make_guest_ticket("resolved", deleted_at=WRITTEN_AT)[0],
        "linked": make_guest_ticket("resolved", user_id=1)[0],
    }
    return {
        kind: (ticket.id, make_message(ticket, user_id=None, author_role="guest").id)
        for kind, ticket in tickets.items()
    }


def refusal(do: Do, caller: Caller, ticket_id: int, message_id: int) -> type[Exception] | None:
    before = every_row()
    try:
        do(Occasion(caller, NOW, "test"), ticket_id, message_id)
    except (Forbidden, NotFound) as error:
        assert every_row() == before
        return type(error)
    return None


@pytest.mark.parametrize("action", WRITES)
def test_a_guest_writes_nothing_but_replies_and_ratings_to_their_own_ticket(action: str) -> None:
    rows = kinds()
    own, _ = rows["own"]
    for kind, (ticket_id, message_id) in rows.items():
        if kind == "own" and action in ALLOWED:
            continue
        assert refusal(WRITES[action], guest_of(own), ticket_id, message_id) is not None, kind
    if action in ALLOWED:
        assert refusal(WRITES[action], guest_of(own), *rows["own"]) is None


@pytest.mark.parametrize("action", WRITES)
def test_nobody_writes_anything(action: str) -> None:
    for kind, (ticket_id, message_id) in kinds().items():
        assert refusal(WRITES[action], NOBODY, ticket_id, message_id) is not None, kind


@pytest.mark.parametrize("action", BESIDE_TICKETS)
def test_neither_does_anything_beside_that(action: str) -> None:
    own = kinds()["own"]
    for caller in (guest_of(own[0]), NOBODY):
        assert refusal(BESIDE_TICKETS[action], caller, *own) is not None


def test_a_token_whose_ticket_became_a_customers_meanwhile_does_nothing() -> None:
    """Whoever was let in before the link finds the ticket gone when its row is locked."""
    linked, message_id = kinds()["linked"]
    for action in WRITES:
        assert refusal(WRITES[action], guest_of(linked), linked, message_id) is not None, action


def test_a_guest_reads_their_own_ticket_without_its_notes() -> None:
    rows = kinds()
    own, public = rows["own"]
    guest = guest_of(own)
    ticket = visible_detail(guest, own).ticket
    note = make_message(ticket, user_id=7, author_role="agent", is_internal=True)
    assert [message.id for message in visible_detail(guest, own).messages] == [public]
    assert [row.id for row in list_messages(caller=guest, ticket_id=own, page=PAGE).rows] == [public]
    with pytest.raises(NotFound):
        one_message(caller=guest, ticket_id=own, message_id=note.id)
    for kind in rows.keys() - {"own"}:
        for caller in (guest, NOBODY):
            with pytest.raises(NotFound):
                visible_detail(caller, rows[kind][0])
    assert Message.select().count() == len(rows) + 1
