"""Answers that are kept ready: what they save, that nobody is given another's, and that none is ever old."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sav.domain.caller import Caller, Role
from sav.domain.sight_slots import slots_counted_for, slots_seen_by
from sav.http.answer_caches import ENTRY_BYTES, MEGABYTE, AnswerCache
from sav.http.routes import Reply
from sav.models.database import is_sqlite
from sav.models.sight_counters import counted_changes
from sav.settings import Settings
from sav.telemetry.metrics import COUNTED, CacheName
from tests.factories.agents import make_agent
from tests.factories.forms import PNG, form
from tests.factories.tickets import make_ticket
from tests.http.problems import problem
from tests.plugins.desk import Api, counted_queries

MARKER = "xyzzymarker"
NEW = {"subject": "Lost parcel", "description": "Another one."}


def cost(caller: Api, path: str, **headers: str) -> tuple[int, Any]:
    """How many statements an answer takes, and the answer."""
    path, _, query = path.partition("?")
    with counted_queries() as statements:
        answer = caller.get(path, query_string=query, headers=headers)
    assert answer.status_code in (200, 302, 304), answer.text
    return len(statements), (answer.content, answer.headers.get("ETag"), answer.headers.get("Link"))


def counted(name: CacheName, outcome: str) -> float:
    return COUNTED.get_sample_value("sav_cache_reads_total", {"cache": name, "outcome": outcome}) or 0.0


@pytest.fixture
def ticket(api: Api) -> str:
    """The path of customer 1's ticket with an answer, a note and two files, in the hands of agent 7."""
    api.agent(7).get("/agents/me")
    path = f"/tickets/{api.customer(1).opened()['id']}"
    api.admin().post(f"{path}/assign", {"agent_id": 7})
    api.agent(7).post(f"{path}/messages", {"content": "We look."})
    note = api.agent(7).post(f"{path}/messages", {"content": MARKER, "is_internal": True}).json
    api.customer(1).post(f"{path}/attachments", **form(("file", "parcel.png", PNG)))
    api.agent(7).post(f"{path}/attachments", **form(("file", f"{MARKER}.png", PNG), message_id=note["id"]))
    return path


def reads(caller: Api, ticket: str) -> list[str]:
    """Everything that is kept ready, as far as the caller sees it."""
    files = caller.get(f"{ticket}/attachments").json["data"]
    messages = caller.get(f"{ticket}/messages").json["data"]
    return [
        "/tickets",
        "/tickets?status=assigned&status=in_progress&sort=-updated_at&include_total=true&per_page=1",
        "/tickets/statistics",
        "/tickets/statistics?tz=Europe/Paris&from=2026-03-01",
        ticket,
        f"{ticket}/attachments",
        f"{ticket}/attachments?per_page=1&include_total=true",
        *(f"{ticket}/attachments/message/{message['id']}" for message in messages),
        *(f"{ticket}/attachments/{file['id']}" for file in files),
        *(f"{ticket}/attachments/{file['id']}/download?redirect=false" for file in files),
    ]


CALLERS: list[tuple[Any, int]] = [("customer", 1), ("agent", 7), ("admin", 99)]


@pytest.mark.parametrize(("role", "user_id"), CALLERS)
def test_what_is_kept_costs_one_statement_and_is_the_same(
    api: Api, ticket: str, role: Any, user_id: int
) -> None:
    caller = api.as_caller(role, user_id)
    for path in reads(caller, ticket):
        without = caller.process(megabytes=0)
        _, read = cost(caller, path)
        again, kept = cost(caller, path)
        assert (again, kept) == (1, read), path
        assert kept == cost(without, path)[1], path


def test_who_has_it_already_costs_one_statement_kept_or_not(api: Api, ticket: str) -> None:
    customer = api.customer(1)
    _, (_, etag, _) = cost(api.process().customer(1), ticket)
    assert cost(api.process().customer(1), ticket, **{"If-None-Match": etag}) == (1, (b"", etag, None))
    customer.get(ticket)
    assert cost(customer, ticket, **{"If-None-Match": etag}) == (1, (b"", etag, None))
    api.agent(7).post(f"{ticket}/messages", {"content": "Found."})
    statements, (content, newer, _) = cost(customer, ticket, **{"If-None-Match": etag})
    assert b"Found." in content
    assert newer != etag
    # Its revision, all of it, to a server in one statement, and its files.
    assert statements == (4 if is_sqlite() else 3)


def test_nobody_is_given_what_was_kept_for_others(api: Api, ticket: str) -> None:
    staff = [api.admin(), api.agent(7)]
    for path in reads(staff[0], ticket):
        path, _, query = path.partition("?")
        seen = [caller.get(path, query_string=query) for caller in staff]
        assert {answer.status_code for answer in seen} == {200}
        assert MARKER not in api.customer(1).get(path, query_string=query).text
        # Nor is a customer's answer given to staff.
        assert [caller.get(path, query_string=query).content for caller in staff] == [a.content for a in seen]
        for stranger in (api.customer(2), api.agent(8)):
            answer = stranger.get(path, query_string=query)
            if path.startswith(ticket):
                problem(answer, 404, "not_found")
            else:
                assert "Lost parcel" not in answer.text
    assert MARKER in api.agent(7).get(ticket).text


def test_who_loses_sight_loses_what_was_kept(api: Api, ticket: str) -> None:
    agent = api.agent(7)
    make_agent(8)
    paths = reads(agent, ticket)
    for path in paths:
        cost(agent, path)
    api.process().admin().post(f"{ticket}/assign", {"agent_id": 8})
    for path in paths:
        path, _, query = path.partition("?")
        answer = agent.get(path, query_string=query)
        if path.startswith(ticket):
            problem(answer, 404, "not_found")
        else:
            assert "Lost parcel" not in answer.text


# Who is served by which process: the customer and the agent by one, whoever writes by another.
WRITES: list[tuple[str, Callable[[Api, str], Any]]] = [
    ("edit", lambda api, path: api.admin().put(path, {"subject": "Found parcel"})),
    ("reply", lambda api, path: api.customer(1).post(f"{path}/messages", {"content": "And?"})),
    ("note", lambda api, path: api.agent(7).post(f"{path}/messages", {"content": "!", "is_internal": True})),
    ("read", lambda api, path: api.customer(1).post(f"{path}/messages/mark-all-read")),
    ("resolve", lambda api, path: api.agent(7).post(f"{path}/resolve", {"resolution": "Sent again."})),
    ("close", lambda api, path: api.customer(1).post(f"{path}/close")),
    ("unassign", lambda api, path: api.admin().put(path, {"status": "open"})),
    ("delete", lambda api, path: api.admin().delete(path)),
    ("attach", lambda api, path: api.customer(1).post(f"{path}/attachments", **form(("file", "b.png", PNG)))),
    ("correct", lambda api, path: api.admin().put(_first(api, path, "messages"), {"content": "Corrected."})),
    ("delete message", lambda api, path: api.admin().delete(_first(api, path, "messages"))),
    ("delete file", lambda api, path: api.admin().delete(_first(api, path, "attachments"))),
    (
        "open another",
        lambda api, path: api.customer(1).post("/tickets", NEW),
    ),
    ("rename the agent", lambda api, path: api.admin().put("/agents/7", {"name": "Renamed"})),
]


def _first(api: Api, path: str, what: str) -> str:
    return f"{path}/{what}/{api.admin().get(f'{path}/{what}').json['data'][0]['id']}"


@pytest.mark.parametrize(("name", "write"), WRITES, ids=[name for name, _ in WRITES])
@pytest.mark.parametrize(("role", "user_id"), CALLERS)
def test_after_a_write_by_another_process_nothing_old_is_given(
    api: Api, ticket: str, role: Any, user_id: int, name: str, write: Callable[[Api, str], Any]
) -> None:
    caller = api.as_caller(role, user_id)
    without = caller.process(megabytes=0)
    paths = reads(caller, ticket)
    for path in paths:
        cost(caller, path)
    assert write(api.process(), ticket).status_code in (200, 201)
    for path in paths:
        path, _, query = path.partition("?")
        now, fresh = (one.get(path, query_string=query) for one in (caller, without))
        assert (now.status_code, now.headers.get("ETag")) == (fresh.status_code, fresh.headers.get("ETag"))
        if fresh.status_code == 200:
            assert now.content == fresh.content, path


def test_a_write_between_the_state_and_the_data_makes_what_is_kept_old(api: Api) -> None:
    caller, cache = Caller(1, "customer"), api.desk.caches.lists
    customer = api.customer(1)

    def overtaken() -> Reply:
        found = customer.get("/tickets").content
        customer.opened()
        return Reply(content=found)

    def state() -> int:
        return counted_changes(slots_seen_by(caller))

    cache.answer(("key",), state=state, make=overtaken)
    assert cache.get(("key",), state()) is None


def test_errors_are_not_kept(api: Api, ticket: str) -> None:
    customer = api.customer(1)
    for path in (f"{ticket}/attachments/9999", f"{ticket}/attachments/message/9999", "/tickets/9999"):
        problem(customer.get(path), 404, "not_found")
    problem(customer.get("/tickets", query_string="cursor=x"), 400, "invalid_cursor")
    caches = customer.desk.caches
    assert {caches.lists.held_bytes, caches.details.held_bytes, caches.files.held_bytes} == {0}
    assert caches.file_lists.held_bytes == 0


def test_a_new_day_is_in_the_numbers(api: Api) -> None:
    make_ticket()
    customer = api.customer(1)
    before = customer.get("/tickets/statistics").json["per_day"]
    assert customer.get("/tickets/statistics").json["per_day"] == before
    api.clock.now = datetime(2026, 3, 30, 0, 0, 1, tzinfo=UTC)
    assert len(customer.get("/tickets/statistics").json["per_day"]) == len(before) + 1


OFF: list[dict[str, float]] = [
    {"megabytes": 0},
    {"list_seconds": 0, "detail_seconds": 0, "statistics_seconds": 0, "attachment_seconds": 0},
]


@pytest.mark.parametrize("bounds", OFF, ids=["no memory", "no time"])
def test_off_means_that_nothing_is_kept_or_asked(api: Api, ticket: str, bounds: dict[str, float]) -> None:
    off = api.process(**bounds)
    customer = off.customer(1)
    counts = [counted(name, "absent") for name in ("lists", "details", "statistics", "attachments")]
    for path in reads(customer, ticket):
        # How many tickets a filter leaves is estimated once, whether caches are on or off.
        cost(customer, path)
        again, answer = cost(customer, path)
        assert again > 0
        assert cost(customer, path) == (again, answer), path
    assert cost(customer, "/tickets")[0] == 1
    caches = off.desk.caches
    kept = (caches.lists, caches.details, caches.statistics, caches.file_lists, caches.files)
    assert sum(cache.held_bytes for cache in kept) == 0
    assert [counted(name, "absent") for name in ("lists", "details", "statistics", "attachments")] == counts


def test_one_kind_may_be_off(api: Api, ticket: str) -> None:
    customer = api.process(detail_seconds=0).customer(1)
    assert [cost(customer, ticket)[0] for _ in range(2)] == ([3, 3] if is_sqlite() else [2, 2])
    assert [cost(customer, "/tickets")[0] for _ in range(2)] == [2, 1]


def test_what_is_read_and_how_is_counted(api: Api, ticket: str) -> None:
    customer = api.process().customer(1)
    before = {outcome: counted("lists", outcome) for outcome in ("hit", "stale", "absent")}
    for _ in range(3):
        customer.get("/tickets")
    customer.opened()
    customer.get("/tickets")
    found = {outcome: counted("lists", outcome) - before[outcome] for outcome in before}
    assert found == {"absent": 1, "hit": 2, "stale": 1}
    text = customer.get("/metrics").text
    assert 'sav_cache_reads_total{cache="lists",outcome="hit"}' in text
    assert 'sav_cache_bytes{cache="lists"}' in text


def small_cache(maximum_bytes: int, lifetime_seconds: float = 60) -> AnswerCache[bytes]:
    return AnswerCache("details", len, maximum_bytes=maximum_bytes, lifetime_seconds=lifetime_seconds)


def test_a_full_cache_gives_up_what_was_not_asked_for_longest() -> None:
    evictions = COUNTED.get_sample_value("sav_cache_evictions_total", {"cache": "details"}) or 0.0
    cache = small_cache(10 * (ENTRY_BYTES + 10))
    for number in range(10):
        cache.put((number,), 1, b"0123456789")
    assert cache.get((0,), 1) is not None
    cache.put((10,), 1, b"0123456789")
    assert [number for number in range(11) if not cache.has((number,))] == [1]
    assert COUNTED.get_sample_value("sav_cache_evictions_total", {"cache": "details"}) == evictions + 1


def test_what_is_too_large_is_not_kept() -> None:
    cache = small_cache(80_000)
    cache.put(("large",), 1, bytes(10_000))
    cache.put(("x" * 10_000,), 1, b"")
    cache.put(("small",), 1, bytes(5_000))
    assert [cache.has((key,)) for key in ("large", "x" * 10_000, "small")] == [False, False, True]


@pytest.mark.parametrize("length", [0, 1_000, 30_000])
def test_the_bound_holds_for_the_memory_that_is_really_taken(length: int) -> None:
    cache = AnswerCache[Reply](
        "lists", lambda reply: len(reply.content or b""), maximum_bytes=2 * MEGABYTE, lifetime_seconds=60
    )
    tracemalloc.start()
    try:
        begin, _ = tracemalloc.get_traced_memory()
        for number in range(5_000):
            content = bytes(length + number % 7)
            key = ("customer", number, f"per_page=25&page={number}")
            cache.put(key, number, Reply(content=content, revision=f"{number}.0"))
        taken = tracemalloc.get_traced_memory()[0] - begin
    finally:
        tracemalloc.stop()
    assert cache.held_bytes <= 2 * MEGABYTE
    assert taken <= 2 * MEGABYTE


def test_what_is_older_than_its_lifetime_is_not_given() -> None:
    cache = small_cache(80_000, lifetime_seconds=1e-9)
    cache.put(("key",), 1, b"answer")
    assert cache.get(("key",), 1) is None


def test_the_lifetimes_are_those_of_the_specification() -> None:
    fields = Settings.model_fields
    names = ("CACHE_LIST_SECONDS", "CACHE_DETAIL_SECONDS", "CACHE_STATISTICS_SECONDS")
    assert [fields[name].default for name in names] == [180, 60, 300]
    assert fields["CACHE_ATTACHMENT_SECONDS"].default == 600


@pytest.mark.parametrize("role", ["customer", "agent", "admin"])
def test_counters_of_a_sight_are_few(role: Role) -> None:
    """They are read for every list: some hundred rows of one small table, whoever asks."""
    caller = Caller(2**63 - 1, role)
    for slots in (slots_seen_by(caller), slots_counted_for(caller)):
        assert sum(len(part) for part in slots) <= 130
        assert all(0 <= slot < 2**31 for part in slots for slot in (part[0], part[-1]))
