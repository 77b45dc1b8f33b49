"""`GET /tickets/statistics`: the shape, who gets which numbers, and which questions are refused."""

from typing import Any
from urllib.parse import urlencode

import pytest

from sav.models.tables import Ticket
from tests.factories.agents import make_agent
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import Api, counted_queries

PATH = "/tickets/statistics"
KEYS = {
    "total", "by_status", "by_priority", "by_category", "by_source", "per_day", "first_response_seconds",
    "resolution_seconds", "agents", "satisfaction", "escalation_rate", "reopen_rate",
}  # fmt: skip


def numbers(caller: Api, **query: str) -> dict[str, Any]:
    answer = caller.get(PATH, query_string=urlencode(query))
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json
    assert set(document) == KEYS
    return document


def test_a_desk_without_tickets(api: Api) -> None:
    nothing = {"mean": None, "median": None, "p90": None, "count": 0}
    assert numbers(api.admin()) == {
        "total": 0,
        "by_status": {
            "open": 0, "assigned": 0, "in_progress": 0, "waiting_customer": 0, "resolved": 0, "closed": 0
        },
        "by_priority": {"low": 0, "normal": 0, "high": 0, "urgent": 0},
        "by_category": {},
        "by_source": {"web": 0, "email": 0, "phone": 0, "chat": 0},
        "per_day": [{"date": "2026-03-29", "opened": 0, "resolved": 0, "closed": 0}],
        "first_response_seconds": nothing,
        "resolution_seconds": nothing,
        "agents": [],
        "satisfaction": {
            "mean": None, "count": 0, "distribution": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0}
        },
        "escalation_rate": 0,
        "reopen_rate": 0,
    }  # fmt: skip


def test_the_life_of_two_tickets(api: Api) -> None:
    agent, customer = api.agent(7, name="Ada"), api.customer(1)
    first = customer.opened(priority="high", category="order")["id"]
    second = customer.opened()["id"]
    agent.get("/agents/me")
    for ticket_id, minutes in ((first, 10), (second, 20)):
        agent.post(f"/tickets/{ticket_id}/assign", {"agent_id": 7})
        api.clock.forward(minutes=minutes)
        agent.post(f"/tickets/{ticket_id}/messages", {"content": "We look for it."})
    agent.post(f"/tickets/{first}/resolve", {"resolution": "Found."})
    customer.post(f"/tickets/{first}/satisfaction", {"rating": 4})
    api.clock.forward(days=1)
    customer.post(f"/tickets/{first}/messages", {"content": "It is broken."})
    agent.post(f"/tickets/{first}/resolve", {"resolution": "Sent again."})
    customer.post(f"/tickets/{first}/close")

    document = numbers(api.admin())
    assert document["total"] == 2
    assert document["by_status"] | {"in_progress": 1, "closed": 1} == document["by_status"]
    assert document["by_priority"] == {"low": 0, "normal": 1, "high": 1, "urgent": 0}
    assert document["by_category"] == {"": 1, "order": 1}
    assert document["per_day"] == [
        {"date": "2026-03-29", "opened": 2, "resolved": 0, "closed": 0},
        {"date": "2026-03-30", "opened": 0, "resolved": 1, "closed": 1},
    ]
    assert document["first_response_seconds"] == {"mean": 1200, "median": 1200, "p90": 1680, "count": 2}
    day_and_half_an_hour = 24 * 3600 + 1800
    assert document["resolution_seconds"] == {
        "mean": day_and_half_an_hour, "median": day_and_half_an_hour, "p90": day_and_half_an_hour, "count": 1
    }  # fmt: skip
    assert document["agents"] == [{"agent_id": 7, "name": "Ada", "load": 1, "capacity": 20, "resolved": 1}]
    assert document["satisfaction"]["mean"] == 4
    assert document["satisfaction"]["distribution"]["4"] == 1
    assert document["reopen_rate"] == 0.5


def test_who_gets_which_numbers(api: Api) -> None:
    for agent_id in (7, 8):
        make_agent(agent_id)
    for user_id, assignee in ((1, 7), (1, 8), (2, 8)):
        make_ticket("assigned", user_id=user_id, assigned_to=assignee)
    make_ticket(user_id=None, contact_email="guest@example.com")
    make_ticket(user_id=1, deleted_at=WRITTEN_AT)

    def seen(caller: Api) -> tuple[int, list[int]]:
        document = numbers(caller)
        return document["total"], [agent["agent_id"] for agent in document["agents"]]

    assert seen(api.customer(1)) == (2, [])
    assert seen(api.customer(3)) == (0, [])
    assert seen(api.agent(8)) == (4, [8])
    assert seen(api.admin()) == (4, [7, 8])
    assert numbers(api.agent(8))["agents"][0]["load"] == 2


def test_an_agents_own_line_is_there_on_their_first_call(api: Api) -> None:
    assert numbers(api.agent(7, name="Ada"))["agents"] == [
        {"agent_id": 7, "name": "Ada", "load": 0, "capacity": 20, "resolved": 0}
    ]


def test_an_admin_who_took_a_ticket_is_among_the_agents(api: Api) -> None:
    ticket = api.customer().opened()["id"]
    api.admin(99).post(f"/tickets/{ticket}/resolve", {"resolution": "Done."})
    assert numbers(api.admin(98))["agents"] == [
        {"agent_id": 99, "name": None, "load": 0, "capacity": None, "resolved": 1}
    ]


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", [("2026-03-28", 1), ("2026-03-29", 1), ("2026-03-30", 0)]),
        ("Europe/Paris", [("2026-03-29", 2), ("2026-03-30", 0)]),
        ("America/New_York", [("2026-03-28", 1), ("2026-03-29", 1)]),
        ("Australia/Lord_Howe", [("2026-03-29", 1), ("2026-03-30", 1)]),
    ],
)
def test_days_are_those_of_the_time_zone(api: Api, zone: str, days: list[tuple[str, int]]) -> None:
    # Paris has only 23 hours between these two: 23:30 and the next 22:59 UTC are the same day.
    for at in ("2026-03-28T23:30:00+00:00", "2026-03-29T21:59:59+00:00"):
        make_ticket(at=WRITTEN_AT.fromisoformat(at))
    api.clock.now = WRITTEN_AT.fromisoformat("2026-03-30T00:00:00+00:00")
    document = numbers(api.admin(), tz=zone)
    assert [(day["date"], day["opened"]) for day in document["per_day"]] == days


def test_a_day_means_all_of_it_in_the_time_zone(api: Api) -> None:
    for at in ("2026-03-28T22:59:59", "2026-03-28T23:00:00", "2026-03-29T21:59:59", "2026-03-29T22:00:00"):
        make_ticket(at=WRITTEN_AT.fromisoformat(f"{at}+00:00"))
    day = {"from": "2026-03-29", "to": "2026-03-29", "tz": "Europe/Paris"}
    assert numbers(api.admin(), **day)["total"] == 2
    assert len(numbers(api.admin(), **day)["per_day"]) == 1
    instants = {"from": "2026-03-28T23:59:59+01:00", "to": "2026-03-29T21:59:59Z"}
    assert numbers(api.admin(), **instants)["total"] == 2


def test_what_happened_counts_on_its_own_day_though_its_ticket_is_older(api: Api) -> None:
    closed_at = WRITTEN_AT.replace(day=30)
    make_ticket("closed", resolved_at=closed_at, closed_at=closed_at)
    document = numbers(api.admin(), **{"from": "2026-03-30", "to": "2026-03-31"})
    assert document["total"] == 0
    assert document["per_day"] == [
        {"date": "2026-03-30", "opened": 0, "resolved": 1, "closed": 1},
        {"date": "2026-03-31", "opened": 0, "resolved": 0, "closed": 0},
    ]
    assert document["agents"] == [{"agent_id": 7, "name": None, "load": 0, "capacity": None, "resolved": 1}]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("tz=Mars/Olympus", ["tz"]),
        ("tz=", ["tz"]),
        ("tz=europe/paris", ["tz"]),
        ("tz=../../etc/passwd", ["tz"]),
        ("from=yesterday&to=2026", ["from", "to"]),
        ("from=2026-03-29T10:00:00", ["from"]),
        ("from=2026-03-29&to=2026-03-28", ["to"]),
        ("from=2026-03-29T10:00:00Z&to=2026-03-29T10:00:00Z", ["to"]),
        ("from=2021-03-24&to=2026-03-29", ["to"]),
        ("from=0001-01-01", ["from"]),
        ("to=9999-12-31", ["to"]),
        ("to=9999-12-31T23:59:59Z", ["to"]),
        ("to=9999-12-31T23:59:59-23:59&tz=Pacific/Kiritimati", ["to"]),
        ("since=2026-03-29&until=2026-03-30&agent=7", ["agent", "since", "until"]),
        ("from=2026-03-29&from=2026-03-30&tz=UTC&tz=UTC", ["from", "tz"]),
    ],
)
def test_wrong_questions_are_refused(api: Api, query: str, fields: list[str]) -> None:
    problem(api.admin().get(PATH, query_string=query), 400, "invalid_query", fields)


@pytest.mark.parametrize("query", ["from=2021-03-26&to=2026-03-29", "from=1500-01-01", "to=9998-12-31"])
def test_no_answer_lists_more_than_five_years_of_days(api: Api, query: str) -> None:
    make_ticket(at=WRITTEN_AT.replace(year=1990))
    make_ticket()
    days = api.admin().get(PATH, query_string=f"{query}&tz=Pacific/Kiritimati").json["per_day"]
    assert len(days) == 1830


def test_old_tickets_count_though_their_days_are_not_listed(api: Api) -> None:
    make_ticket(at=WRITTEN_AT.replace(year=1990))
    document = numbers(api.admin())
    assert (document["total"], len(document["per_day"])) == (1, 1830)
    assert sum(day["opened"] for day in document["per_day"]) == 0


def test_a_question_changes_nothing_and_asks_little(api: Api) -> None:
    for number in range(30):
        make_agent(100 + number)
        make_ticket("assigned", user_id=number % 3, assigned_to=100 + number)
    callers = (api.customer(1), api.agent(100), api.admin())
    with nothing_changes():
        for caller in callers:
            with counted_queries() as statements:
                numbers(caller, tz="Europe/Paris", **{"from": "2022-01-01", "to": "2026-12-31"})
            assert len(statements) <= 15, statements


def test_nobodys_words_are_in_the_numbers(api: Api) -> None:
    make_ticket("assigned", internal_notes="xyzzy", subject="xyzzy", category="order", contact_name="xyzzy")
    for caller in (api.customer(1), api.agent(7), api.admin()):
        assert "xyzzy" not in caller.get(PATH).text
    assert Ticket.select().count() == 1
