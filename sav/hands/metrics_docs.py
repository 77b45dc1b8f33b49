"""docs/metrics.md, from the metrics in the code."""

from collections.abc import Callable
from pathlib import Path

from sav.telemetry.metrics import CATALOGUE_OF_METRICS, Described

_HEAD = """# Metrics

What Prometheus is told. The web processes answer at `/metrics` on `APP_PORT`; workers and schedulers on a
port of their own, once `WORKER_METRICS_PORT` and `SCHEDULER_METRICS_PORT` name one. Counters and histograms
are added up over all processes that one command has started, and begin at zero with it; in `sav up` one
process is all of them. A gauge is read when somebody asks, from where the truth is. Alerts, and what to do:
[observability.md](observability.md).

This page is written by `sav docs`; do not edit it.

| Metric | Type | Labels | From | What it means |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [_row(described) for described in sorted(CATALOGUE_OF_METRICS.values(), key=lambda one: one.name)]
    return _HEAD + "".join(rows)


PAGES: dict[Path, Callable[[], str]] = {Path("docs/metrics.md"): page}


def _row(described: Described) -> str:
    labels = ", ".join(f"`{label}`" for label in described.labels)
    places = ", ".join(described.places)
    return f"| `{described.name}` | {described.kind} | {labels} | {places} | {described.meaning} |\n"
