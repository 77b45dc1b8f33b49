"""One trace from the request through its statements to the last job, sent to a collector when one is named.

A trace's id, and that of the request's span, follow from the request id. That is kept with every event and so
with every token, so no job needs anything else to find its trace: whether a hint, the relay or a fifth try
brought it about. Nothing of OpenTelemetry is imported unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set, and no
span holds what people wrote: no parameters of statements, no paths or query strings, no errors' messages.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

EXPORT_TIMEOUT_SECONDS = 3
"""How long the collector may take to accept spans; those that it does not take are lost, nothing else."""
EXPORT_INTERVAL_MILLISECONDS = 1000
FLUSH_MILLISECONDS = 2000
"""How long the end of a process waits for its last spans."""
STATEMENT_LENGTH = 2000

log = structlog.get_logger(__name__)

Value = str | int


class _State:
    """Set once at the start of each process; None while tracing is off."""

    provider: TracerProvider | None = None
    tracer: Tracer | None = None


_given_ids: ContextVar[tuple[int, int] | None] = ContextVar("given_ids", default=None)


def start_tracing(*, endpoint: str | None, service_name: str, environment: str) -> None:
    """Sends spans to an OTLP/HTTP collector from now on; does nothing without one."""
    if endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("tracing is not installed; install sav-service[tracing]", action="start")
        return
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS)
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_INTERVAL_MILLISECONDS)
    _start(processor, service_name=service_name, environment=environment)


def trace_into(exporter: SpanExporter) -> None:
    """Hands each span to `exporter` at once: for tests."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    _start(SimpleSpanProcessor(exporter), service_name="sav-service", environment="test")


def stop_tracing() -> None:
    """Sends what is left, and is off again."""
    if _State.provider is not None:
        _State.provider.force_flush(FLUSH_MILLISECONDS)
        _State.provider.shutdown()
    _State.provider = _State.tracer = None


def is_on() -> bool:
    return _State.tracer is not None


class TracingEnd:
    """Sends the last spans when a worker ends; it starts nothing."""

    def start(self) -> None: ...

    def stop(self, *, timeout_seconds: float = FLUSH_MILLISECONDS / 1000) -> bool:
        """Returns whether all were sent in time."""
        provider = _State.provider
        return provider is None or provider.force_flush(int(timeout_seconds * 1000))


@contextmanager
def request_span(request_id: str) -> Iterator[Span]:
    """The span of an HTTP request, the first of its trace. Only while tracing is on."""
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    # An empty context: whatever a thread did before is none of this request's business.
    with (
        _with_ids(ids_of(request_id)),
        _span("request", context=Context(), kind=SpanKind.SERVER, **{"sav.request_id": request_id}) as span,
    ):
        yield span


@contextmanager
def effect_span(effect: str, *, request_id: str | None, ticket_id: int) -> Iterator[None]:
    """One try of a side effect, in the trace of the request that caused it."""
    if not is_on():
        yield
        return
    about = _about_effect(effect, request_id, ticket_id)
    with _span(effect, context=_caused_by(request_id), kind=_consumer(), **about):
        yield


def begin_effect_span(effect: str, *, request_id: str | None, ticket_id: int) -> EffectSpan:
    """The same for one of many that are tried at once: what the thread does meanwhile is none of its own."""
    if _State.tracer is None:
        return EffectSpan(None)
    about = _about_effect(effect, request_id, ticket_id)
    return EffectSpan(
        _State.tracer.start_span(effect, context=_caused_by(request_id), kind=_consumer(), attributes=about)
    )


class EffectSpan:
    """A span that was begun, or nothing while tracing is off."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """In the form of W3C's header, for whoever is told."""
        if self._span is None:
            return None
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def end(self, error: BaseException | None) -> None:
        if self._span is None:
            return
        if error is not None:
            _note_error(self._span, error)
        self._span.end()


@contextmanager
def statement_span(system: str, statement: str) -> Iterator[None]:
    """One statement inside a request or an effect; what else a process asks the database is no trace."""
    from opentelemetry.trace import SpanKind, get_current_span

    if not get_current_span().is_recording():
        yield
        return
    verb = statement.split(maxsplit=1)[0].upper()
    text = statement[:STATEMENT_LENGTH]
    about: dict[str, Value] = {"db.system.name": system, "db.operation.name": verb, "db.query.text": text}
    with _span(verb, context=None, kind=SpanKind.CLIENT, **about):
        yield


def ids_of(request_id: str) -> tuple[int, int]:
    """The ids of a request's trace and of its span; zero is no id."""
    digest = hashlib.sha256(request_id.encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1


def _start(processor: Any, *, service_name: str, environment: str) -> None:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Those of the request when its span begins, else any."""

        def generate_trace_id(self) -> int:
            given = _given_ids.get()
            return super().generate_trace_id() if given is None else given[0]

        def generate_span_id(self) -> int:
            given = _given_ids.get()
            # Only the request's own span has it.
            _given_ids.set(None)
            return super().generate_span_id() if given is None else given[1]

    resource = Resource.create({"service.name": service_name, "deployment.environment.name": environment})
    _State.provider = TracerProvider(resource=resource, id_generator=Ids())
    _State.provider.add_span_processor(processor)
    _State.tracer = _State.provider.get_tracer("sav")


@contextmanager
def _with_ids(ids: tuple[int, int]) -> Iterator[None]:
    token = _given_ids.set(ids)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            _given_ids.reset(token)


@contextmanager
def _span(name: str, *, context: Any, kind: Any, **about: Value) -> Iterator[Span]:
    if _State.tracer is None:
        raise RuntimeError("tracing is off")
    with _State.tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=about,
        # Both would write down the error's message, which may quote what somebody wrote.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            _note_error(span, error)
            raise


def _about_effect(effect: str, request_id: str | None, ticket_id: int) -> dict[str, Value]:
    about: dict[str, Value] = {"sav.effect": effect, "sav.ticket_id": ticket_id}
    if request_id is not None:
        about["sav.request_id"] = request_id
    return about


def _consumer() -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind.CONSUMER


def _note_error(span: Span, error: BaseException) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))


def _caused_by(request_id: str | None) -> Any:
    """The context of the request's span, wherever it was; without a request, a trace of its own."""
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if request_id is None or _State.provider is None:
        return Context()
    trace_id, span_id = ids_of(request_id)
    # The sampler looks at the trace's id alone: so it decides here as it did there.
    decision = _State.provider.sampler.should_sample(None, trace_id, "request").decision
    flags = TraceFlags(TraceFlags.SAMPLED if decision == Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(parent), Context())
