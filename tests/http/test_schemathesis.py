"""What a machine finds that knows nothing but the OpenAPI document: it sends what the document allows and what
it forbids, alone and in sequences, and holds every answer against it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import StopReason, events, from_schema
from schemathesis.engine.run import PhaseName

from tests.plugins.desk import Api

SEED = 20260329
TIME_LIMIT_SECONDS = 600
"""A net, not a plan: a run that ends here has left something out, and fails."""
PHASES = (PhaseName.EXAMPLES, PhaseName.COVERAGE, PhaseName.FUZZING, PhaseName.STATEFUL_TESTING)


def configuration(caller: Api, *, examples: int) -> schemathesis.Config:
    return schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "max-time": TIME_LIMIT_SECONDS,
            "headers": caller.headers,
            "continue-on-failure": True,
            "generation": {"deterministic": True, "max-examples": examples, "database": "none"},
            "phases": {
                "coverage": {"generate-duplicate-query-parameters": True},
                "stateful": {"max-steps": 6},
            },
        }
    )


def findings(stream: Iterator[Any]) -> tuple[list[str], Counter[PhaseName]]:
    """What broke, each told once, and how many requests each phase sent."""
    broken: dict[str, None] = {}
    requests: Counter[PhaseName] = Counter()
    for event in stream:
        if isinstance(event, events.NonFatalError):
            broken[f"{event.label}: {event.value!r}"] = None
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.EngineFinished):
            assert event.stop_reason is StopReason.COMPLETED
            broken |= {str(failure): None for failure in event.failures}
        elif isinstance(event, events.ScenarioFinished):
            requests[event.phase] += len(event.recorder.interactions)
            broken |= {failure: None for failure in _failures(event.recorder)}
    return list(broken), requests


def _failures(recorder: Any) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                yield "\n".join(
                    (
                        f"{recorder.label}: {check.name}: {check.failure_info.failure}",
                        check.failure_info.code_sample,
                        _answer(recorder, case_id),
                    )
                )


def _answer(recorder: Any, case_id: str) -> str:
    response = recorder.interactions[case_id].response
    return "" if response is None else f"{response.status_code} {response.text[:500]}"


@pytest.mark.parametrize("role", ["customer", "agent", "admin"])
def test_the_document_and_the_service_agree(api: Api, role: Any) -> None:
    caller = api.as_caller(role, 5)
    schema = schemathesis.openapi.from_wsgi(
        "/openapi.json", api.client.app, config=configuration(caller, examples=12)
    )

    broken, requests = findings(from_schema(schema).execute())

    assert not broken, "\n\n".join(broken)
    assert all(requests[phase] > 0 for phase in PHASES), requests
