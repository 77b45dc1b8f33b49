"""A test that is skipped or expected to fail protects nothing: it counts as failed and fails the session."""

import json
import os
from pathlib import Path

import pytest

NOT_RUN = ("skipped", "xfailed", "xpassed")


class Outcomes:
    """Sums up at the end of the session; with xdist only in the process that hears from all workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @property
    def _stats(self) -> dict[str, list[pytest.TestReport]]:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        return reporter.stats if reporter else {}

    @property
    def _not_run(self) -> list[tuple[str, pytest.TestReport]]:
        return [(outcome, report) for outcome in NOT_RUN for report in self._stats.get(outcome, [])]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._not_run and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if path := os.environ.get("SAV_TEST_OUTCOMES"):
            Path(path).write_text(json.dumps(self._counts()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._not_run:
            terminalreporter.section("tests that did not run count as failed", red=True)
            for outcome, report in self._not_run:
                terminalreporter.line(f"{outcome} {report.nodeid}: {_reason(report)}")

    def _counts(self) -> dict[str, int]:
        broken = [report for outcome in ("failed", "error") for report in self._stats.get(outcome, [])]
        return {"passed": len(self._stats.get("passed", [])), "failed": len(broken) + len(self._not_run)}


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(config), "sav-outcomes")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return str(getattr(report, "wasxfail", ""))
