"""One trace from the request through its statements to its jobs, without a word that people wrote."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from falcon.testing import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from sav.actors.owed_effects import do_owed_effects
from sav.actors.publish_event import publish_events
from sav.domain.effects import HOUSEKEEPING
from sav.http.app import create_app
from sav.models.tables import DueEffect
from sav.operations.effect_claims import Claim, finish_effect
from sav.telemetry import tracing
from tests.actors.owed import Listener
from tests.plugins.desk import Api

REQUEST_ID = "request-7"
PRIVATE = ("Zanzibar", "camille.martin@example.org", "hunter2")


@pytest.fixture
def spans(api: Api) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.trace_into(exporter)
    api.client = TestClient(create_app(api.desk))
    yield exporter
    for span in exporter.get_finished_spans():
        assert not [word for word in PRIVATE if word in span.to_json()]
        assert span.events == ()
    tracing.stop_tracing()


def of_kind(spans: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.kind is kind]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def open_ticket(api: Api) -> int:
    fields = {"subject": PRIVATE[0], "description": PRIVATE[1], "category": PRIVATE[2]}
    return int(api.customer().opened(**fields)["id"])


def test_a_request_its_statements_and_its_jobs_are_one_trace(api: Api, spans: InMemorySpanExporter) -> None:
    body = {"subject": PRIVATE[0], "description": PRIVATE[1]}
    answer = api.customer().post("/tickets", body, headers={"X-Request-ID": REQUEST_ID})
    ticket_id = answer.json["id"]
    heard: list[str | None] = []

    class Listening(Listener):
        def __call__(self, events: Any) -> list[BaseException | None]:
            heard.extend(event.traceparent for event in events)
            return [None] * len(events)

    publish_events([ticket_id], publish=Listening())

    trace_id, span_id = tracing.ids_of(REQUEST_ID)
    finished = spans.get_finished_spans()
    assert {span.context.trace_id for span in finished} == {trace_id}
    (request,) = of_kind(spans, SpanKind.SERVER)
    assert (request.context.span_id, request.parent, request.name) == (span_id, None, "POST /tickets")
    assert attributes(request) == {
        "sav.request_id": REQUEST_ID,
        "http.request.method": "POST",
        "http.route": "/tickets",
        "http.response.status_code": 201,
    }
    statements = of_kind(spans, SpanKind.CLIENT)
    assert {span.parent.span_id for span in statements if span.parent} == {span_id}
    assert any("support_tickets" in attributes(span)["db.query.text"] for span in statements)
    assert {span.name for span in statements} >= {"INSERT"}
    (effect,) = of_kind(spans, SpanKind.CONSUMER)
    assert effect.parent is not None
    assert (effect.parent.span_id, effect.name) == (span_id, "publish_event")
    assert attributes(effect)["sav.ticket_id"] == ticket_id
    assert heard == [f"00-{trace_id:032x}-{effect.context.span_id:016x}-01"]


def test_each_try_of_an_effect_is_in_the_trace(api: Api, spans: InMemorySpanExporter) -> None:
    ticket_id = open_ticket(api)
    publish_events([ticket_id], publish=Listener(fail_at=1))
    DueEffect.update(lease_owner=None, leased_until=None).execute()
    publish_events([ticket_id], publish=Listener())
    (request,) = of_kind(spans, SpanKind.SERVER)
    failed, done = of_kind(spans, SpanKind.CONSUMER)
    assert failed.context.trace_id == done.context.trace_id == request.context.trace_id
    assert failed.context.span_id != done.context.span_id
    assert (failed.status.status_code, done.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert attributes(failed)["error.type"] == "ConnectionError"


def test_what_the_desk_does_without_a_request_is_a_trace_of_its_own(
    api: Api, spans: InMemorySpanExporter
) -> None:
    now = api.clock.now
    DueEffect.insert(effect=HOUSEKEEPING, ticket_id=0, sequence=1, due_at=now, created_at=now).execute()

    def fail(claim: Claim) -> None:
        finish_effect(claim)
        raise RuntimeError(PRIVATE[0])

    do_owed_effects(HOUSEKEEPING, fail)
    (effect,) = of_kind(spans, SpanKind.CONSUMER)
    assert (effect.parent, effect.status.description) == (None, None)
    (statement,) = of_kind(spans, SpanKind.CLIENT)
    assert statement.parent is not None
    assert statement.parent.span_id == effect.context.span_id


def test_requests_do_not_run_into_each_other(api: Api, spans: InMemorySpanExporter) -> None:
    for path in (f"/tickets?q={PRIVATE[0]}", f"/no/{PRIVATE[2]}", "/tickets/999"):
        api.customer().get(path)
    requests = of_kind(spans, SpanKind.SERVER)
    assert [span.name for span in requests] == ["GET /tickets", "GET (none)", "GET /tickets/{ticket_id}"]
    assert len({span.context.trace_id for span in requests}) == 3
    assert all(span.parent is None for span in requests)


def test_off_there_is_nothing(api: Api) -> None:
    exporter = InMemorySpanExporter()
    tracing.trace_into(exporter)
    tracing.stop_tracing()
    client = TestClient(create_app(api.desk))
    assert client.simulate_get("/status").status_code == 200
    assert exporter.get_finished_spans() == ()
    assert tracing.begin_effect_span("notify", request_id=None, ticket_id=7).traceparent is None


def test_nothing_is_imported_unless_a_collector_is_named() -> None:
    program = "import sys, sav.bootstrap, sav.launch.up; print(*(m for m in sys.modules if 'opentele' in m))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
