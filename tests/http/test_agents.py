"""The roster: who is on it and since when, who may say what about whom."""

from typing import Any

import pytest
from falcon.testing import TestClient

from sav.http.app import create_app
from sav.models.tables import Agent
from tests.factories.agents import make_agent
from tests.plugins.desk import Api, Clock, counted_queries

FIELDS = {
    "user_id",
    "name",
    "email",
    "active",
    "available",
    "capacity",
    "categories",
    "last_assigned_at",
    "created_at",
    "updated_at",
}


def roster() -> list[int]:
    return [agent.user_id for agent in Agent.select().order_by(Agent.user_id)]


@pytest.mark.parametrize("path", ["/tickets", "/agents", "/agents/me", "/tickets/12345"])
def test_an_agent_joins_with_the_first_call_whatever_it_is(api: Api, clock: Clock, path: str) -> None:
    api.agent(7, name="Ana", email="ana@desk.example").get(path)
    (agent,) = Agent.select()
    assert (agent.user_id, agent.name, agent.email) == (7, "Ana", "ana@desk.example")
    assert (bool(agent.active), bool(agent.available), agent.capacity) == (True, False, 20)
    assert (agent.categories, agent.last_assigned_at, agent.created_at) == ([], None, clock.now)


def test_the_second_call_changes_nothing_and_asks_nothing(api: Api, clock: Clock) -> None:
    api.agent(7, name="Ana").get("/agents/me")
    api.admin().put("/agents/7", {"capacity": 3, "name": "Ana B."})
    clock.forward(days=1)
    with counted_queries() as statements:
        answer = api.agent(7, name="Somebody else").get("/agents/me")
    assert (answer.json["name"], answer.json["capacity"]) == ("Ana B.", 3)
    assert len(statements) == 1, statements


def test_another_process_finds_the_agent_there(api: Api) -> None:
    api.agent(7, name="Ana").put("/agents/me/availability", {"available": True})
    api.desk.roster._seen.clear()
    second = Api(TestClient(create_app(api.desk)), api.desk, api.clock)
    assert second.agent(7, name="Somebody else").get("/agents/me").json["available"] is True
    assert Agent.get_by_id(7).name == "Ana"


def test_neither_customers_nor_admins_nor_strangers_join(api: Api) -> None:
    api.customer().get("/tickets")
    api.admin().get("/agents")
    api.get("/agents")
    api.call("GET", "/agents", headers={"Authorization": "Bearer nonsense"})
    assert roster() == []


def test_an_admin_is_not_on_the_roster(api: Api) -> None:
    assert api.admin().get("/agents/me").status_code == 404
    assert api.admin().put("/agents/me/availability", {"available": True}).status_code == 404
    assert roster() == []


def test_an_admin_can_be_put_on_it(api: Api) -> None:
    assert api.admin(99).put("/agents/99", {"name": "Ada"}).status_code == 200
    assert api.admin(99).put("/agents/me/availability", {"available": True}).json["available"] is True
    assert api.admin(99).get("/agents/me").json["name"] == "Ada"


def test_agents_say_whether_they_are_there(api: Api, clock: Clock) -> None:
    agent = api.agent(7)
    joined = agent.get("/agents/me").json
    assert set(joined) == FIELDS
    assert joined["available"] is False
    clock.forward(minutes=1)
    for available in (True, True, False):
        answer = agent.put("/agents/me/availability", {"available": available})
        assert (answer.status_code, answer.json["available"]) == (200, available)
        assert agent.get("/agents/me").json == answer.json
    assert answer.json["updated_at"] == "2026-03-29T10:31:00.000000Z"
    assert {**answer.json, "updated_at": None} == {**joined, "updated_at": None}


def test_saying_so_is_about_oneself(api: Api) -> None:
    make_agent(8)
    api.agent(7).put("/agents/me/availability", {"available": True})
    assert not Agent.get_by_id(8).available


def test_availability_is_true_or_false(api: Api) -> None:
    make_agent(7)
    wrong: list[Any] = [{}, {"available": "yes"}, {"available": 1}, {"available": None}, [], {"active": True}]
    for body in wrong:
        assert api.agent(7).put("/agents/me/availability", body).status_code == 422, body
    assert not Agent.get_by_id(7).available


def test_an_admin_changes_just_what_is_given(api: Api, clock: Clock) -> None:
    api.agent(7, name="Ana", email="ana@desk.example").put("/agents/me/availability", {"available": True})
    before = api.admin().get("/agents/7").json
    clock.forward(minutes=1)
    changes = {"name": "Ana B.", "email": None, "active": False, "capacity": 0, "categories": ["billing"]}
    for field, value in changes.items():
        answer = api.admin().put("/agents/7", {field: value})
        assert answer.status_code == 200
        before = {**before, field: value, "updated_at": "2026-03-29T10:31:00.000000Z"}
        assert answer.json == before
    assert api.agent(7).get("/agents/me").json == before


def test_an_admin_adds_an_agent_before_the_first_call(api: Api) -> None:
    answer = api.admin().put("/agents/42", {"name": "New", "categories": ["billing", "technical"]})
    assert (answer.status_code, answer.json["capacity"], answer.json["active"]) == (200, 20, True)
    assert answer.json["available"] is False
    api.agent(42, name="Other").get("/tickets")
    assert api.admin().get("/agents/42").json == answer.json


WRONG = {
    "available": True,
    "user_id": 8,
    "role": "admin",
    "active": "no",
    "capacity": -1,
    "categories": "billing",
    "email": "nobody",
    "name": "",
}


def test_every_wrong_and_every_unknown_field_is_named_at_once(api: Api) -> None:
    make_agent(7)
    answer = api.admin().put("/agents/7", WRONG)
    assert answer.status_code == 422
    assert {problem["field"]: problem["code"] for problem in answer.json["errors"]} == {
        "available": "unknown_field",
        "user_id": "unknown_field",
        "role": "unknown_field",
        "active": "bool_type",
        "capacity": "greater_than_equal",
        "categories": "list_type",
        "email": "string_pattern_mismatch",
        "name": "string_too_short",
    }
    agent = Agent.get_by_id(7)
    assert (agent.name, bool(agent.active), agent.capacity, agent.categories) == ("Agent 7", True, 20, [])


@pytest.mark.parametrize("user_id", ["0", "-1", "abc", "1.5", str(2**63)])
def test_no_agent_has_such_an_id(api: Api, user_id: str) -> None:
    assert api.admin().get(f"/agents/{user_id}").status_code == 404
    assert api.admin().put(f"/agents/{user_id}", {"capacity": 1}).status_code == 404
    assert roster() == []


def test_the_roster_is_a_list_in_pages(api: Api) -> None:
    for user_id in range(1, 6):
        make_agent(user_id)
    first = api.admin().get("/agents", query_string="per_page=2&include_total=true")
    assert [agent["user_id"] for agent in first.json["data"]] == [1, 2]
    assert first.json["meta"]["total"] == 5
    seen, page = [1, 2], first
    while cursor := page.json["meta"]["next_cursor"]:
        page = api.admin().get("/agents", query_string=f"per_page=2&cursor={cursor}")
        seen += [agent["user_id"] for agent in page.json["data"]]
    assert seen == [1, 2, 3, 4, 5]
    assert api.admin().get("/agents", query_string="available=true").status_code == 400


def test_customers_learn_nothing_of_the_roster(api: Api) -> None:
    make_agent(7)
    for path in ("/agents", "/agents/me", "/agents/7", "/agents/8"):
        answer = api.customer(7).get(path)
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_agents_do_not_change_each_other_nor_themselves(api: Api) -> None:
    make_agent(7)
    for user_id in (7, 8):
        assert api.agent(7).put(f"/agents/{user_id}", {"capacity": 100}).status_code == 403
    assert roster() == [7]
    assert Agent.get_by_id(7).capacity == 20
