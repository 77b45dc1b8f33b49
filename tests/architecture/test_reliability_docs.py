"""The table of outages names tests that exist, and no outage is without one."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "reliability.md").read_text()
OUTAGES = PAGE.partition("## Outages")[2].partition("## Bounds")[0]
ROWS = [line for line in OUTAGES.splitlines() if line.startswith("| ")][1:]
TESTS = re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)*)`", OUTAGES)


def test_every_outage_has_its_test() -> None:
    assert len(ROWS) == len(TESTS) >= 15


@pytest.mark.parametrize(("file", "names"), TESTS, ids=[file + names for file, names in TESTS])
def test_the_test_of_an_outage_exists(file: str, names: str) -> None:
    source = (PROJECT / file).read_text()
    for name in filter(None, names.split("::")):
        assert re.search(rf"(def|class) {name}\b", source), f"{name} is not in {file}"


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`(sav/[\w/]+\.py)`", PAGE))))
def test_the_files_it_names_exist(file: str) -> None:
    assert (PROJECT / file).exists()
