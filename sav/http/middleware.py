"""What happens around every request: its id, its trace, and its line in the log."""

import time
from typing import Any
from uuid import uuid4

import falcon
import structlog

from sav.domain.occasion import is_sane_request_id
from sav.telemetry.metrics import NO_ROUTE, known_method, measure_request
from sav.telemetry.tracing import request_span

log = structlog.get_logger(__name__)


class RequestIds:
    """Takes the caller's X-Request-ID when it is sane, else makes one; echoes it, and binds it to the log."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = req.get_header("X-Request-ID") or ""
        request_id = given if is_sane_request_id(given) else str(uuid4())
        req.context.request_id = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        resp.set_header("X-Request-ID", request_id)


class Traces:
    """One span a request. Registered only while tracing is on."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.span_scope = request_span(req.context.request_id)
        req.context.span = req.context.span_scope.__enter__()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool
    ) -> None:
        span, status = req.context.span, falcon.http_status_to_code(resp.status)
        # The template, never the path: that may hold a guest's number.
        span.update_name(f"{known_method(req.method)} {req.uri_template or NO_ROUTE}")
        span.set_attribute("http.request.method", known_method(req.method))
        span.set_attribute("http.route", req.uri_template or NO_ROUTE)
        span.set_attribute("http.response.status_code", status)
        req.context.span_scope.__exit__(None, None, None)


class AccessLog:
    """One line a request, and its duration. Not the path, which may hold a guest's number."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.started = time.perf_counter()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool
    ) -> None:
        seconds = time.perf_counter() - req.context.started
        status = falcon.http_status_to_code(resp.status)
        measure_request(method=req.method, route=req.uri_template, status=status, seconds=seconds)
        log.info(
            "request answered",
            action="http_request",
            method=req.method,
            route=req.uri_template,
            status=status,
            duration_ms=round(seconds * 1000, 1),
        )
