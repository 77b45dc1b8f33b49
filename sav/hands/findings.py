"""What an examination finds, and how examinations are run: all at the same time, each for so long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

EXAMINATION_TIMEOUT_SECONDS = 20.0
"""How long one examination may take; what it has found by then counts."""

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report: how something is, and what to do about it if it should not be so."""

    subject: str
    state: State
    says: str
    advice: str = ""


Examination = Callable[[], Iterator[Finding]]
"""Yields what it finds, one after the other, so that what comes before a failure is not lost."""


def ok(subject: str, says: str) -> Finding:
    return Finding(subject, "ok", says)


def warning(subject: str, says: str, advice: str) -> Finding:
    return Finding(subject, "warning", says, advice)


def failed(subject: str, says: str, advice: str) -> Finding:
    return Finding(subject, "failed", says, advice)


def examine(
    examinations: Mapping[str, Examination], *, timeout_seconds: float = EXAMINATION_TIMEOUT_SECONDS
) -> list[Finding]:
    """Everything that all of them find, in their order, after `timeout_seconds` at most."""
    runs = [_Run(subject, examination) for subject, examination in examinations.items()]
    give_up_at = time.monotonic() + timeout_seconds
    return [finding for run in runs for finding in run.findings(give_up_at)]


class _Run:
    """An examination in a thread of its own, which is left behind if it hangs."""

    def __init__(self, subject: str, examination: Examination) -> None:
        self._subject = subject
        self._examination = examination
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=f"examine-{subject}", daemon=True)
        self._thread.start()

    def findings(self, give_up_at: float) -> list[Finding]:
        self._thread.join(max(0.0, give_up_at - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(failed(self._subject, "it answers too slowly", "See its log, and the network."))
        return found

    def _run(self) -> None:
        try:
            for finding in self._examination():
                self._found.append(finding)
        except Exception as error:
            # The class alone: messages of strange errors may quote settings.
            problem = f"the examination itself failed: {type(error).__name__}"
            self._found.append(failed(self._subject, problem, "This is a mistake in sav; report it."))
