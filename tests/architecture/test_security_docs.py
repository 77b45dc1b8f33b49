"""The page on security lists every parser of outside bytes, and tests that exist and fuzz them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "security.md").read_text().partition("## Fuzzed")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.+?) \| `(sav/[\w/]+\.py)` \| `(tests/[\w/]+\.py)::(\w+)` \|$", TABLE, re.MULTILINE)
# Where bytes, headers, texts or answers from outside are taken apart.
TAKES_APART = re.compile(
    r"orjson\.loads|json\.loads|b64decode|parse_qsl|ip_address\(|fromisoformat|zipfile\.|struct\.|\.recv\(|"
    r"MultipartForm|is_sane_request_id\(text|WORD\.findall"
)
# These read what we have written ourselves, or pass bytes on.
OWN_BYTES = {
    "sav/launch/web_worker.py": "passes bytes on to gunicorn's parser",
    "sav/models/result_rows.py": "reads columns, as the driver does",
    "sav/models/fields.py": "reads columns",
    "sav/actors/event_file.py": "reads the file that it has written",
    "sav/operations/build_export.py": "reads our own rows and answers",
    "sav/operations/export_rows.py": "reads our own rows",
    "sav/hands/backfill_metrics.py": "its own resume file, and days typed by an operator",
    "sav/hands/replay_events.py": "its own resume file, and times typed by an operator",
}


def test_the_table_is_read() -> None:
    assert len(ROWS) >= 20
    assert len([line for line in TABLE.splitlines() if line.startswith("| ")]) == len(ROWS) + 1


@pytest.mark.parametrize(("what", "parser", "file", "test"), ROWS, ids=[f"{row[1]}:{row[3]}" for row in ROWS])
def test_every_row_names_a_parser_and_a_test_that_fuzzes(
    what: str, parser: str, file: str, test: str
) -> None:
    assert (ROOT / parser).is_file(), what
    source = (ROOT / file).read_text()
    decorators = re.search(rf"((?:^[@ )].*\n)+)^def {test}\(", source, re.MULTILINE)
    assert decorators, f"{test} is not in {file}"
    assert "@given(" in decorators[1], f"{test} is not given anything"


def test_every_test_that_fuzzes_the_parsers_is_run() -> None:
    source = (ROOT / "tests/unit/test_fuzzed_parsers.py").read_text()
    assert source.count("@given(") == len(re.findall(r"^def test_", source, re.MULTILINE))


def test_no_parser_is_missing() -> None:
    listed = {parser for _, parser, _, _ in ROWS} | set(OWN_BYTES)
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "sav").rglob("*.py")
        if TAKES_APART.search(path.read_text())
    }
    assert found - listed == set()
