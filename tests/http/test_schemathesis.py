"""What a machine finds that knows nothing but the OpenAPI document.

It sends what the document allows and what it forbids, alone and in sequences, and holds every answer
against it.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import StopReason, events, from_schema
from schemathesis.engine.run import PhaseName

from sav.domain.caller import Role
from tests.plugins.desk import Api

PHASES = (PhaseName.EXAMPLES, PhaseName.COVERAGE, PhaseName.FUZZING, PhaseName.STATEFUL_TESTING)

# How a request that the document allows may be refused: the rows it names are not there, or their state,
# the caller's role or an If-Match that was made up forbid it.
REFUSALS = ["403", "404", "409", "412"]
# A cursor that was made up, a page beyond the 10,000th row.
LISTS = (
    "GET /tickets",
    "GET /tickets/{ticket_id}/messages",
    "GET /tickets/{ticket_id}/history",
    "GET /tickets/{ticket_id}/attachments",
    "GET /tickets/{ticket_id}/attachments/message/{message_id}",
    "GET /agents",
    "GET /privacy/exports",
    "GET /privacy/erasures",
    "GET /public/tickets/{ticket_number}",
)
# A time zone that there is not, and an end before the beginning.
SPANS = ("GET /tickets/statistics",)
# An agent who is not on the roster: 422, because the id stands in the body.
GIVES_TO_AGENTS = (
    "POST /tickets/{ticket_id}/assign",
    "PUT /tickets/{ticket_id}",
    "PATCH /tickets/{ticket_id}",
)
# What a file is, is said by its content, and random bytes are none of the kinds that are taken; and a message
# that is not there: 422, because its id stands in the form.
TAKES_FILES = (
    "POST /tickets/{ticket_id}/attachments",
    "POST /tickets/{ticket_id}/attachments/multiple",
    "POST /public/tickets/{ticket_number}/attachments",
)

LONG_INTEGER = re.compile(r"[0-9]{19}")


def refusable(operations: tuple[str, ...], *more: str) -> list[dict[str, Any]]:
    statuses = {"expected-statuses": ["2xx", "3xx", *REFUSALS, *more]}
    return [{"include-name": name, "checks": {"positive_data_acceptance": statuses}} for name in operations]


CONFIGURATION = {
    "seed": 20260329,
    "continue-on-failure": True,
    "generation": {"deterministic": True, "max-examples": 2, "database": "none"},
    "phases": {
        "examples": {"fill-missing": True, "extra-data-sources": {"responses": False}},
        "coverage": {"generation": {"mode": "positive"}, "generate-duplicate-query-parameters": True},
        "stateful": {"max-steps": 8},
    },
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", *REFUSALS]},
        # Its probe cannot call a WSGI application (schemathesis 4.32.5: "unexpected keyword argument
        # 'max_redirects'"); test_bad_input.py sends every operation without a token.
        "ignored_auth": {"enabled": False},
    },
    "operations": [
        *refusable((*LISTS, *SPANS), "400"),
        *refusable(GIVES_TO_AGENTS, "422"),
        *refusable(TAKES_FILES, "415", "422"),
    ],
}


def with_fresh_keys(app: Any) -> Any:
    """The application, but no Idempotency-Key comes twice.

    With another body that is refused, and the document has no words for it.
    """
    numbers = itertools.count()

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        key = environ.get("HTTP_IDEMPOTENCY_KEY", "")
        if 0 < len(key) <= 255:
            environ["HTTP_IDEMPOTENCY_KEY"] = f"{next(numbers)}-{key}"[:255]
        return app(environ, start_response)

    return call


def findings(stream: Iterator[Any]) -> tuple[set[str], Counter[PhaseName]]:
    """What broke, and how many requests each phase sent."""
    broken: set[str] = set()
    requests: Counter[PhaseName] = Counter()
    for event in stream:
        match event:
            case events.ScenarioFinished(phase=phase, recorder=recorder):
                requests[phase] += len(recorder.interactions)
                broken |= set(failures(recorder))
            case events.NonFatalError(label=label, value=error):
                broken.add(f"{label}: {error!r}")
            case events.FatalError(exception=error):
                raise error
            case events.EngineFinished(stop_reason=reason):
                assert reason is StopReason.COMPLETED
    return broken, requests


def failures(recorder: Any) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            response = recorder.interactions[case_id].response
            answer = "" if response is None else f"{response.status_code} {response.text[:500]}"
            failure, request = check.failure_info.failure, check.failure_info.code_sample
            # Metadata may hold anything but an integer beyond 64 bits, and its schema cannot say so.
            if "malformed_body" in answer and LONG_INTEGER.search(request):
                continue
            yield f"{recorder.label}: {check.name}: {failure}\n{request}\n{answer}"


@pytest.fixture
def schema(api: Api) -> Any:
    """The document, and the application behind it; with what is made of it once, for all roles."""
    config = schemathesis.Config.from_dict(CONFIGURATION)
    return schemathesis.openapi.from_wsgi("/openapi.json", with_fresh_keys(api.client.app), config=config)


@pytest.mark.timeout(900)
def test_the_document_and_the_service_agree(api: Api, schema: Any) -> None:
    roles: tuple[Role, ...] = ("customer", "agent", "admin")
    for role in roles:
        schema.config.headers = api.as_caller(role, 5).headers
        if role == "admin":
            # What is malformed is malformed for everybody; what is well-formed is each role's own affair.
            schema.config.phases.coverage.generation.modes = list(schemathesis.GenerationMode)

        broken, requests = findings(iter(from_schema(schema).execute()))

        assert not broken, f"as {role}:\n\n" + "\n\n".join(sorted(broken))
        assert all(requests[phase] >= 10 for phase in PHASES), requests
        assert requests[PhaseName.COVERAGE] >= (1500 if role == "admin" else 400), requests
