"""`/metrics`: the pipeline's health, for Prometheus."""

import falcon
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from sav.http.routes import Resource
from sav.models.database import ensure_connection
from sav.queries.pipeline_health import pipeline_health

GAUGES = {
    "owed": ("sav_effects_owed", "Side effects that are due, or that wait for another try."),
    "given_up": ("sav_effects_given_up", "Side effects that failed too often; an operator should look."),
    "oldest_owed_seconds": ("sav_oldest_owed_effect_seconds", "Age of the oldest side effect not done."),
}
"""Each number of `PipelineHealth`, as Prometheus knows it."""


class Metrics(Resource):
    """Made anew for each scrape, from the database: right under any number of processes."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        ensure_connection()
        health = pipeline_health(now=self.desk.clock())
        registry = CollectorRegistry()
        for field, (name, meaning) in GAUGES.items():
            Gauge(name, meaning, registry=registry).set(getattr(health, field))
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(registry)
