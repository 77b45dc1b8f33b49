"""The pages about events are what the code says."""

from pathlib import Path

import pytest

from sav.hands.event_docs import PAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_page_is_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), "run `sav docs`"
