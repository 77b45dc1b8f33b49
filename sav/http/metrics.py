"""`/metrics`: what the web processes have counted, and how the desk and the pipeline are, for Prometheus."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property

import falcon
from prometheus_client import CONTENT_TYPE_LATEST

from sav.domain.effects import RETRY_POLICIES
from sav.http.routes import Resource
from sav.models.database import connection
from sav.queries.desk_numbers import desk_numbers
from sav.queries.mail_health import mail_health
from sav.queries.pipeline_health import EffectHealth, pipeline_health
from sav.telemetry import metrics
from sav.telemetry.parts import Part, Sample, read_parts

PIPELINE_FRESH_SECONDS = 5.0
"""How old the numbers of the pipeline may be, the queues' lengths among them."""
DESK_FRESH_SECONDS = 30.0
"""How old the numbers of tickets and agents may be, which cost more to read."""


class Metrics(Resource):
    """Answers within a second, whatever is away; what could not be read is left out, and `sav_up` says so."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = metrics.counted_text() + read_parts(self._parts)

    @cached_property
    def _parts(self) -> list[Part]:
        parts = [
            Part("database", self._pipeline, fresh_seconds=PIPELINE_FRESH_SECONDS),
            Part("desk", _desk, fresh_seconds=DESK_FRESH_SECONDS),
            Part("storage", self._storage, fresh_seconds=PIPELINE_FRESH_SECONDS),
        ]
        if self.desk.queue_depths is not None:
            parts.append(Part("broker", self.desk.queue_depths, fresh_seconds=PIPELINE_FRESH_SECONDS))
        return parts

    def _pipeline(self) -> list[Sample]:
        return list(_pipeline_samples(self.desk.clock))

    def _storage(self) -> list[Sample]:
        self.desk.storage.check()
        return []


def _pipeline_samples(clock: Callable[[], datetime]) -> Iterator[Sample]:
    with connection():
        effects, mails = pipeline_health(now=clock()).effects, mail_health(now=clock())
    yield Sample(metrics.MAILS_DUE, mails.due)
    yield Sample(metrics.MAILS_FAILED, mails.failed)
    for effect in sorted({*RETRY_POLICIES, *effects}):
        health, labels = effects.get(effect, EffectHealth()), {"effect": effect}
        yield Sample(metrics.EFFECTS_OWED, health.owed, labels)
        yield Sample(metrics.EFFECTS_RETRYING, health.retrying, labels)
        yield Sample(metrics.EFFECTS_GIVEN_UP, health.given_up, labels)
        yield Sample(metrics.OLDEST_OWED_SECONDS, health.oldest_owed_seconds, labels)


def _desk() -> list[Sample]:
    with connection():
        numbers = desk_numbers()
    samples = [
        Sample(metrics.TICKETS, count, {"status": status, "priority": priority})
        for (status, priority), count in numbers.tickets.items()
    ]
    for agent in numbers.agents:
        labels = {"agent_id": str(agent.agent_id)}
        samples.append(Sample(metrics.AGENT_LOAD, agent.load, labels))
        samples.append(Sample(metrics.AGENT_CAPACITY, agent.capacity, labels))
    available = sum(agent.available for agent in numbers.agents)
    return [*samples, Sample(metrics.AGENTS_AVAILABLE, available)]
