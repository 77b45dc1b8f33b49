"""What Prometheus is told equals what was done, added up over two web and two worker processes."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.plugins.servers import FreshBroker, FreshDatabase, Settings
from tests.servers.otlp import Collector, attributes
from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.conftest import Site, site_at
from tests.system.fleet import REQUEST_TIMEOUT_SECONDS, Admin, Agent, Customer, Fleet, opened
from tests.system.foreign import Shop, envelope

AGENT_ID, OTHER_AGENT_ID, CUSTOMER_ID = 7, 8, 1
REQUEST_ID, FOREIGN_REQUEST_ID = "request-of-the-metrics-test", "request-of-another-service"
SETTLE_SECONDS = 60.0

Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"WORKER_METRICS_PORT": free_port(), "SCHEDULER_METRICS_PORT": free_port()}


@pytest.fixture(scope="module")
def broker(fresh_broker: FreshBroker) -> Settings:
    return fresh_broker()


@pytest.fixture(scope="module")
def shop(broker: Settings) -> Iterator[Shop]:
    shop = Shop(broker)
    yield shop
    shop.purge()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    fresh_account: FreshDatabase,
    broker: Settings,
    collector: Collector,
    ports: dict[str, int],
) -> Iterator[Site]:
    """A fleet that nobody else counts on, with the two processes of each kind that are the default."""
    settings = fresh_account("metrics") | {name: str(port) for name, port in ports.items()}
    settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    directory = tmp_path_factory.mktemp("metrics")
    with site_at(database=settings, broker=broker, directory=directory) as site:
        yield site


def scrape(address: str) -> Numbers:
    # A new connection each: so both web processes are asked, sooner or later.
    text = httpx.get(f"{address}/metrics", timeout=REQUEST_TIMEOUT_SECONDS).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(numbers: Numbers, name: str, label: str) -> Counter[str]:
    """The numbers of one metric by one label, without zeros."""
    found: Counter[str] = Counter()
    for (metric, labels), number in numbers.items():
        if metric == name and number:
            found[dict(labels)[label]] += int(number)
    return found


def value(numbers: Numbers, name: str, **labels: str) -> float:
    return numbers[name, tuple(sorted(labels.items()))]


def act(fleet: Fleet) -> Counter[str]:
    """A known script of actions, over connections of their own; returns the facts that follow from it."""
    customer = Customer(fleet, CUSTOMER_ID, keep_alive=False)
    agent = Agent(fleet, AGENT_ID, keep_alive=False)
    with customer, agent, Admin(fleet, 99, keep_alive=False) as admin, Agent(fleet, OTHER_AGENT_ID) as other:
        agent.join()
        other.join()
        tickets = [opened(customer.open({"priority": priority})) for priority in ("low", "high", "urgent")]
        tickets += [opened(customer.open(request_id=REQUEST_ID)) for _ in range(5)]
        for ticket_id in tickets[:6]:
            assert admin.assign(ticket_id, AGENT_ID).status_code == 200
            opened(agent.reply(ticket_id, "We look into it."))
        for ticket_id in tickets[:4]:
            assert agent.resolve(ticket_id, "It is on its way.").status_code == 200
        for rating, ticket_id in enumerate(tickets[:3], start=3):
            assert customer.rate(ticket_id, rating, "Thank you.").status_code in (200, 201)
        assert agent.close(tickets[0], "Done.").status_code == 200
        assert customer.call("DELETE", f"/tickets/{tickets[-1]}").status_code == 200
        assert admin.assign(tickets[6], OTHER_AGENT_ID).status_code == 200
    return Counter(
        {
            "ticket.created": 8,
            "ticket.assigned": 7,
            "ticket.message.new": 6,
            "ticket.status_changed": 6,
            "ticket.resolved": 4,
            "ticket.satisfaction.received": 3,
            "ticket.closed": 1,
            "ticket.deleted": 1,
        }
    )


UNPUBLISHED = {"ticket.status_changed", "ticket.deleted"}


FACTS_OF_WORKERS = Counter({"ticket.created": 1})
"""The ticket of another service is opened by a worker, and counted there."""


def published_of(facts: Counter[str]) -> int:
    return sum(count for name, count in (facts + FACTS_OF_WORKERS).items() if name not in UNPUBLISHED)


@pytest.fixture(scope="module")
def facts(site: Site, shop: Shop) -> Counter[str]:
    """What has been done, and been heard of on the exchange; the same for all tests."""
    facts = act(site.fleet)
    shop.wait_for_consumers(2)
    data = {"order_id": 5, "user_id": CUSTOMER_ID, "issue_type": "damaged"}
    shop.tell([envelope("order.issue", data, id=str(uuid4()), request_id=FOREIGN_REQUEST_ID)])
    published = published_of(facts)
    wait_until(
        lambda: len({delivery.event["id"] for delivery in site.listener.deliveries}) >= published + 1,
        timeout_seconds=SETTLE_SECONDS,
        what="all events, the foreign one among them",
    )
    return facts


def test_the_numbers_equal_the_truth(site: Site, facts: Counter[str], ports: dict[str, int]) -> None:
    worker = f"http://{LOOPBACK}:{ports['WORKER_METRICS_PORT']}"
    published = published_of(facts)
    wait_until(
        lambda: counted(scrape(worker), "sav_effects_done_total", "effect")["publish_event"] >= published,
        timeout_seconds=SETTLE_SECONDS,
        what="the workers' own account",
    )

    of_workers = scrape(worker)
    done = counted(of_workers, "sav_effects_done_total", "effect")
    assert done["publish_event"] == published
    assert done["handle_received_event"] == 1
    assert counted(of_workers, "sav_effects_failed_total", "effect") == {}
    tries = counted(of_workers, "sav_effect_duration_seconds_count", "effect")
    # One try publishes events of several tickets.
    assert 0 < tries["publish_event"] <= published
    told = counted(of_workers, "sav_ticket_events_total", "event")
    assert told["ticket.created"] == FACTS_OF_WORKERS["ticket.created"]

    # Whichever web process answers.
    for _ in range(4):
        of_web = scrape(site.fleet.url)
        assert counted(of_web, "sav_ticket_events_total", "event") == facts
        first = counted(of_web, "sav_first_response_seconds_count", "priority")
        assert first == {"low": 1, "high": 1, "urgent": 1, "normal": 3}
        resolved = counted(of_web, "sav_resolution_seconds_count", "priority")
        assert resolved == {"low": 1, "high": 1, "urgent": 1, "normal": 1}
        assert value(of_web, "sav_satisfaction_rating_count") == 3
        assert value(of_web, "sav_satisfaction_rating_sum") == 3 + 4 + 5
        requests = "sav_http_request_duration_seconds_count"
        assert value(of_web, requests, method="POST", route="/tickets", status_class="2xx") == 8
        assign = "/tickets/{ticket_id}/assign"
        assert value(of_web, requests, method="POST", route=assign, status_class="2xx") == 7


def test_the_desk_and_the_pipeline_are_as_they_are(site: Site, facts: Counter[str]) -> None:
    # Both processes were asked while things happened; what is older than this is read again.
    wait_until(
        lambda: all(_is_settled(scrape(site.fleet.url)) for _ in range(4)),
        timeout_seconds=SETTLE_SECONDS,
        what="numbers of after the last action",
    )
    numbers = scrape(site.fleet.url)
    assert counted(numbers, "sav_tickets", "status") == {
        "open": 1,
        "assigned": 1,
        "in_progress": 2,
        "resolved": 3,
        "closed": 1,
    }
    assert counted(numbers, "sav_tickets", "priority") == {"low": 1, "high": 1, "urgent": 1, "normal": 5}
    assert counted(numbers, "sav_agent_load", "agent_id") == {str(AGENT_ID): 2, str(OTHER_AGENT_ID): 1}
    assert counted(numbers, "sav_effects_given_up", "effect") == {}
    for part in ("database", "desk", "broker", "storage"):
        assert value(numbers, "sav_up", part=part) == 1
    assert value(numbers, "sav_queue_messages", queue="inbox") == 0
    assert value(numbers, "sav_queue_messages", queue="dead_letters") == 0
    # One tap in each worker process.
    assert value(numbers, "sav_queue_consumers", queue="inbox") == 2


def _is_settled(numbers: Numbers) -> bool:
    tickets = sum(counted(numbers, "sav_tickets", "status").values())
    return tickets == 8 and not counted(numbers, "sav_effects_owed", "effect")


def test_one_scheduler_leads(site: Site, ports: dict[str, int]) -> None:
    scheduler = f"http://{LOOPBACK}:{ports['SCHEDULER_METRICS_PORT']}"
    wait_until(
        lambda: value(scrape(scheduler), "sav_scheduler_leads") == 1,
        timeout_seconds=SETTLE_SECONDS,
        what="a leader",
    )
    assert value(scrape(scheduler), "sav_scheduler_ticks_total", job="housekeeping") == 1


def test_a_request_is_followed_through_every_log_line(site: Site, facts: Counter[str]) -> None:
    web, worker = lines(site.fleet.log("http")), lines(site.fleet.log("worker"))
    told = [
        line for line in web if line["message"] == "ticket created" and line.get("request_id") == REQUEST_ID
    ]
    assert len(told) == 5
    for line in told:
        assert (line["action"], line["level"]) == ("ticket.created", "info")
        (published,) = [
            found
            for found in worker
            if found["message"] == "event published" and found["event_id"] == line["event_id"]
        ]
        assert (published["ticket_id"], published["request_id"]) == (line["ticket_id"], REQUEST_ID)
    received = [line for line in worker if line.get("action") == "handle_received_event"]
    assert {line["request_id"] for line in received} == {FOREIGN_REQUEST_ID}


def test_a_request_is_one_trace_over_processes(site: Site, collector: Collector) -> None:
    request_id, private = "traced-request", "Zanzibar-camille"
    with Customer(site.fleet, CUSTOMER_ID) as customer:
        body = {"subject": private, "description": private}
        ticket_id = opened(customer.open(body, request_id=request_id))
    wait_until(
        lambda: "publish_event" in {span.name for span in collector.of_request(request_id)},
        timeout_seconds=SETTLE_SECONDS,
        what="the span of the last job",
    )
    wait_until(
        lambda: "POST /tickets" in {span.name for span in collector.of_request(request_id)},
        timeout_seconds=SETTLE_SECONDS,
        what="the span of the request",
    )
    spans = collector.of_request(request_id)
    (request,) = [span for span in spans if span.name == "POST /tickets"]
    (publication,) = [span for span in spans if span.name == "publish_event"]
    assert {span.trace_id for span in spans} == {request.trace_id}
    assert publication.parent_span_id == request.span_id
    inserts = [span for span in spans if span.name == "INSERT"]
    assert "support_tickets" in " ".join(attributes(span)["db.query.text"] for span in inserts)
    # Under the request, or under one of the jobs that it has caused.
    assert {span.parent_span_id for span in inserts} <= {span.span_id for span in spans}
    assert request.span_id in {span.parent_span_id for span in inserts}
    # Whoever hears the event can go on with the trace.
    (delivery,) = [
        delivery
        for delivery in site.listener.deliveries
        if delivery.event["data"].get("ticket_id") == ticket_id
    ]
    headers = delivery.properties.headers or {}
    trace_id, span_id = publication.trace_id.hex(), publication.span_id.hex()
    assert headers["traceparent"] == f"00-{trace_id}-{span_id}-01"
    assert not [span for span in collector.spans if private.encode() in span.SerializeToString()]


def test_without_the_broker_metrics_are_answered_and_say_so(site: Site) -> None:
    site.cable.black_hole()
    try:
        wait_until(
            lambda: all(value(scrape(site.fleet.url), "sav_up", part="broker") == 0 for _ in range(4)),
            timeout_seconds=SETTLE_SECONDS,
            what="the broker to be missed",
        )
        numbers = scrape(site.fleet.url)
        assert not [name for name, _ in numbers if name.startswith("sav_queue_")]
        assert value(numbers, "sav_up", part="database") == 1
    finally:
        site.cable.mend()


def lines(log: Path) -> list[dict[str, Any]]:
    """Every line of ours; what starts before the logs are set up is not JSON."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
