"""`sav doctor`: examines everything that the service depends on, and says what to do."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from sav.bootstrap import initialise_database
from sav.hands.examinations import examinations
from sav.hands.findings import Finding, State, examine
from sav.settings import Settings

_COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "failed": "red"}


def report(settings: Settings, *, as_json: bool) -> bool:
    """Examines everything and prints what was found; returns whether nothing has failed."""
    initialise_database(settings)
    findings = examine(examinations(settings))
    healthy = not any(finding.state == "failed" for finding in findings)
    if as_json:
        click.echo(json.dumps({"healthy": healthy, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        for finding in findings:
            click.echo(_line(finding))
        click.echo(_summary(findings))
    return healthy


def _line(finding: Finding) -> str:
    # The first word is coloured on a terminal alone; click leaves colours out of files and pipes.
    state = click.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    advice = f" → {finding.advice}" if finding.advice else ""
    return f"{state} {finding.subject:<15} {finding.says}{advice}"


def _summary(findings: list[Finding]) -> str:
    states = [finding.state for finding in findings]
    return f"{states.count('ok')} ok, {states.count('warning')} warnings, {states.count('failed')} failed."
