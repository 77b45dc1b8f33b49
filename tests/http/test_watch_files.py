"""The dashboard and the alerts ask for metrics that there are, in sentences that Prometheus understands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from sav.telemetry.metrics import CATALOGUE_OF_METRICS, Described
from tests.http.test_metrics import scrape
from tests.plugins.desk import Api

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
RUNBOOK = ROOT / "docs" / "observability.md"
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL_RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in ALL_RULES if "record" in rule}
ENDS_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
DURATION = re.compile(r"[0-9]+[smhd]")
# Grafana and Prometheus add these themselves.
OF_THE_SCRAPE = {"le", "job", "instance", "pod"}


def targets() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


EXPRESSIONS = [
    *((rule.get("alert") or rule["record"], rule["expr"]) for rule in ALL_RULES),
    *targets(),
]


def described(name: str) -> Described | None:
    if name in CATALOGUE_OF_METRICS:
        return CATALOGUE_OF_METRICS[name]
    for end in ENDS_OF_HISTOGRAMS:
        found = CATALOGUE_OF_METRICS.get(name.removesuffix(end))
        if name.endswith(end) and found is not None and found.kind == "histogram":
            return found
    return None


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bsav[_:][a-z0-9_:]+", expression))


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_expression_is_understood_and_asks_for_what_there_is(where: str, expression: str) -> None:
    promql_parser.parse(expression)
    names = metrics_in(expression)
    assert names
    known: set[str] = set()
    for name in names - RECORDED:
        found = described(name)
        assert found is not None, name
        # A histogram or a counter is never asked for by its plain name by mistake.
        assert found.kind != "histogram" or name.endswith(ENDS_OF_HISTOGRAMS), name
        known |= set(found.labels)
    without_names = re.sub(r'"[^"]*"', "", expression)
    asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r"[=!]=\s", " ", without_names)))
    for labels in re.findall(r"\bby \(([^)]*)\)", without_names):
        asked |= {label.strip() for label in labels.split(",")}
    assert asked <= known | OF_THE_SCRAPE


def can_be_silenced(expression: str) -> bool:
    """Whether an alert about too little says nothing once the processes that it is about are gone.

    A series goes with its last process, and a comparison with nothing is nothing. That no web process
    answers has an alert of its own.
    """
    if not re.search(r"(?:==|!=|<=?)\s*[0-9.]+$", expression) or "absent(" in expression:
        return False
    places = {place for name in metrics_in(expression) for place in getattr(described(name), "places", ())}
    return "web" not in places and "or vector(0)" not in expression


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_no_alert_is_silenced_by_the_death_of_what_it_watches(alert: dict[str, Any]) -> None:
    assert not can_be_silenced(alert["expr"])


def test_an_alert_that_dies_with_its_processes_is_noticed() -> None:
    assert can_be_silenced("sum(sav_scheduler_leads) != 1")
    assert not can_be_silenced("(sum(sav_scheduler_leads) or vector(0)) != 1")
    assert "absent(sav_up" in next(rule["expr"] for rule in ALERTS if rule["alert"] == "SavWebAbsent")


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        promql_parser.parse("sum by (effect (sav_effects_owed)")


def test_all_of_them_are_in_a_real_answer_of_the_web_tier(api: Api) -> None:
    api.agent(7).get("/agents/me")
    answered = {name for name, _ in scrape(api)}
    asked = {name for _, expression in EXPRESSIONS for name in metrics_in(expression)} - RECORDED
    elsewhere = {name for name in asked if "web" not in getattr(described(name), "places", ())}
    # The broker's are there when there is a broker (tests/system/test_metrics.py).
    of_the_broker = {"sav_queue_messages", "sav_queue_consumers"}
    assert asked - elsewhere - of_the_broker <= answered


def test_every_metric_is_shown() -> None:
    shown = {described(name) for _, expression in targets() for name in metrics_in(expression)}
    recorded = {described(name) for rule in ALL_RULES for name in metrics_in(rule["expr"])}
    assert {one.name for one in (shown | recorded) if one} == set(CATALOGUE_OF_METRICS)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_every_alert_says_what_is_wrong_and_where_help_is(alert: dict[str, Any]) -> None:
    assert alert.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert DURATION.fullmatch(alert.get("for", "0s"))
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"].endswith(".")
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert ROOT / page == RUNBOOK
    assert anchor == alert["alert"].lower()
    sections = re.findall(rf"^### {alert['alert']}\n(.+?)(?=^### |\Z)", RUNBOOK.read_text(), re.M | re.S)
    assert len(sections) == 1
    assert len(sections[0].strip()) > 80


def test_the_runbook_knows_no_other_alerts() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == [
        alert["alert"] for alert in ALERTS
    ]


def test_names_are_used_once() -> None:
    names = [rule.get("alert") or rule["record"] for rule in ALL_RULES]
    assert len(names) == len(set(names))
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_metrics_that_the_runbook_names_exist() -> None:
    for name in metrics_in(RUNBOOK.read_text()) - RECORDED:
        assert described(name), name
