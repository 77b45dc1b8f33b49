"""Everything dies at random while people write, and nothing is lost; `benchmarks.chaos` in short."""

import os
from pathlib import Path

import pytest

from benchmarks.chaos import Plan, run

PLAN = Plan(
    tickets=120,
    foreign=60,
    clients=8,
    seed=int(os.environ.get("SAV_TEST_SEED", "20261122")),
    deaths=7,
)


@pytest.mark.timeout(600)
def test_nothing_is_lost_when_everything_dies(server_directory: Path) -> None:
    outcome = run(PLAN, server_directory)
    print(f"seed {PLAN.seed}")
    print(*outcome.deaths, *outcome.lines, sep="\n")
    assert outcome.reconciliation.faults == []
    assert {death.name for death in outcome.deaths} == {"http", "worker", "scheduler", "broker", "database"}
    assert outcome.unanswered > 0, "no request was hit"
