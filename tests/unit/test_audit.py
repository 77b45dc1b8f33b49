"""What is made of the answers of pip-audit: known, not known, and nobody asked are three things."""

from tests.audit import judge

CLEAN = {"name": "falcon", "version": "4.4.0", "vulns": []}
UNKNOWN = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI and could not be audited"}
HOLED = {
    "name": "pika",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}],
}


def test_nothing_is_known() -> None:
    verdict = judge({"dependencies": [CLEAN]})
    assert verdict.exit_code == 0
    assert verdict.lines == ["audited: 1, vulnerable: 0"]


def test_a_vulnerability_is_told_and_fails() -> None:
    verdict = judge({"dependencies": [CLEAN, HOLED, UNKNOWN]})
    assert verdict.exit_code == 1
    assert verdict.lines[0] == "VULNERABLE: pika 1.0: PYSEC-1, fixed in ['1.1']"


def test_nobody_asked_is_not_taken_for_nothing_known() -> None:
    verdict = judge({"dependencies": [UNKNOWN]})
    assert verdict.exit_code == 0
    assert verdict.lines[0] == "warning: NOT AUDITED, no advisories were had for: jinja2"
    assert verdict.lines[-1] == "audited: 0, vulnerable: 0"
