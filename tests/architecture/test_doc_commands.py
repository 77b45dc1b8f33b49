"""Every command in the docs is run by a test, or says why not; and every link leads somewhere."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from sav.cli import main as sav
from sav.hands import (
    backfill_metrics,
    copy_files,
    dead_letters,
    import_tickets,
    link_guest_tickets,
    privacy,
    reindex_search,
    replay_events,
    sweep_files,
)
from tests.system.doc_commands import ROOT, Commands, commands_of, pages

# Every example of this page is run, by a test of its own that knows their answers.
GUIDE = ("docs/api.md", "tests/system/test_api_guide.py")
REASONS = {
    "it is what runs them",
    "it needs Docker; the file is checked by tests/architecture/test_deployment.py",
    "it needs a cluster; the manifests are checked by tests/architecture/test_deployment.py",
    "the ids are examples; tests/actors/hands/test_dead_letters.py runs each command",
    "the ids are examples; tests/actors/hands/test_replay_events.py runs each option",
}
PROGRAMS: dict[str, click.Command] = {
    "sav": sav,
    "scripts/backfill_metrics": backfill_metrics.main,
    "scripts/copy_files": copy_files.main,
    "scripts/dead_letters": dead_letters.main,
    "scripts/import_tickets": import_tickets.main,
    "scripts/link_guest_tickets": link_guest_tickets.main,
    "scripts/privacy": privacy.main,
    "scripts/reindex_search": reindex_search.main,
    "scripts/replay_events": replay_events.main,
    "scripts/sweep_files": sweep_files.main,
}


def blocks() -> list[Commands]:
    return [block for page in pages() for block in commands_of(page) if block.page != GUIDE[0]]


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    assert len(blocks()) >= 10
    for block in blocks():
        kind, _, reason = block.note.partition(": ")
        if kind.startswith("run by "):
            test = ROOT / kind.removeprefix("run by ")
            assert test.is_file(), f"{block.page}: {block.note}"
        else:
            assert kind in ("not run here", "not run by a test"), f"{block.page}: {block.text}"
            assert reason in REASONS, f"{block.page}: {block.note}"


def test_no_reason_is_left_over() -> None:
    assert {block.note.partition(": ")[2] for block in blocks()} - {""} == REASONS


def test_a_test_that_is_named_runs_what_the_pages_say() -> None:
    named = {block.note.removeprefix("run by ") for block in blocks() if block.note.startswith("run by ")}
    for test in named - {"tests/system/test_up.py"}:
        assert f'run_by("{test}")' in (ROOT / test).read_text(), test


def test_the_api_guide_has_its_test() -> None:
    page, test = GUIDE
    assert commands_of(ROOT / page)
    assert Path(page).name in (ROOT / test).read_text()


def own_commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of a program of ours in a block, in a table or in a sentence."""
    pattern = rf"(?:^|`)((?:{'|'.join(re.escape(name) for name in PROGRAMS)})(?: [^`\n#|…<]*)?)"
    for page in pages():
        text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
        for line in re.findall(pattern, text, re.MULTILINE):
            words = shlex.split(line)
            yield f"{page.relative_to(ROOT)}: {line}", words


def test_every_command_of_ours_that_is_named_exists() -> None:
    named = list(own_commands())
    assert len(named) > 30
    for where, (name, *words) in named:
        command, context = PROGRAMS[name], None
        try:
            while isinstance(command, click.Group) and words:
                context = command.make_context(name, [], parent=context, resilient_parsing=True)
                _, found, words = command.resolve_command(context, words)
                assert found is not None
                command = found
            options = {option for parameter in command.params for option in parameter.opts}
            options |= {option for parameter in command.params for option in parameter.secondary_opts}
        except click.UsageError as error:
            pytest.fail(f"{where}: {error.message}")
        unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - options - {"--help"}
        assert not unknown, f"{where}: {unknown}"


def kubectl_commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of `kubectl` in a block or in a sentence, but mere mentions of a command of its own."""
    for page in pages():
        text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
        for line in re.findall(r"(?:^|`|\| )(kubectl (?!exec`)[^`\n#|]+)", text, re.MULTILINE):
            yield f"{page.relative_to(ROOT)}: {line}", shlex.split(line)


def test_every_kubectl_command_names_the_namespace() -> None:
    overlay = yaml.safe_load((ROOT / "k8s" / "overlays" / "production" / "kustomization.yaml").read_text())
    commands = list(kubectl_commands())
    assert len(commands) > 8
    for where, words in commands:
        expected = ["create", "namespace"] if words[1] == "create" else ["--namespace"]
        assert words[1 : 1 + len(expected)] == expected, where
        assert words[2 if len(expected) == 1 else 3] == overlay["namespace"], where


LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alert_has_its_entry_in_the_runbook() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    page = (ROOT / "docs" / "observability.md").read_text().partition("## Alerts")[2]
    entries = dict(re.findall(r"^### (\w+)\n(.+?)(?=^### |\Z)", page, re.DOTALL | re.MULTILINE))
    assert alerts
    assert set(entries) == set(alerts)
    assert all(len(text.strip()) > 80 for text in entries.values())
    assert "observability.md#alerts" in (ROOT / "docs" / "operations.md").read_text()
