"""Urgent tickets that nobody answers escalate: once a deadline, in time, and never after an answer."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from sav.domain.effects import ESCALATE_TICKET
from sav.models.tables import DueEffect, Event, Ticket
from sav.operations import escalate_ticket as escalation
from sav.operations.assign_open_tickets import AssignmentRules
from sav.operations.due_effects import forget_leases, take_due_hints
from sav.operations.effect_claims import claim_effects
from sav.operations.escalate_ticket import EscalationRules, escalate_ticket, owe_missed_escalations
from sav.operations.hints import Hint
from sav.queries.overdue_effects import overdue_effects
from sav.queries.pipeline_health import pipeline_health
from tests.actors.threads import at_the_same_time
from tests.factories.agents import make_agent
from tests.factories.messages import make_message
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.plugins.desk import Api, Clock

pytestmark = pytest.mark.usefixtures("empty_database")

TIMEOUT = timedelta(hours=2)
SECOND = timedelta(seconds=1)
ASSIGNMENT = AssignmentRules()


def work(ticket_id: int, now: datetime, **changed: Any) -> None:
    """A worker who is hinted at the ticket, at this time."""
    rules = EscalationRules(**{"timeout": TIMEOUT, "reassign": True, "assignment": ASSIGNMENT, **changed})
    for claim in claim_effects(effect=ESCALATE_TICKET, ticket_ids=[ticket_id], owner="me", now=now, limit=20):
        escalate_ticket(claim=claim, rules=rules, now=now)


def tokens(ticket_id: int) -> list[DueEffect]:
    query = DueEffect.select().where(DueEffect.ticket_id == ticket_id, DueEffect.effect == ESCALATE_TICKET)
    return list(query.order_by(DueEffect.sequence))


def escalations(ticket_id: int) -> list[Event]:
    query = Event.select().where(Event.ticket_id == ticket_id, Event.name == "ticket.escalated")
    return list(query.order_by(Event.sequence))


@pytest.fixture
def urgent(api: Api) -> int:
    """A ticket that was opened as urgent."""
    ticket_id: int = api.customer().opened(priority="urgent")["id"]
    return ticket_id


def test_a_deadline_is_a_token_that_waits_and_an_escalation_when_it_has_come(
    urgent: int, clock: Clock
) -> None:
    work(urgent, clock.now)
    [token] = tokens(urgent)
    deadline = clock.now + TIMEOUT
    assert (token.due_at, token.leased_until, token.lease_owner) == (deadline, deadline, None)
    work(urgent, deadline - SECOND)
    assert escalations(urgent) == []

    with capture_logs() as logs:
        work(urgent, deadline)
    [event] = escalations(urgent)
    told = {name: event.data[name] for name in ("priority", "reason", "waited_seconds")}
    assert told == {"priority": "urgent", "reason": "no_first_response", "waited_seconds": 7200}
    assert (event.actor_role, event.published_sequence) == ("system", 2)
    ticket = Ticket.get_by_id(urgent)
    assert (ticket.escalated_at, ticket.status) == (deadline, "open")
    assert tokens(urgent) == []
    [line] = [line for line in logs if line.get("action") == "ticket.escalated"]
    assert (line["ticket_id"], line["actor_role"]) == (urgent, "system")


def test_a_worker_who_comes_late_escalates_at_once(urgent: int, clock: Clock) -> None:
    work(urgent, clock.now + timedelta(hours=5))
    [event] = escalations(urgent)
    assert event.data["waited_seconds"] == 5 * 3600


@pytest.mark.parametrize("priority", ["low", "normal", "high"])
def test_other_priorities_have_no_deadline(api: Api, priority: str) -> None:
    ticket_id = api.customer().opened(priority=priority)["id"]
    assert tokens(ticket_id) == []
    assert Ticket.get_by_id(ticket_id).unanswered_since is None


Answer = Callable[[Api, str], Any]
ANSWERS: dict[str, Answer] = {
    "a public reply": lambda api, path: api.admin().post(f"{path}/messages", {"content": "We look."}),
    "a lower priority": lambda api, path: api.admin().put(path, {"priority": "high"}),
    "the closing": lambda api, path: api.customer().post(f"{path}/close"),
    "the resolution": lambda api, path: api.admin().post(f"{path}/resolve", {"resolution": "Sent."}),
    "the deletion": lambda api, path: api.admin().delete(path),
}
NO_ANSWERS: dict[str, Answer] = {
    "a note": lambda api, path: api.admin().post(f"{path}/messages", {"content": "Hm.", "is_internal": True}),
    "the customer": lambda api, path: api.customer().post(f"{path}/messages", {"content": "Well?"}),
    "the status": lambda api, path: api.admin().post(f"{path}/assign", {"agent_id": 7}),
    "urgent as before": lambda api, path: api.admin().put(path, {"priority": "urgent", "subject": "New"}),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_after_this_nothing_escalates(api: Api, urgent: int, clock: Clock, what: str) -> None:
    assert ANSWERS[what](api, f"/tickets/{urgent}").status_code < 300
    work(urgent, clock.now + TIMEOUT)
    assert escalations(urgent) == []
    assert tokens(urgent) == []


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_this_is_no_answer(api: Api, urgent: int, clock: Clock, what: str) -> None:
    make_agent(7, available=True)
    clock.forward(hours=1)
    assert NO_ANSWERS[what](api, f"/tickets/{urgent}").status_code < 300
    work(urgent, clock.now + timedelta(hours=1))
    assert len(escalations(urgent)) == 1


def test_made_urgent_later_counts_from_then_whatever_was_answered_before(api: Api, clock: Clock) -> None:
    ticket_id = api.customer().opened()["id"]
    api.admin().post(f"/tickets/{ticket_id}/messages", {"content": "We look."})
    clock.forward(hours=10)
    api.admin().put(f"/tickets/{ticket_id}", {"priority": "urgent"})
    work(ticket_id, clock.now + TIMEOUT - SECOND)
    assert escalations(ticket_id) == []
    work(ticket_id, clock.now + TIMEOUT)
    [event] = escalations(ticket_id)
    assert (event.data["reason"], event.data["waited_seconds"]) == ("no_response_since_urgent", 7200)


def test_each_deadline_escalates_once_and_a_new_one_arms_again(api: Api, urgent: int, clock: Clock) -> None:
    clock.forward(hours=2)
    work(urgent, clock.now)
    work(urgent, clock.now + timedelta(days=1))
    assert len(escalations(urgent)) == 1

    api.admin().put(f"/tickets/{urgent}", {"priority": "low"})
    clock.forward(hours=1)
    api.admin().put(f"/tickets/{urgent}", {"priority": "urgent"})
    work(urgent, clock.now + TIMEOUT - SECOND)
    assert len(escalations(urgent)) == 1
    clock.forward(hours=2)
    work(urgent, clock.now)
    assert len(escalations(urgent)) == 2
    assert Ticket.get_by_id(urgent).escalated_at == clock.now


def test_lowered_and_raised_again_it_waits_anew(api: Api, urgent: int, clock: Clock) -> None:
    start = clock.now
    clock.forward(hours=1)
    api.admin().put(f"/tickets/{urgent}", {"priority": "high"})
    api.admin().put(f"/tickets/{urgent}", {"priority": "urgent"})
    assert len(tokens(urgent)) == 2
    work(urgent, start + TIMEOUT)
    assert escalations(urgent) == []
    work(urgent, start + timedelta(hours=3))
    assert len(escalations(urgent)) == 1
    assert tokens(urgent) == []


def test_resolved_without_an_answer_and_reopened_it_waits_anew(api: Api, urgent: int, clock: Clock) -> None:
    clock.forward(hours=1)
    api.admin().post(f"/tickets/{urgent}/resolve", {"resolution": "Sent."})
    clock.forward(hours=5)
    work(urgent, clock.now)
    api.customer().post(f"/tickets/{urgent}/messages", {"content": "No!"})
    work(urgent, clock.now + TIMEOUT - SECOND)
    assert escalations(urgent) == []
    work(urgent, clock.now + TIMEOUT)
    assert len(escalations(urgent)) == 1


def test_reopened_after_an_answer_it_has_no_deadline(api: Api, urgent: int, clock: Clock) -> None:
    api.admin().post(f"/tickets/{urgent}/messages", {"content": "We look."})
    api.admin().post(f"/tickets/{urgent}/resolve", {"resolution": "Sent."})
    api.customer().post(f"/tickets/{urgent}/messages", {"content": "No!"})
    work(urgent, clock.now + timedelta(days=3))
    assert (escalations(urgent), tokens(urgent)) == ([], [])


def test_an_answer_and_the_escalation_in_the_same_instant(api: Api, clock: Clock) -> None:
    for _ in range(6):
        ticket_id = api.customer().opened(priority="urgent")["id"]
        at_the_same_time(
            partial(api.admin().post, f"/tickets/{ticket_id}/messages", {"content": "We look."}),
            partial(work, ticket_id, clock.now + TIMEOUT),
        )
        names = [
            event.name
            for event in Event.select().where(Event.ticket_id == ticket_id).order_by(Event.sequence)
        ]
        assert names in (
            ["ticket.created", "ticket.message.new"],
            ["ticket.created", "ticket.escalated", "ticket.message.new"],
        )
        assert tokens(ticket_id) == []


def test_many_workers_with_many_tokens_escalate_once(urgent: int, clock: Clock) -> None:
    owe_missed_escalations(timeout=TIMEOUT, now=clock.now + TIMEOUT)
    assert len(tokens(urgent)) == 2
    at_the_same_time(*[partial(work, urgent, clock.now + TIMEOUT)] * 4)
    assert len(escalations(urgent)) == 1
    assert tokens(urgent) == []


# --- Somebody else ------------------------------------------------------------------------------------


def escalated_in_the_hands_of(agent: dict[str, Any], clock: Clock, api: Api, **changed: Any) -> Ticket:
    make_agent(7, **agent)
    make_agent(8, available=True)
    ticket_id = api.customer().opened(priority="urgent", category="billing")["id"]
    api.admin().post(f"/tickets/{ticket_id}/assign", {"agent_id": 7}) if agent.get("active", True) else (
        Ticket.update(status="assigned", assigned_to=7).where(Ticket.id == ticket_id).execute()
    )
    work(ticket_id, clock.now + TIMEOUT, **changed)
    assert len(escalations(ticket_id)) == 1
    ticket: Ticket = Ticket.get_by_id(ticket_id)
    return ticket


@pytest.mark.parametrize("away", [{"available": False}, {"available": True, "active": False}])
def test_a_ticket_of_somebody_who_is_away_goes_to_somebody_who_is_there(
    api: Api, clock: Clock, away: dict[str, Any]
) -> None:
    ticket = escalated_in_the_hands_of(away, clock, api)
    assert (ticket.assigned_to, ticket.status) == (8, "assigned")
    event = Event.get(Event.ticket_id == ticket.id, Event.sequence == ticket.event_count)
    assert (event.name, event.data["previous_agent_id"]) == ("ticket.assigned", 7)
    assert (event.data["assigned_by"], event.data["reason"]) == ("auto", "escalated")


def test_a_ticket_of_somebody_who_is_there_stays_theirs(api: Api, clock: Clock) -> None:
    assert escalated_in_the_hands_of({"available": True, "capacity": 0}, clock, api).assigned_to == 7


@pytest.mark.parametrize(
    "changed",
    [
        {"reassign": False},
        {"assignment": AssignmentRules(enabled=False)},
        {"assignment": AssignmentRules(except_categories=frozenset({"billing"}))},
    ],
)
def test_the_desk_gives_it_to_nobody_else_where_it_is_told_not_to(
    api: Api, clock: Clock, changed: dict[str, Any]
) -> None:
    assert escalated_in_the_hands_of({"available": False}, clock, api, **changed).assigned_to == 7


# --- The net ------------------------------------------------------------------------------------------


def test_the_watch_finds_what_nothing_reminds_of(urgent: int, clock: Clock, api: Api) -> None:
    DueEffect.delete().execute()
    assert owe_missed_escalations(timeout=TIMEOUT, now=clock.now + TIMEOUT - SECOND) == 0
    assert owe_missed_escalations(timeout=TIMEOUT, now=clock.now + TIMEOUT) == 1
    assert owe_missed_escalations(timeout=TIMEOUT, now=clock.now + TIMEOUT) == 0
    assert take_due_hints(now=clock.now + TIMEOUT) == [Hint(ESCALATE_TICKET, urgent)]
    work(urgent, clock.now + TIMEOUT)
    assert len(escalations(urgent)) == 1
    assert owe_missed_escalations(timeout=TIMEOUT, now=clock.now + timedelta(days=9)) == 0


def test_the_watch_goes_on_until_nothing_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation, "TICKETS_A_BATCH", 2)
    late = [make_ticket(priority="urgent", unanswered_since=WRITTEN_AT).id for _ in range(5)]
    make_ticket("resolved", priority="urgent", unanswered_since=WRITTEN_AT)
    make_ticket(priority="urgent", unanswered_since=WRITTEN_AT, deleted_at=WRITTEN_AT)
    make_ticket(priority="urgent")
    assert owe_missed_escalations(timeout=TIMEOUT, now=WRITTEN_AT + TIMEOUT) == 5
    assert sorted(token.ticket_id for token in DueEffect.select()) == late


# --- The token among others ----------------------------------------------------------------------------


def test_a_deadline_to_come_is_neither_owed_nor_late_nor_made_due_by_a_restart(
    urgent: int, clock: Clock
) -> None:
    work(urgent, clock.now)
    DueEffect.delete().where(DueEffect.effect != ESCALATE_TICKET).execute()
    soon, deadline = clock.now + timedelta(hours=1), clock.now + TIMEOUT
    assert pipeline_health(now=soon).owed == 0
    assert overdue_effects(now=soon).due_seconds == 0.0
    assert take_due_hints(now=soon) == []
    # What `sav up` does when it starts after a kill.
    forget_leases(now=soon)
    assert take_due_hints(now=soon) == []
    assert take_due_hints(now=deadline - SECOND) == []

    health = pipeline_health(now=deadline + 3 * SECOND).effects[ESCALATE_TICKET]
    assert (health.owed, health.oldest_owed_seconds) == (1, 3.0)
    assert take_due_hints(now=deadline) == [Hint(ESCALATE_TICKET, urgent)]


def test_messages_of_others_do_not_matter() -> None:
    ticket = make_ticket(priority="urgent", unanswered_since=WRITTEN_AT)
    make_message(ticket)
    assert owe_missed_escalations(timeout=TIMEOUT, now=WRITTEN_AT + TIMEOUT) == 1
