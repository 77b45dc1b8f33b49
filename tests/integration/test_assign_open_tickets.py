"""The desk gives out open tickets: in order, to those who have room, and never more than they can hold."""

from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import peewee
import pytest
from structlog.testing import capture_logs

from sav.actors.effects import effect_table
from sav.domain.effects import ASSIGN_TICKETS, PUBLISH_EVENT
from sav.models.database import database, is_sqlite
from sav.models.tables import Agent, DueEffect, Event, Ticket
from sav.operations import assign_open_tickets as assignment
from sav.operations import hints
from sav.operations.assign_open_tickets import AssignmentRules, assign_open_tickets
from sav.operations.assign_ticket import assign_ticket
from sav.operations.hints import Hint
from tests.actors.owed import means
from tests.actors.threads import at_the_same_time
from tests.factories.agents import make_agent
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.plugins.desk import Api, Clock, counted_queries, occasion

pytestmark = pytest.mark.usefixtures("empty_database")

RULES = AssignmentRules()
WORKERS = 6


class Ticking:
    """A clock that is a second later each time it is read."""

    def __init__(self) -> None:
        self.now = WRITTEN_AT

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def drain(rules: AssignmentRules = RULES) -> bool:
    return assign_open_tickets(rules=rules, clock=Ticking())


def free_agents(*user_ids: int, **fields: Any) -> None:
    for user_id in user_ids:
        make_agent(user_id, **{"available": True, "capacity": 4, **fields})


def in_hand() -> Counter[int]:
    return Counter(ticket.assigned_to for ticket in Ticket.select().where(Ticket.assigned_to.is_null(False)))


def given_out() -> list[int]:
    """The tickets that the desk has assigned, in that order."""
    query = Event.select().where(Event.name == "ticket.assigned").order_by(Event.id)
    return [event.ticket_id for event in query]


def assignment_tokens() -> int:
    return DueEffect.select().where(DueEffect.effect == ASSIGN_TICKETS).count()


def test_a_ticket_goes_to_the_least_loaded_and_the_history_says_why(api: Api) -> None:
    free_agents(7, 8)
    make_agent(9)
    make_ticket("in_progress", assigned_to=7)
    ticket_id = api.customer().opened()["id"]
    assert drain()
    ticket = Ticket.get_by_id(ticket_id)
    assert (ticket.status, ticket.assigned_to) == ("assigned", 8)
    event = Event.get(Event.ticket_id == ticket_id, Event.name == "ticket.assigned")
    assert (event.actor_id, event.actor_role) == (None, "system")
    told = {name: event.data[name] for name in ("agent_id", "previous_agent_id", "assigned_by", "reason")}
    assert told == {
        "agent_id": 8,
        "previous_agent_id": None,
        "assigned_by": "auto",
        "reason": "least_loaded",
    }
    assert "assignment" not in event.data
    assert event.changes["assignment"]["to"] == {
        "loads": {"8": 0, "7": 1},
        "candidates": 2,
        "excluded": {"unavailable": 1},
    }
    assert Agent.get_by_id(8).last_assigned_at is not None
    line = api.admin().get(f"/tickets/{ticket_id}/history").json["data"]
    assert any("assignment" in row["changes"] for row in line)


def test_the_history_stays_short_however_long_the_roster() -> None:
    ticket = make_ticket()
    for user_id in range(1, 31):
        make_agent(user_id, available=user_id > 5, capacity=0 if user_id > 25 else 4)
    for user_id in range(6, 16):
        make_ticket("in_progress", assigned_to=user_id)
    assert drain()
    event = Event.get(Event.ticket_id == ticket.id, Event.name == "ticket.assigned")
    assert event.changes["assignment"]["to"] == {
        "loads": {"16": 0, "17": 0, "18": 0, "19": 0, "20": 0},
        "candidates": 20,
        "excluded": {"full": 5, "unavailable": 5},
    }


def test_an_assignment_is_logged_with_its_ids() -> None:
    free_agents(7)
    ticket = make_ticket()
    with capture_logs() as logs:
        drain()
    [line] = [line for line in logs if line.get("action") == "ticket.assigned"]
    assert line["ticket_id"] == ticket.id
    told = (line["agent_id"], line["assigned_to_to"], line["status_to"], line["actor_role"])
    assert told == (7, 7, "assigned", "system")


def test_the_oldest_of_the_highest_priority_first_and_what_escalated_before_all() -> None:
    low, high, normal, urgent = (make_ticket(priority=p).id for p in ("low", "high", "normal", "urgent"))
    also_high, also_urgent = make_ticket(priority="high").id, make_ticket(priority="urgent").id
    escalated = make_ticket(priority="urgent", escalated_at=WRITTEN_AT).id
    calmed_down = make_ticket(priority="low", escalated_at=WRITTEN_AT).id
    free_agents(7, capacity=20)
    assert drain()
    assert given_out() == [escalated, urgent, also_urgent, high, also_high, normal, low, calmed_down]


def test_when_everybody_is_full_the_rest_stays_open() -> None:
    for _ in range(10):
        make_ticket()
    free_agents(7, 8, capacity=3)
    assert drain()
    assert in_hand() == {7: 3, 8: 3}
    assert Ticket.select().where(Ticket.status == "open").count() == 4
    # Waiting for a customer is still work; what is settled, or deleted, is none.
    first, second, third = Ticket.select().where(Ticket.assigned_to == 7)
    Ticket.update(status="waiting_customer").where(Ticket.id == first.id).execute()
    Ticket.update(status="resolved").where(Ticket.id == second.id).execute()
    Ticket.update(deleted_at=WRITTEN_AT).where(Ticket.id == third.id).execute()
    drain()
    assert in_hand() == {7: 5, 8: 3}


def test_people_may_give_more_than_somebody_has_room_for_the_desk_may_not() -> None:
    free_agents(7, capacity=1)
    tickets = [make_ticket().id for _ in range(3)]
    for ticket_id in tickets[:2]:
        assign_ticket(occasion=occasion("admin", 99), ticket_id=ticket_id, agent_id=7)
    drain()
    assert in_hand() == {7: 2}


def test_categories_are_kept_apart() -> None:
    billing, none, delivery = (make_ticket(category=c).id for c in ("billing", None, "delivery"))
    free_agents(7, categories=["delivery", "product"])
    drain()
    assert given_out() == [delivery]
    free_agents(8, categories=["billing"])
    drain()
    assert given_out() == [delivery, billing]
    free_agents(9)
    drain()
    assert given_out() == [delivery, billing, none]


def test_the_desk_keeps_its_hands_off_where_it_is_told_to() -> None:
    tickets = [make_ticket(category=category).id for category in ("legal", "billing", None)]
    free_agents(7)
    drain(AssignmentRules(enabled=False))
    assert given_out() == []
    drain(AssignmentRules(except_categories=frozenset({"legal"})))
    assert given_out() == tickets[1:]
    Agent.update(categories=["legal"]).execute()
    drain(AssignmentRules(except_categories=frozenset({"legal"})))
    assert given_out() == tickets[1:]


def test_many_tickets_cost_few_statements_more_than_one() -> None:
    def cost(tickets: int) -> int:
        for _ in range(tickets):
            make_ticket()
        with counted_queries() as statements:
            assert drain()
        return len(statements)

    free_agents(*range(1, 21), capacity=20)
    first = cost(1)
    # Each ticket's own row; the roster, the log and what is owed are one statement for all of them.
    assert cost(30) == first + 29


def test_deleted_tickets_are_nobodys_work() -> None:
    make_ticket(deleted_at=WRITTEN_AT)
    free_agents(7)
    drain()
    assert given_out() == []


def test_a_long_queue_is_given_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "ASSIGNMENTS_A_DRAIN", 2)
    for _ in range(3):
        make_ticket()
    free_agents(7)
    assert not drain()
    assert len(given_out()) == 2
    assert drain()
    assert len(given_out()) == 3


def test_somebody_who_has_filled_up_meanwhile_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    billing = make_ticket(category="billing", priority="urgent").id
    delivery = make_ticket(category="delivery").id
    free_agents(7, categories=["billing"])
    free_agents(8, categories=["delivery"])
    look, asked = assignment.next_in_queue, list[Any]()

    def look_then_fill(room: assignment.Room, **options: Any) -> tuple[list[int], bool]:
        asked.append(look(room, **options))
        Agent.update(capacity=0).where(Agent.user_id == 7).execute()
        return asked[-1]

    monkeypatch.setattr(assignment, "next_in_queue", look_then_fill)
    assert drain()
    assert asked == [([billing, delivery], True)]
    assert given_out() == [delivery]


def test_nobody_free_costs_a_few_reads_however_long_the_queue() -> None:
    for number in range(30):
        make_ticket(category=f"category {number}")
    free_agents(7, 8, capacity=0)
    make_agent(9)
    with counted_queries() as statements:
        assert drain()
    assert len(statements) == 1
    Agent.update(capacity=5, categories=["never heard of"]).execute()
    with counted_queries() as statements:
        assert drain()
    assert len(statements) == 2


def test_the_queue_is_walked_by_its_index_alone() -> None:
    for number in range(200):
        make_ticket(status="closed" if number % 2 else "open", priority="normal", category="billing")
    free_agents(7, categories=["delivery"])
    with counted_queries() as statements:
        drain()
    queue = [text for text in statements if "assignment_queue" in text]
    assert len(queue) == 1
    if is_sqlite():
        plans = database.execute_sql(
            "EXPLAIN QUERY PLAN SELECT id FROM support_tickets INDEXED BY support_tickets_assignment_queue "
            "WHERE status = 'open' AND deleted_at IS NULL AND priority_rank = 2 ORDER BY id LIMIT 1"
        ).fetchall()
        assert "support_tickets_assignment_queue" in plans[0][-1]
        assert len(plans) == 1, "nothing is sorted"
        return
    cursor = database.execute_sql(
        "EXPLAIN SELECT id FROM support_tickets FORCE INDEX (assignment_queue) WHERE status = 'open' AND "
        "deleted_at IS NULL AND priority_rank = 2 AND category IN ('delivery') ORDER BY id LIMIT 1"
    )
    # MySQL 9 draws a tree where the others have columns.
    plan = str(cursor.fetchall())
    assert "assignment_queue" in plan
    assert "filesort" not in plan
    assert "Sort:" not in plan
    assert "Using index" in plan or "Covering index" in plan


# --- Many hands ---------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 3, assignment.ASSIGNMENTS_A_TRANSACTION])
def a_transaction(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ticket a transaction, a few, or as many as there are: whoever is next meets the others anywhere."""
    monkeypatch.setattr(assignment, "ASSIGNMENTS_A_TRANSACTION", request.param)


@pytest.mark.usefixtures("a_transaction")
def test_workers_at_once_overfill_nobody_and_keep_the_order() -> None:
    tickets = [make_ticket(priority=("normal", "urgent", "low")[number % 3]) for number in range(40)]
    free_agents(*range(1, 6), capacity=4)
    at_the_same_time(*[drain] * WORKERS)
    assert in_hand() == dict.fromkeys(range(1, 6), 4)
    rank = {"urgent": 0, "normal": 1, "low": 2}
    queue = sorted(tickets, key=lambda ticket: (rank[ticket.priority], ticket.id))
    assert given_out() == [ticket.id for ticket in queue[:20]]
    assert_never_overfilled(4)


@pytest.mark.usefixtures("a_transaction")
def test_people_and_the_desk_at_once() -> None:
    tickets = [make_ticket().id for _ in range(30)]
    free_agents(1, 2, 3, capacity=5)

    def by_hand(mine: list[int], agent_id: int) -> None:
        for ticket_id in mine:
            assign_ticket(occasion=occasion("admin", 99), ticket_id=ticket_id, agent_id=agent_id)

    at_the_same_time(
        drain, drain, drain, partial(by_hand, tickets[20:25], 1), partial(by_hand, tickets[25:], 2)
    )
    assert_never_overfilled(5)
    # People first: their ten and the five that agent 3 has room for are in hand. The desk first: fifteen,
    # and ten.
    assert Ticket.select().where(Ticket.status == "open").count() in range(5, 16)


def assert_never_overfilled(capacity: int) -> None:
    """By the log: when the desk gave somebody a ticket, they had room for it."""
    load: Counter[int] = Counter()
    for event in Event.select().where(Event.name == "ticket.assigned").order_by(Event.id):
        agent_id = event.data["agent_id"]
        if event.data["assigned_by"] == "auto":
            seen = event.changes["assignment"]["to"]["loads"][str(agent_id)]
            assert seen < capacity
            assert seen >= load[agent_id], "somebody's ticket was not counted"
        load[agent_id] += 1


def test_what_was_deleted_or_taken_at_the_last_moment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, taken, waiting = (make_ticket().id for _ in range(3))
    free_agents(7)
    look = assignment.next_in_queue

    def next_then_change(room: assignment.Room, **options: Any) -> tuple[list[int], bool]:
        found = look(room, **options)
        Ticket.update(deleted_at=WRITTEN_AT).where(Ticket.id == gone).execute()
        Ticket.update(status="assigned", assigned_to=8).where(Ticket.id == taken).execute()
        return found

    monkeypatch.setattr(assignment, "next_in_queue", next_then_change)
    drain()
    assert given_out() == [waiting]


# --- What owes it -------------------------------------------------------------------------------------


def test_a_new_ticket_owes_it_with_no_statement_more(api: Api, clock: Clock) -> None:
    owner = api.customer()
    given: list[Hint] = []
    hints.listen(given.append)
    with counted_queries() as statements:
        ticket_id = owner.opened()["id"]
    assert {Hint(ASSIGN_TICKETS, 0), Hint(PUBLISH_EVENT, ticket_id)} <= set(given)
    assert sum("due_effects" in text for text in statements) == 1
    token = DueEffect.get(DueEffect.effect == ASSIGN_TICKETS)
    assert (token.ticket_id, token.leased_until) == (0, None)
    assert token.due_at > clock.now


@pytest.mark.parametrize(
    ("method", "path", "body", "owes"),
    [
        ("POST", "/resolve", {"resolution": "Sent again."}, True),
        ("POST", "/close", None, True),
        ("DELETE", "", None, True),
        ("POST", "/assign", {"agent_id": 8}, True),
        ("POST", "/assign", {"agent_id": 7}, False),
        ("PUT", "", {"status": "open"}, True),
        ("PUT", "", {"status": "waiting_customer"}, False),
        ("PUT", "", {"category": "billing"}, True),
        ("PUT", "", {"subject": "Another"}, False),
        ("POST", "/messages", {"content": "Hm."}, False),
    ],
)
def test_what_frees_somebody_or_makes_work_owes_it(
    api: Api, method: str, path: str, body: Any, owes: bool
) -> None:
    free_agents(7, 8)
    ticket = make_ticket("in_progress")
    assert api.admin().call(method, f"/tickets/{ticket.id}{path}", body).status_code < 300
    assert assignment_tokens() == owes


def test_a_settled_ticket_frees_nobody_a_second_time(api: Api) -> None:
    ticket = make_ticket("resolved")
    api.admin().post(f"/tickets/{ticket.id}/close")
    assert assignment_tokens() == 0


@pytest.mark.parametrize(
    ("body", "owes"),
    [({"capacity": 9}, 1), ({"active": True}, 1), ({"categories": ["billing"]}, 1), ({"name": "Alex"}, 0)],
)
def test_the_roster_owes_it(api: Api, body: dict[str, Any], owes: int) -> None:
    make_agent(7)
    assert api.admin().put("/agents/7", body).status_code == 200
    assert assignment_tokens() == owes


def test_whoever_becomes_available_owes_it(api: Api) -> None:
    make_agent(7)
    api.agent(7).put("/agents/me/availability", {"available": True})
    assert assignment_tokens() == 1
    api.agent(7).put("/agents/me/availability", {"available": False})
    assert assignment_tokens() == 1


# --- The effect ---------------------------------------------------------------------------------------


def do_assign(rules: AssignmentRules = RULES) -> None:
    effect_table(means(rules))[ASSIGN_TICKETS]([0])


def test_a_thousand_tokens_are_one_drain(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    drains: list[int] = []
    rows = [
        {"effect": ASSIGN_TICKETS, "ticket_id": 0, "sequence": number, "due_at": WRITTEN_AT}
        for number in range(1000)
    ]
    DueEffect.insert_many([{**row, "created_at": WRITTEN_AT} for row in rows]).execute()
    monkeypatch.setattr("sav.actors.effects.assign_open_tickets", lambda **_: bool(drains.append(1)) or True)
    do_assign()
    assert drains == [1]
    assert assignment_tokens() == 0
    do_assign()
    assert drains == [1]


def test_the_effect_leaves_no_token_even_after_many_parts(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setattr(assignment, "ASSIGNMENTS_A_DRAIN", 2)
    for _ in range(7):
        api.customer().opened()
    free_agents(7, capacity=20)
    do_assign()
    assert in_hand() == {7: 7}
    assert assignment_tokens() == 0


def test_with_assignment_turned_off_the_tokens_go_too(api: Api) -> None:
    free_agents(7)
    api.customer().opened()
    do_assign(AssignmentRules(enabled=False))
    assert (in_hand(), assignment_tokens()) == (Counter(), 0)


def test_workers_who_are_hinted_at_once(api: Api) -> None:
    for _ in range(25):
        api.customer().opened()
    free_agents(1, 2, 3, 4, 5)
    at_the_same_time(*[do_assign] * WORKERS)
    # Whoever was told that somebody else is at it has left it to them.
    assert assignment_tokens() == 0
    assert in_hand() == dict.fromkeys(range(1, 6), 4)


def test_what_comes_while_somebody_is_at_work_is_left_to_them(api: Api) -> None:
    api.customer().opened()
    later = WRITTEN_AT + timedelta(days=4000)
    DueEffect.update(lease_owner="somebody", leased_until=later).where(
        DueEffect.effect == ASSIGN_TICKETS
    ).execute()
    free_agents(7)
    api.customer().opened()
    do_assign()
    assert (in_hand(), assignment_tokens()) == (Counter(), 2)


def test_a_drain_that_fails_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> bool:
        raise peewee.OperationalError(1205, "lock wait timeout")

    api.customer().opened()
    monkeypatch.setattr("sav.actors.effects.assign_open_tickets", fail)
    do_assign()
    token = DueEffect.get(DueEffect.effect == ASSIGN_TICKETS)
    assert (token.tries, token.lease_owner, token.failed_at) == (1, None, None)
