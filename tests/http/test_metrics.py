"""`/metrics` says what is true, and says it soon, whatever is away."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from falcon.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from sav.domain.effects import ERASE_PERSON, HOUSEKEEPING, PUBLISH_EVENT, RETRY_POLICIES
from sav.domain.ticket_lifecycle import PRIORITIES, STATUSES
from sav.http.app import create_app
from sav.models.database import DatabaseUnavailable
from sav.models.tables import DueEffect
from sav.operations.effect_claims import Claim, put_off
from sav.telemetry.metrics import CATALOGUE_OF_METRICS, QUEUE_MESSAGES, counted_text
from sav.telemetry.parts import Sample
from tests.plugins.desk import Answers, Api
from tests.servers.ports import wait_until

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
FOREVER_SECONDS = 30
SOON_SECONDS = 10
"""Far less than for ever: how soon exactly is no matter for a machine that does much else."""


def scrape(api: Api, *, up: tuple[str, ...] = ("database", "desk", "storage")) -> Samples:
    """As a process does that was never asked before, once it has read these parts."""
    app, seen = TestClient(create_app(api.desk)), dict[str, Samples]()

    def is_complete() -> bool:
        seen["now"] = parsed(app.simulate_get("/metrics").text)
        return all(seen["now"].get(("sav_up", (("part", part),))) == 1 for part in up)

    wait_until(is_complete, timeout_seconds=SOON_SECONDS, what=f"the numbers of {up}")
    return seen["now"]


def parsed(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def replaced(api: Api, **parts: Any) -> Api:
    """The same desk with other parts."""
    made = {name: getattr(api.desk, name) for name in api.desk.__dataclass_fields__} | parts
    return Api(api.client, type(api.desk)(**made), api.clock)


@pytest.fixture
def growth(api: Api) -> Callable[..., float]:
    """By how much a number has grown since the test began: the counts of a process outlive its tests."""
    before = parsed(counted_text().decode())

    def since(name: str, **labels: str) -> float:
        place = (name, tuple(sorted(labels.items())))
        return parsed(counted_text().decode()).get(place, 0) - before.get(place, 0)

    return since


def test_every_metric_of_the_web_is_in_the_catalogue_and_the_other_way_round(api: Api) -> None:
    api.agent(7).get("/agents/me")
    app = TestClient(create_app(with_queues(api).desk))
    wait_until(
        lambda: "sav_agent_load{" in app.simulate_get("/metrics").text,
        timeout_seconds=SOON_SECONDS,
        what="the numbers of the desk",
    )
    answer = app.simulate_get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(answer.text)
        # When a series began is the client library's own.
        if not family.name.endswith("_created")
    }
    expected = {name for name, described in CATALOGUE_OF_METRICS.items() if "web" in described.places}
    assert expected <= families.keys() <= CATALOGUE_OF_METRICS.keys()
    for name, family in families.items():
        described = CATALOGUE_OF_METRICS[name]
        assert (family.type, family.documentation) == (described.kind, described.meaning)
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(described.labels)


def with_queues(api: Api) -> Api:
    return replaced(
        api,
        queue_depths=lambda: [
            Sample("sav_queue_messages", 3, {"queue": "inbox"}),
            Sample("sav_queue_consumers", 2, {"queue": "inbox"}),
        ],
    )


def test_tickets_by_status_and_priority(api: Api) -> None:
    customer, agent = api.customer(), api.agent(7)
    agent.get("/agents/me")
    for priority in ("low", "urgent", "urgent"):
        customer.opened(priority=priority)
    assigned = customer.opened()
    assert agent.post(f"/tickets/{assigned['id']}/assign", {"agent_id": 7}).status_code == 200
    gone = customer.opened(priority="urgent")
    assert customer.delete(f"/tickets/{gone['id']}").status_code == 200

    samples = scrape(api)
    counts = {
        (status, priority): value(samples, "sav_tickets", status=status, priority=priority)
        for status in STATUSES
        for priority in PRIORITIES
    }
    assert {place: count for place, count in counts.items() if count} == {
        ("open", "low"): 1,
        ("open", "urgent"): 2,
        ("assigned", "normal"): 1,
    }


def test_the_load_of_agents(api: Api) -> None:
    customer = api.customer()
    for agent_id in (7, 8):
        api.agent(agent_id).get("/agents/me")
    api.agent(8).put("/agents/me/availability", {"available": True})
    tickets = [customer.opened()["id"] for _ in range(3)]
    for ticket_id in tickets:
        assert api.admin().post(f"/tickets/{ticket_id}/assign", {"agent_id": 7}).status_code == 200
    assert api.agent(7).post(f"/tickets/{tickets[0]}/resolve", {"resolution": "Sent."}).status_code == 200

    samples = scrape(api)
    assert value(samples, "sav_agent_load", agent_id="7") == 2
    assert value(samples, "sav_agent_load", agent_id="8") == 0
    assert value(samples, "sav_agent_capacity", agent_id="7") == 20
    assert value(samples, "sav_agents_available") == 1


def test_what_happens_is_counted_once(api: Api, growth: Callable[..., float]) -> None:
    customer, agent = api.customer(), api.agent(7)
    ticket = f"/tickets/{customer.opened(priority='high')['id']}"
    api.clock.forward(seconds=120)
    assert (
        agent.post(f"{ticket}/messages", {"content": "Only for us.", "is_internal": True}).status_code == 201
    )
    api.clock.forward(seconds=480)
    assert agent.post(f"{ticket}/messages", {"content": "We look into it."}).status_code == 201
    assert agent.post(f"{ticket}/messages", {"content": "Found it."}).status_code == 201
    api.clock.forward(seconds=3000)
    assert agent.post(f"{ticket}/resolve", {"resolution": "Sent again."}).status_code == 200
    assert customer.post(f"{ticket}/satisfaction", {"rating": 4}).status_code in (200, 201)
    assert customer.post(f"{ticket}/satisfaction", {"rating": 2}).status_code == 409

    assert growth("sav_ticket_events_total", event="ticket.created") == 1
    assert growth("sav_ticket_events_total", event="ticket.note.added") == 1
    assert growth("sav_ticket_events_total", event="ticket.message.new") == 2
    assert growth("sav_ticket_events_total", event="ticket.satisfaction.received") == 1
    assert growth("sav_first_response_seconds_count", priority="high") == 1
    assert growth("sav_first_response_seconds_sum", priority="high") == 600
    assert growth("sav_resolution_seconds_count", priority="high") == 1
    assert growth("sav_resolution_seconds_sum", priority="high") == 3600
    assert growth("sav_satisfaction_rating_count") == 1
    assert growth("sav_satisfaction_rating_sum") == 4


def test_requests_are_measured_by_template_and_never_by_what_callers_invent(
    api: Api, growth: Callable[..., float]
) -> None:
    ticket_id = api.customer().opened()["id"]
    api.customer().get(f"/tickets/{ticket_id}")
    api.customer(2).get(f"/tickets/{ticket_id}")
    api.get("/no/such/place/secret-7")
    api.call("PROPFIND", "/tickets")

    name, route = "sav_http_request_duration_seconds_count", "/tickets/{ticket_id}"
    assert growth(name, method="GET", route=route, status_class="2xx") == 1
    assert growth(name, method="GET", route=route, status_class="4xx") == 1
    assert growth(name, method="GET", route="(none)", status_class="4xx") == 1
    labels = {label for _, pairs in scrape(api) for label in pairs}
    assert not any("secret-7" in text or text == "PROPFIND" for _, text in labels)


def test_what_is_owed_by_effect(api: Api) -> None:
    now = api.clock.now
    api.customer().opened()
    api.clock.forward(seconds=90)
    late = {"ticket_id": 0, "due_at": now, "created_at": now}
    DueEffect.insert(effect=HOUSEKEEPING, sequence=1, **late, tries=10, failed_at=now).execute()
    DueEffect.insert(effect=HOUSEKEEPING, sequence=2, **late, tries=1, leased_until=api.clock.now).execute()

    samples = scrape(api)
    assert value(samples, "sav_effects_owed", effect=PUBLISH_EVENT) == 1
    assert value(samples, "sav_oldest_owed_effect_seconds", effect=PUBLISH_EVENT) == 90
    assert value(samples, "sav_effects_owed", effect=HOUSEKEEPING) == 1
    assert value(samples, "sav_effects_retrying", effect=HOUSEKEEPING) == 1
    assert value(samples, "sav_effects_given_up", effect=HOUSEKEEPING) == 1
    for effect in RETRY_POLICIES:
        assert value(samples, "sav_effects_given_up", effect=effect) == (effect == HOUSEKEEPING)


def test_a_deadline_is_owed_from_its_time_on(api: Api) -> None:
    begun, hour = api.clock.now, 3600
    api.clock.forward(seconds=hour)
    at = api.clock.now
    DueEffect.insert(
        effect=HOUSEKEEPING, ticket_id=5, sequence=1, due_at=at, leased_until=at, created_at=begun
    ).execute()
    api.clock.forward(seconds=-1)
    assert value(scrape(api), "sav_effects_owed", effect=HOUSEKEEPING) == 0
    api.clock.forward(seconds=11)
    samples = scrape(api)
    assert value(samples, "sav_effects_owed", effect=HOUSEKEEPING) == 1
    assert value(samples, "sav_oldest_owed_effect_seconds", effect=HOUSEKEEPING) == 10


def test_what_was_put_off_is_owed(api: Api) -> None:
    """An erasure that waits for the store, or a mail for its server, is no deadline."""
    now = api.clock.now
    DueEffect.insert(
        effect=ERASE_PERSON, ticket_id=0, sequence=1, due_at=now, lease_owner="me", leased_until=now,
        created_at=now,
    ).execute()  # fmt: skip
    token = DueEffect.get()
    claim = Claim(token.id, ERASE_PERSON, 0, 1, "me")
    put_off(claim=claim, until=now + timedelta(seconds=2), reason="waits for the store")
    assert value(scrape(api), "sav_effects_owed", effect=ERASE_PERSON) == 1


class TestWhenPartsAreAway:
    def test_all_there(self, api: Api) -> None:
        samples = scrape(with_queues(api), up=("broker", "desk", "database"))
        for part in ("database", "desk", "storage", "broker"):
            assert value(samples, "sav_up", part=part) == 1
        assert value(samples, QUEUE_MESSAGES, queue="inbox") == 3

    def test_without_a_broker_nothing_is_said_about_it(self, api: Api) -> None:
        assert ("sav_up", (("part", "broker"),)) not in scrape(api)

    def test_a_part_that_refuses_is_down_and_the_others_are_not(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse() -> Any:
            raise DatabaseUnavailable("OperationalError")

        monkeypatch.setattr("sav.http.metrics.connection", refuse)
        samples = scrape(with_queues(api), up=("storage", "broker"))
        assert value(samples, "sav_up", part="database") == value(samples, "sav_up", part="desk") == 0
        assert value(samples, "sav_up", part="storage") == value(samples, "sav_up", part="broker") == 1
        # No number is better than an old one.
        assert not [name for name, _ in samples if name in ("sav_tickets", "sav_effects_owed")]
        # What the process counts itself is there all the same.
        assert ("sav_satisfaction_rating_count", ()) in samples

    def test_a_silent_part_holds_up_no_answer(self, api: Api) -> None:
        released = threading.Event()

        class Silent(Answers):
            def check(self) -> None:
                released.wait(FOREVER_SECONDS)

        def silent_broker() -> list[Sample]:
            released.wait(FOREVER_SECONDS)
            return []

        try:
            app = TestClient(create_app(replaced(api, storage=Silent(), queue_depths=silent_broker).desk))
            for _ in range(2):
                started = time.monotonic()
                samples = parsed(app.simulate_get("/metrics").text)
                assert time.monotonic() - started < SOON_SECONDS
                assert value(samples, "sav_up", part="storage") == 0
                assert value(samples, "sav_up", part="broker") == 0
            # Asked twice, they were read by one thread each.
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("numbers-storage") == names.count("numbers-broker") == 1
        finally:
            released.set()
