"""The life of a ticket over HTTP: each status and action, what is answered, stored and recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from falcon.testing import Result

from sav.models.tables import Agent, Event, Message, Ticket
from tests.factories.agents import make_agent
from tests.factories.messages import make_message
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api, Clock

OWNER, ASSIGNEE, OTHER_AGENT, INACTIVE_AGENT, ADMIN = 1, 7, 8, 6, 99
STATUSES = ("open", "assigned", "in_progress", "waiting_customer", "resolved", "closed")
ACTIONS = ("assign", "start", "wait", "resolve", "close", "customer_reply", "unassign")


@dataclass(frozen=True)
class Becomes:
    """The status after an action, who then has the ticket, and which facts were recorded."""

    status: str
    assigned_to: int | None
    events: tuple[str, ...]


GIVEN = ("ticket.assigned",)
MOVED = ("ticket.status_changed",)
RESOLVED = ("ticket.resolved",)
CLOSED = ("ticket.closed",)
SAID = ("ticket.message.new",)

# CONTRACT §3 by hand; a pair that is missing is a 409. The ticket is agent 7's unless it is open; staff's
# part is played by the admin, who assigns to agent 8.
TABLE: dict[tuple[str, str], Becomes] = {
    ("open", "assign"): Becomes("assigned", OTHER_AGENT, GIVEN),
    ("open", "resolve"): Becomes("resolved", ADMIN, GIVEN + RESOLVED),
    ("open", "close"): Becomes("closed", None, CLOSED),
    ("open", "customer_reply"): Becomes("open", None, SAID),
    ("assigned", "assign"): Becomes("assigned", OTHER_AGENT, GIVEN),
    ("assigned", "start"): Becomes("in_progress", ASSIGNEE, MOVED),
    ("assigned", "wait"): Becomes("waiting_customer", ASSIGNEE, MOVED),
    ("assigned", "resolve"): Becomes("resolved", ASSIGNEE, RESOLVED),
    ("assigned", "close"): Becomes("closed", ASSIGNEE, CLOSED),
    ("assigned", "customer_reply"): Becomes("assigned", ASSIGNEE, SAID),
    ("assigned", "unassign"): Becomes("open", None, MOVED),
    ("in_progress", "assign"): Becomes("assigned", OTHER_AGENT, GIVEN),
    ("in_progress", "wait"): Becomes("waiting_customer", ASSIGNEE, MOVED),
    ("in_progress", "resolve"): Becomes("resolved", ASSIGNEE, RESOLVED),
    ("in_progress", "close"): Becomes("closed", ASSIGNEE, CLOSED),
    ("in_progress", "customer_reply"): Becomes("in_progress", ASSIGNEE, SAID),
    ("in_progress", "unassign"): Becomes("open", None, MOVED),
    ("waiting_customer", "assign"): Becomes("assigned", OTHER_AGENT, GIVEN),
    ("waiting_customer", "start"): Becomes("in_progress", ASSIGNEE, MOVED),
    ("waiting_customer", "resolve"): Becomes("resolved", ASSIGNEE, RESOLVED),
    ("waiting_customer", "close"): Becomes("closed", ASSIGNEE, CLOSED),
    ("waiting_customer", "customer_reply"): Becomes("in_progress", ASSIGNEE, SAID + MOVED),
    ("waiting_customer", "unassign"): Becomes("open", None, MOVED),
    ("resolved", "close"): Becomes("closed", ASSIGNEE, CLOSED),
    ("resolved", "customer_reply"): Becomes("in_progress", ASSIGNEE, (*SAID, "ticket.reopened")),
}
CELLS = [
    pytest.param(status, action, TABLE.get((status, action)), id=f"{status}-{action}")
    for status in STATUSES
    for action in ACTIONS
]


def allowed(status: str) -> list[str]:
    return [action for action in ACTIONS if (status, action) in TABLE]


def act(api: Api, ticket_id: int, action: str) -> Result:
    """The action by its endpoint, or by `PUT` where it has none."""
    path, admin = f"/tickets/{ticket_id}", api.admin(ADMIN)
    roads: dict[str, Callable[[], Result]] = {
        "assign": lambda: admin.post(f"{path}/assign", {"agent_id": OTHER_AGENT}),
        "start": lambda: admin.put(path, {"status": "in_progress"}),
        "wait": lambda: admin.put(path, {"status": "waiting_customer"}),
        "resolve": lambda: admin.post(f"{path}/resolve", {"resolution": "Sent again."}),
        "close": lambda: admin.post(f"{path}/close", {"reason": "No answer."}),
        "customer_reply": lambda: api.customer(OWNER).post(f"{path}/messages", {"content": "Well?"}),
        "unassign": lambda: admin.put(path, {"status": "open"}),
    }
    return roads[action]()


def stored(ticket_id: int) -> Ticket:
    ticket: Ticket = Ticket.get_by_id(ticket_id)
    return ticket


def history(ticket_id: int) -> list[Event]:
    return list(Event.select().where(Event.ticket_id == ticket_id).order_by(Event.sequence))


def names(ticket_id: int) -> tuple[str, ...]:
    return tuple(event.name for event in history(ticket_id))


def state(ticket_id: int) -> tuple[Any, ...]:
    """All that a refused action must leave alone."""
    return (
        list(Ticket.select().where(Ticket.id == ticket_id).tuples()),
        list(Event.select().where(Event.ticket_id == ticket_id).tuples()),
        list(Message.select().where(Message.ticket_id == ticket_id).tuples()),
        list(Agent.select().order_by(Agent.user_id).tuples()),
    )


@pytest.fixture(autouse=True)
def _agents(empty_database: dict[str, str]) -> None:
    make_agent(ASSIGNEE)
    make_agent(OTHER_AGENT)
    make_agent(INACTIVE_AGENT, active=False)


def check_changed(answer: Result, ticket_id: int, expected: Becomes, clock: Clock) -> None:
    row = stored(ticket_id)
    assert answer.status_code in (200, 201), answer.text
    if "ticket_number" in answer.json:
        assert answer.json["status"] == expected.status
        assert answer.json["version"] == row.version
        revision = row.revision(internal="internal_notes" in answer.json)
        assert answer.headers["ETag"] == f'"{revision}"'
    assert (row.status, row.assigned_to) == (expected.status, expected.assigned_to)
    assert row.version == 2
    assert row.updated_at == clock.now
    assert names(ticket_id) == expected.events
    assert [event.sequence for event in history(ticket_id)] == list(range(1, len(expected.events) + 1))
    assert row.event_count == len(expected.events)
    assert row.closed_at == (clock.now if expected.status == "closed" else None)


@pytest.mark.parametrize(("status", "action", "expected"), CELLS)
def test_every_status_and_action(
    api: Api, clock: Clock, status: Any, action: str, expected: Becomes | None
) -> None:
    ticket_id = make_ticket(status).id
    before, resolved_at = state(ticket_id), stored(ticket_id).resolved_at
    clock.forward(minutes=10)

    answer = act(api, ticket_id, action)

    if expected is not None:
        check_changed(answer, ticket_id, expected, clock)
        # Reopening clears the time of the resolution; closing keeps it, because the statistics need it.
        kept = {"resolved": clock.now, "closed": resolved_at}
        assert stored(ticket_id).resolved_at == kept.get(expected.status)
        return
    assert answer.status_code == 409
    assert state(ticket_id) == before
    if action == "customer_reply":
        assert answer.json["code"] == "ticket_closed"
    else:
        assert answer.json["code"] == "invalid_transition"
        assert answer.json["allowed"] == allowed(status)
        assert status in answer.json["detail"]


# What `PUT {"status": …}` means: the same table. To "assign" without a name keeps whoever has the ticket.
BY_NAME = {
    "open": "unassign",
    "assigned": "assign",
    "in_progress": "start",
    "waiting_customer": "wait",
    "resolved": "resolve",
    "closed": "close",
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("wanted", BY_NAME)
def test_the_status_by_name_is_the_same_table(api: Api, clock: Clock, status: Any, wanted: str) -> None:
    for method in ("PUT", "PATCH"):
        ticket_id = make_ticket(status).id
        before = state(ticket_id)
        expected = TABLE.get((status, BY_NAME[wanted]))
        clock.forward(minutes=10)
        # The assignee himself; to an open ticket he is any agent.
        answer = api.agent(ASSIGNEE).call(method, f"/tickets/{ticket_id}", {"status": wanted})

        if expected is None:
            assert answer.status_code == 409
            assert (answer.json["code"], answer.json["allowed"]) == ("invalid_transition", allowed(status))
            assert state(ticket_id) == before
        elif wanted == "assigned" and status != "open":
            assert (answer.status_code, answer.json["status"]) == (200, status)
            assert state(ticket_id) == before
        else:
            assert (answer.status_code, answer.json["status"]) == (200, expected.status)
            row, taken = stored(ticket_id), status == "open" and wanted in ("assigned", "resolved")
            assert row.status == expected.status
            assert row.assigned_to == (ASSIGNEE if taken else expected.assigned_to)
            assert names(ticket_id) == expected.events
            assert (row.resolved_at is not None) == ("resolved" in (status, wanted))
            assert (row.closed_at is not None) == (wanted == "closed")


def test_an_admin_is_no_agent_to_give_a_ticket_to_by_status(api: Api) -> None:
    ticket_id = make_ticket("open").id
    before = state(ticket_id)
    answer = api.admin(ADMIN).put(f"/tickets/{ticket_id}", {"status": "assigned"})
    assert (answer.status_code, answer.json["code"]) == (422, "not_an_active_agent")
    assert state(ticket_id) == before


def test_a_refused_status_takes_the_other_fields_with_it(api: Api) -> None:
    ticket_id = make_ticket("resolved").id
    before = state(ticket_id)
    answer = api.admin().put(f"/tickets/{ticket_id}", {"subject": "Other", "status": "in_progress"})
    assert answer.status_code == 409
    assert state(ticket_id) == before


def test_fields_and_status_together_are_one_version_and_two_facts(api: Api) -> None:
    ticket_id = make_ticket("assigned").id
    api.admin().put(f"/tickets/{ticket_id}", {"priority": "high", "status": "in_progress"})
    row = stored(ticket_id)
    assert (row.priority, row.status, row.version) == ("high", "in_progress", 2)
    updated, moved = history(ticket_id)
    assert updated.changes == {"priority": {"from": "normal", "to": "high"}}
    assert moved.changes == {"status": {"from": "assigned", "to": "in_progress"}}


# --- Assigning --------------------------------------------------------------------------------------------


def test_the_history_says_who_gave_the_ticket_to_whom(api: Api) -> None:
    ticket_id = make_ticket("in_progress").id
    api.admin(ADMIN).post(f"/tickets/{ticket_id}/assign", {"agent_id": OTHER_AGENT})
    (event,) = history(ticket_id)
    assert event.data == {
        "ticket_id": ticket_id,
        "ticket_number": stored(ticket_id).ticket_number,
        "user_id": OWNER,
        "agent_id": OTHER_AGENT,
        "previous_agent_id": ASSIGNEE,
        "assigned_by": ADMIN,
        "reason": "manual",
    }
    assert event.changes == {
        "status": {"from": "in_progress", "to": "assigned"},
        "assigned_to": {"from": ASSIGNEE, "to": OTHER_AGENT},
    }


@pytest.mark.parametrize("status", ["assigned", "in_progress", "waiting_customer"])
def test_the_same_agent_again_changes_nothing(api: Api, clock: Clock, status: Any) -> None:
    ticket = make_ticket(status)
    before = state(ticket.id)
    clock.forward(minutes=1)
    answer = api.admin().post(f"/tickets/{ticket.id}/assign", {"agent_id": ASSIGNEE})
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["version"]) == (status, 1)
    assert state(ticket.id) == before


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_the_same_agent_is_no_way_around_the_table(api: Api, status: Any) -> None:
    ticket_id = make_ticket(status).id
    answer = api.admin().post(f"/tickets/{ticket_id}/assign", {"agent_id": ASSIGNEE})
    assert (answer.status_code, answer.json["code"]) == (409, "invalid_transition")


@pytest.mark.parametrize("agent_id", [INACTIVE_AGENT, 12345, ADMIN, OWNER])
@pytest.mark.parametrize("status", ["open", "assigned"])
def test_only_active_agents_of_the_roster_get_tickets(api: Api, agent_id: int, status: Any) -> None:
    ticket_id = make_ticket(status).id
    before = state(ticket_id)
    answer = api.admin(ADMIN).post(f"/tickets/{ticket_id}/assign", {"agent_id": agent_id})
    assert (answer.status_code, answer.json["code"]) == (422, "not_an_active_agent")
    assert [problem["field"] for problem in answer.json["errors"]] == ["agent_id"]
    assert state(ticket_id) == before


def test_an_agent_who_is_not_available_can_still_be_given_a_ticket(api: Api, clock: Clock) -> None:
    ticket_id = make_ticket("open").id
    assert not Agent.get_by_id(OTHER_AGENT).available
    assert act(api, ticket_id, "assign").status_code == 200
    assert Agent.get_by_id(OTHER_AGENT).last_assigned_at == clock.now


def test_a_ticket_that_is_given_away_is_out_of_sight(api: Api) -> None:
    ticket_id = make_ticket("assigned").id
    answer = api.agent(ASSIGNEE).post(f"/tickets/{ticket_id}/assign", {"agent_id": OTHER_AGENT})
    assert answer.json["assigned_to"] == OTHER_AGENT
    assert api.agent(ASSIGNEE).get(f"/tickets/{ticket_id}").status_code == 404
    assert api.agent(OTHER_AGENT).get(f"/tickets/{ticket_id}").status_code == 200


# --- Resolving, closing, reopening ------------------------------------------------------------------------


def test_resolving_an_open_ticket_takes_it_first(api: Api, clock: Clock) -> None:
    ticket_id = make_ticket("open").id
    clock.forward(minutes=90)
    answer = api.agent(OTHER_AGENT).post(f"/tickets/{ticket_id}/resolve", {"resolution": "Sent again."})
    assert (answer.json["assigned_to"], answer.json["resolution_notes"]) == (OTHER_AGENT, "Sent again.")
    assigned, resolved = history(ticket_id)
    assert (assigned.name, assigned.published_sequence) == ("ticket.assigned", 1)
    assert (assigned.data["agent_id"], assigned.data["previous_agent_id"]) == (OTHER_AGENT, None)
    assert (resolved.name, resolved.published_sequence) == ("ticket.resolved", 2)
    assert (resolved.data["agent_id"], resolved.data["resolution_seconds"]) == (OTHER_AGENT, 5400)
    assert assigned.changes["status"] == {"from": "open", "to": "assigned"}
    assert resolved.changes["status"] == {"from": "assigned", "to": "resolved"}


def test_the_resolution_is_required_and_no_part_of_the_event(api: Api) -> None:
    ticket_id = make_ticket("assigned").id
    for body in ({}, {"resolution": ""}, {"resolution": "   "}, {"resolution": "x" * 20_001}):
        assert api.admin().post(f"/tickets/{ticket_id}/resolve", body).status_code == 422
    assert api.admin().post(f"/tickets/{ticket_id}/resolve", {"resolution": "x" * 20_000}).status_code == 200
    (event,) = history(ticket_id)
    assert set(event.data) == {
        "ticket_id", "ticket_number", "user_id", "agent_id", "resolution_seconds",
    }  # fmt: skip


@pytest.mark.parametrize("body", [None, {}, {"reason": "It came."}, {"reason": None}])
def test_a_reason_to_close_may_be_given(api: Api, body: Any) -> None:
    ticket_id = make_ticket("assigned").id
    answer = api.customer(OWNER).post(f"/tickets/{ticket_id}/close", body)
    assert answer.status_code == 200
    (event,) = history(ticket_id)
    assert (event.data["closed_by"], event.data["reason"]) == (OWNER, (body or {}).get("reason"))


def test_the_customers_word_reopens_a_resolved_ticket(api: Api, clock: Clock) -> None:
    ticket_id = make_ticket("resolved").id
    for times in (1, 2):
        clock.forward(minutes=5)
        assert act(api, ticket_id, "customer_reply").status_code == 201
        row = stored(ticket_id)
        assert (row.status, row.assigned_to, row.resolved_at) == ("in_progress", ASSIGNEE, None)
        assert row.reopen_count == times
        reopened = history(ticket_id)[-1]
        assert reopened.name == "ticket.reopened"
        assert reopened.published_sequence is None
        assert set(reopened.changes) == {"status", "resolved_at", "reopen_count"}
        assert reopened.changes["reopen_count"] == {"from": times - 1, "to": times}
        act(api, ticket_id, "resolve")


def test_without_an_assignee_it_reopens_to_the_desk(api: Api) -> None:
    ticket_id = make_ticket("resolved", assigned_to=None).id
    act(api, ticket_id, "customer_reply")
    row = stored(ticket_id)
    assert (row.status, row.assigned_to, row.reopen_count) == ("open", None, 1)
    assert row.resolved_at is None


@pytest.mark.parametrize("is_internal", [False, True])
def test_staffs_words_reopen_nothing(api: Api, is_internal: bool) -> None:
    ticket_id = make_ticket("resolved").id
    body = {"content": "One more thing.", "is_internal": is_internal}
    assert api.agent(ASSIGNEE).post(f"/tickets/{ticket_id}/messages", body).status_code == 201
    assert (stored(ticket_id).status, stored(ticket_id).reopen_count) == ("resolved", 0)


# --- Staff's first word -----------------------------------------------------------------------------------


def test_staffs_first_public_reply_starts_the_work(api: Api, clock: Clock) -> None:
    ticket_id = make_ticket("assigned").id
    thread, first = f"/tickets/{ticket_id}/messages", clock.now
    api.agent(ASSIGNEE).post(thread, {"content": "Looking."})
    assert (stored(ticket_id).status, stored(ticket_id).first_response_at) == ("in_progress", first)
    assert names(ticket_id) == SAID + MOVED
    clock.forward(minutes=5)
    api.agent(ASSIGNEE).post(thread, {"content": "Found it."})
    assert stored(ticket_id).first_response_at == first
    assert names(ticket_id) == SAID + MOVED + SAID


@pytest.mark.parametrize("status", ["open", "in_progress", "waiting_customer", "resolved"])
def test_elsewhere_it_answers_without_moving(api: Api, clock: Clock, status: Any) -> None:
    ticket_id = make_ticket(status).id
    api.admin().post(f"/tickets/{ticket_id}/messages", {"content": "Looking."})
    assert (stored(ticket_id).status, stored(ticket_id).first_response_at) == (status, clock.now)
    assert names(ticket_id) == SAID


def test_neither_a_note_nor_the_customer_is_a_first_response(api: Api) -> None:
    ticket_id = make_ticket("assigned").id
    thread = f"/tickets/{ticket_id}/messages"
    api.agent(ASSIGNEE).post(thread, {"content": "Hm.", "is_internal": True})
    api.customer(OWNER).post(thread, {"content": "Well?"})
    assert (stored(ticket_id).status, stored(ticket_id).first_response_at) == ("assigned", None)
    assert names(ticket_id) == ("ticket.note.added", "ticket.message.new")


def test_an_agent_is_the_customer_of_his_own_ticket(api: Api) -> None:
    ticket_id = make_ticket("assigned", user_id=OTHER_AGENT, assigned_to=OTHER_AGENT).id
    answer = api.agent(OTHER_AGENT).post(f"/tickets/{ticket_id}/messages", {"content": "Well?"})
    assert answer.json["author_role"] == "customer"
    assert (stored(ticket_id).status, stored(ticket_id).first_response_at) == ("assigned", None)


# --- Satisfaction -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, "ticket_not_settled") for status in STATUSES[:4]),
        ("resolved", None),
        ("closed", None),
    ],
)
def test_the_owner_rates_what_is_settled_once(api: Api, status: Any, code: str | None) -> None:
    ticket_id = make_ticket(status).id
    path, owner = f"/tickets/{ticket_id}/satisfaction", api.customer(OWNER)
    answer = owner.post(path, {"rating": 4, "comment": "Quick."})
    if code:
        assert (answer.status_code, answer.json["code"]) == (409, code)
        assert names(ticket_id) == ()
        return
    assert (answer.json["satisfaction_rating"], answer.json["satisfaction_comment"]) == (4, "Quick.")
    again = owner.post(path, {"rating": 5})
    assert (again.status_code, again.json["code"]) == (409, "already_rated")
    assert stored(ticket_id).satisfaction_rating == 4
    (event,) = history(ticket_id)
    assert (event.name, event.data["rating"]) == ("ticket.satisfaction.received", 4)
    assert "Quick." not in str(event.data)


def test_a_rating_is_a_whole_number_from_1_to_5(api: Api) -> None:
    ticket_id = make_ticket("closed").id
    for rating in (0, 6, -1, 2.5, "5", True, None):
        answer = api.customer(OWNER).post(f"/tickets/{ticket_id}/satisfaction", {"rating": rating})
        assert answer.status_code == 422, rating
        assert [problem["field"] for problem in answer.json["errors"]] == ["rating"]
    assert stored(ticket_id).satisfaction_rating is None
    for rating in range(1, 6):
        ticket_id = make_ticket("resolved").id
        answer = api.customer(OWNER).post(f"/tickets/{ticket_id}/satisfaction", {"rating": rating})
        assert answer.status_code == 200
        assert stored(ticket_id).satisfaction_rating == rating


# --- Correcting messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "author_role"), [(OWNER, "customer"), (ASSIGNEE, "agent")])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("seconds", "in_time"), [(0, True), (15 * 60, True), (15 * 60 + 1, False)])
def test_an_author_has_fifteen_minutes(
    api: Api, clock: Clock, who: int, author_role: Any, method: str, seconds: int, in_time: bool
) -> None:
    ticket = make_ticket("assigned")
    message = make_message(ticket, user_id=who, author_role=author_role)
    clock.forward(seconds=seconds)
    body = None if method == "DELETE" else {"content": "Corrected."}
    path = f"/tickets/{ticket.id}/messages/{message.id}"
    answer = api.as_caller(author_role, who).call(method, path, body)
    row = Message.get_by_id(message.id)
    if in_time:
        assert answer.status_code == 200
        assert row.version == 2
        assert (row.deleted_at == clock.now) if method == "DELETE" else (row.content == "Corrected.")
        expected = "ticket.message.deleted" if method == "DELETE" else "ticket.message.edited"
        assert names(ticket.id) == (expected,)
    else:
        assert (answer.status_code, answer.json["code"]) == (409, "edit_window_closed")
        assert (row.version, row.content, row.deleted_at) == (1, "Any news?", None)
        assert names(ticket.id) == ()


def test_an_admin_has_all_the_time(api: Api, clock: Clock) -> None:
    ticket = make_ticket("assigned")
    message = make_message(ticket)
    clock.forward(days=400)
    path = f"/tickets/{ticket.id}/messages/{message.id}"
    assert api.admin().put(path, {"content": "[removed]"}).json["content"] == "[removed]"
    assert api.admin().delete(path).status_code == 200
    assert api.admin().get(path).status_code == 404
    assert api.customer(OWNER).get(f"/tickets/{ticket.id}/messages").json["data"] == []


def test_editing_does_not_begin_the_fifteen_minutes_again(api: Api, clock: Clock) -> None:
    ticket = make_ticket("assigned")
    path = f"/tickets/{ticket.id}/messages/{make_message(ticket).id}"
    clock.forward(minutes=14)
    assert api.customer(OWNER).put(path, {"content": "Once."}).status_code == 200
    clock.forward(minutes=2)
    assert api.customer(OWNER).put(path, {"content": "Twice."}).status_code == 409


def test_the_same_text_again_is_no_change(api: Api) -> None:
    ticket = make_ticket("assigned")
    message = make_message(ticket)
    path = f"/tickets/{ticket.id}/messages/{message.id}"
    answer = api.customer(OWNER).put(path, {"content": message.content})
    assert (answer.status_code, answer.json["version"]) == (200, 1)
    assert names(ticket.id) == ()


@pytest.mark.parametrize("was", [True, False])
def test_whether_it_is_internal_never_changes(api: Api, was: bool) -> None:
    ticket = make_ticket("assigned")
    message = make_message(ticket, user_id=ASSIGNEE, author_role="agent", is_internal=was)
    path = f"/tickets/{ticket.id}/messages/{message.id}"
    for caller, method, wanted in product(
        (api.agent(ASSIGNEE), api.admin()), ("PUT", "PATCH"), (True, False)
    ):
        answer = caller.call(method, path, {"content": "Corrected.", "is_internal": wanted})
        assert answer.status_code == 422
        assert [problem["field"] for problem in answer.json["errors"]] == ["is_internal"]
    row = Message.get_by_id(message.id)
    assert (bool(row.is_internal), row.content, row.version) == (was, "Any news?", 1)


# --- From beginning to end --------------------------------------------------------------------------------


def test_a_whole_life_is_one_history(api: Api, clock: Clock) -> None:
    ticket_id = api.customer(OWNER).opened()["id"]
    for action in (
        "assign",
        "start",
        "wait",
        "customer_reply",
        "resolve",
        "customer_reply",
        "resolve",
        "close",
    ):
        clock.forward(minutes=1)
        assert act(api, ticket_id, action).status_code in (200, 201), action
    told = history(ticket_id)
    assert [event.name for event in told] == [
        "ticket.created",
        "ticket.assigned",
        "ticket.status_changed",
        "ticket.status_changed",
        "ticket.message.new",
        "ticket.status_changed",
        "ticket.resolved",
        "ticket.message.new",
        "ticket.reopened",
        "ticket.resolved",
        "ticket.closed",
    ]
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    published = [event.published_sequence for event in told if event.published_sequence is not None]
    assert published == list(range(1, 8))
    assert stored(ticket_id).version == 1 + 8
    shown = api.admin().get(f"/tickets/{ticket_id}/history").json["data"]
    assert [line["event"] for line in shown] == [event.name for event in told]
    assert all(datetime.fromisoformat(line["occurred_at"]).tzinfo for line in shown)
    assert [line["actor_id"] for line in shown[:2]] == [OWNER, ADMIN]
