"""The commands that stand in the docs, and who runs them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"(?:^<!-- ([^\n>]+) -->\n)?^```(?:bash|sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Commands(NamedTuple):
    """A block of shell commands; `note` is the comment that stands before it."""

    page: str
    note: str
    text: str


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def commands_of(page: Path) -> list[Commands]:
    name = page.relative_to(ROOT).as_posix()
    return [Commands(name, note, text) for note, text in _FENCE.findall(page.read_text(encoding="utf-8"))]


def run_by(test: str) -> list[Commands]:
    """The blocks that say that this test runs them, in the order of their pages."""
    found = [block for page in pages() for block in commands_of(page) if block.note == f"run by {test}"]
    assert found, f"no page says that {test} runs its commands"
    return found
