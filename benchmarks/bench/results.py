"""What a run has measured so far: one JSON file, whole after each block."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.bench.blocks import Sample
from benchmarks.bench.bounds import Profile
from benchmarks.bench.figures import Spread

FACT_PACKAGES = ("falcon", "gunicorn", "peewee", "PyMySQL", "dramatiq")


@dataclass
class Results:
    """`facts` say where and how; `troubles` what broke off."""

    facts: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        """In one step, so that whoever looks never finds half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        half.write_text(json.dumps(asdict(self), indent=1) + "\n")
        half.replace(path)

    @property
    def blocks(self) -> list[str]:
        return list(dict.fromkeys(sample["block"] for sample in self.samples))

    def whats(self, block: str) -> list[str]:
        return list(dict.fromkeys(sample["what"] for sample in self.samples if sample["block"] == block))

    def spread(self, block: str, what: str, name: str) -> Spread | None:
        values = [s[name] for s in self.samples if (s["block"], s["what"]) == (block, what) and name in s]
        return Spread.of(values) if values else None


def facts(profile: Profile, *, sizes: Sequence[str], server: dict[str, str], rounds: int) -> dict[str, Any]:
    """Where and how it was measured; nothing that names a machine."""
    return {
        "started_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        **server,
        **{package: version(package) for package in FACT_PACKAGES},
        "sizes": list(sizes),
        **asdict(profile),
        "rounds": rounds,
    }


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def errors(samples: Iterable[Sample]) -> int:
    """How many answers were errors, in all."""
    return sum(int(sample.get("errors", 0)) for sample in samples)
