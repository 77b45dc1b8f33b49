"""Tickets that were resolved long ago are closed, unless somebody has something to say."""

import ast
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from sav.actors.effects import effect_table
from sav.domain.effects import CLOSE_QUIET_TICKETS
from sav.domain.ticket_lifecycle import STATUSES
from sav.models.database import database, is_sqlite
from sav.models.tables import DueEffect, Event, Ticket
from sav.operations import close_quiet_tickets as closing
from sav.operations.close_quiet_tickets import close_quiet_tickets
from sav.operations.record_tick import order_tick
from tests.actors.owed import means
from tests.actors.threads import at_the_same_time
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.plugins.desk import Api, Clock, counted_queries

pytestmark = pytest.mark.usefixtures("empty_database")

WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
THEN = WRITTEN_AT + WEEK


def close_at(now: datetime) -> bool:
    return close_quiet_tickets(quiet_for=WEEK, clock=lambda: now)


def closed() -> list[int]:
    """The tickets that were closed, in that order."""
    query = Event.select().where(Event.name == "ticket.closed").order_by(Event.id)
    return [event.ticket_id for event in query]


def test_after_a_week_of_silence_a_resolved_ticket_is_closed() -> None:
    tickets = {status: make_ticket(status).id for status in STATUSES}
    assert close_at(THEN - SECOND)
    assert closed() == []
    with capture_logs() as logs:
        assert close_at(THEN)
    assert closed() == [tickets["resolved"]]
    event = Event.get(Event.name == "ticket.closed")
    assert (event.data["closed_by"], event.data["reason"]) == ("auto", "resolved_and_quiet")
    assert event.actor_role == "system"
    ticket = Ticket.get_by_id(tickets["resolved"])
    assert (ticket.status, ticket.closed_at, ticket.resolved_at) == ("closed", THEN, WRITTEN_AT)
    [line] = [line for line in logs if line.get("action") == "ticket.closed"]
    assert (line["ticket_id"], line["status_to"]) == (ticket.id, "closed")
    close_at(THEN + WEEK)
    assert len(closed()) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/messages", {"content": "All well?"}),
        ("", {"subject": "Another"}),
    ],
)
def test_whatever_its_customer_sees_makes_it_wait_a_week_more(
    api: Api, clock: Clock, path: str, body: dict[str, Any]
) -> None:
    ticket_id = make_ticket("resolved").id
    clock.forward(days=6)
    method = "POST" if path else "PUT"
    assert api.admin().call(method, f"/tickets/{ticket_id}{path}", body).status_code < 300
    close_at(clock.now + WEEK - SECOND)
    assert closed() == []
    close_at(clock.now + WEEK)
    assert closed() == [ticket_id]


def test_reading_it_or_writing_a_note_is_no_activity(api: Api, clock: Clock) -> None:
    ticket_id = make_ticket("resolved").id
    clock.forward(days=6)
    note = {"content": "Hm.", "is_internal": True}
    assert api.admin().post(f"/tickets/{ticket_id}/messages", note).status_code == 201
    api.customer().post(f"/tickets/{ticket_id}/messages/mark-all-read")
    close_at(THEN)
    assert closed() == [ticket_id]


def test_a_reply_in_the_same_instant_wins_or_comes_too_late_but_is_never_lost(api: Api) -> None:
    outcomes = set()
    for _ in range(8):
        ticket_id = make_ticket("resolved").id
        replied, _ = at_the_same_time(
            partial(api.customer().post, f"/tickets/{ticket_id}/messages", {"content": "No!"}),
            partial(close_at, THEN),
        )
        status = Ticket.get_by_id(ticket_id).status
        outcomes.add((replied.status_code, status))
        Ticket.update(updated_at=THEN).execute()
    assert outcomes <= {(201, "in_progress"), (409, "closed")}


def test_a_reply_after_the_look_and_before_the_closing_wins(
    api: Api, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    ticket_id, other = make_ticket("resolved").id, make_ticket("resolved").id
    deleted = make_ticket("resolved").id
    look = closing._quiet

    def look_then_reply(cutoff: datetime) -> Any:
        found = look(cutoff)
        api.customer().post(f"/tickets/{ticket_id}/messages", {"content": "No!"})
        api.admin().delete(f"/tickets/{deleted}")
        return found

    monkeypatch.setattr(closing, "_quiet", look_then_reply)
    close_at(THEN)
    assert closed() == [other]
    assert Ticket.get_by_id(ticket_id).status == "in_progress"


def test_many_are_closed_part_by_part_the_longest_quiet_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "TICKETS_A_RUN", 3)
    tickets = [make_ticket("resolved", at=WRITTEN_AT - number * SECOND).id for number in range(7)]
    assert [close_at(THEN) for _ in range(3)] == [False, False, True]
    assert closed() == tickets[::-1]


def test_workers_at_once_close_each_ticket_once() -> None:
    tickets = [make_ticket("resolved").id for _ in range(20)]
    at_the_same_time(*[partial(close_at, THEN)] * 4)
    assert sorted(closed()) == tickets


def test_the_effect_goes_on_by_itself_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "TICKETS_A_RUN", 2)
    for _ in range(3):
        make_ticket("resolved")
    for _ in range(5):
        order_tick(effect=CLOSE_QUIET_TICKETS, now=WRITTEN_AT)
    do = effect_table(means())[CLOSE_QUIET_TICKETS]
    do([0])
    assert len(closed()) == 2, "the rest is for later: others have their turn"
    [token] = DueEffect.select().where(DueEffect.effect == CLOSE_QUIET_TICKETS)
    assert token.due_at == token.leased_until
    assert token.lease_owner is None
    DueEffect.update(leased_until=WRITTEN_AT, due_at=WRITTEN_AT).where(DueEffect.id == token.id).execute()
    do([0])
    assert len(closed()) == 3
    assert DueEffect.select().where(DueEffect.effect == CLOSE_QUIET_TICKETS).count() == 0


def test_the_quiet_are_found_by_their_index() -> None:
    for _ in range(5):
        make_ticket("closed")
    with counted_queries() as statements:
        close_at(THEN)
    [logged] = statements
    query, values = ast.literal_eval(logged)
    cursor = database.execute_sql(f"EXPLAIN {'QUERY PLAN ' if is_sqlite() else ''}{query}", values)
    plan = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    assert "status_updated" in str(plan)
    assert "filesort" not in str(plan)
    assert "TEMP B-TREE" not in str(plan)
