"""What commands have in common that go through very many rows: their pace, and the place where they are."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

FINGERPRINT_LENGTH = 12
PAUSE_SECONDS = 0.01
"""Between two transactions, so that the service's own writes come in between."""

rate_option = click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Rows a second at most (no bound)."
)
pause_option = click.option(
    "--pause",
    type=click.FloatRange(min=0),
    default=PAUSE_SECONDS,
    show_default=True,
    help="Seconds between two transactions.",
)
resume_file_option = click.option(
    "--resume-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the place is kept, seen from the project's directory (a file in SAV_DATA_DIR).",
)
restart_option = click.option("--restart", is_flag=True, help="Begin anew, although a run was broken off.")


class Throttle:
    """Keeps to a pace, by pauses between the transactions."""

    def __init__(self, rate: float | None, pause_seconds: float = 0.0) -> None:
        self._seconds_each = 1 / rate if rate else 0.0
        self._pause_seconds = pause_seconds

    def wait_for(self, rows: int) -> None:
        """After a transaction with so many rows."""
        seconds = max(self._pause_seconds, rows * self._seconds_each)
        if seconds and rows:
            time.sleep(seconds)


class ResumeFile:
    """How far a run is, in a file: written beside it and moved over it, so that it is never half a place."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        self.path = file
        self._fingerprint = fingerprint

    def kept(self) -> dict[str, Any] | None:
        """The place of a run that was broken off; raises `click.ClickException` when it is another run's."""
        if not self.path.exists():
            return None
        try:
            place = dict(json.loads(self.path.read_text()))
            fingerprint = place.pop("fingerprint")
        except (ValueError, TypeError, KeyError, RecursionError):
            raise click.ClickException(
                f"{self.path} is not the file of such a run; remove it, or use --restart."
            ) from None
        if fingerprint != self._fingerprint:
            raise click.ClickException(
                f"{self.path} belongs to another run; name another file, or use --restart."
            )
        return place

    def keep(self, place: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.draft")
        draft.write_text(json.dumps({"fingerprint": self._fingerprint, **place}))
        os.replace(draft, self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def fingerprint_of(*parts: object) -> str:
    """Tells one run from another, by what it was told to do."""
    meaning = json.dumps([str(part) for part in parts])
    return hashlib.sha256(meaning.encode()).hexdigest()[:FINGERPRINT_LENGTH]
