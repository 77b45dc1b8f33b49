"""The pages about events and metrics are what the code says."""

from pathlib import Path

import pytest

from sav.hands import event_docs, metrics_docs

PAGES = {**event_docs.PAGES, **metrics_docs.PAGES}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_page_is_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), "run `sav docs`"
