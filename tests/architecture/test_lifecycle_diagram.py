"""The page about the life of a ticket says what the code's table says: no more, no less."""

import re
from pathlib import Path

from sav.domain.ticket_lifecycle import ACTIONS, STATUSES, TRANSITIONS, InvalidTransition, next_status

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
DASH = "\N{EN DASH}"
Edge = tuple[str, str, str]


def edges_of_the_code() -> set[Edge]:
    """Every (from, action, to) that `next_status` can give, whether the ticket is somebody's or not."""
    found: set[Edge] = set()
    for status in STATUSES:
        for action in ACTIONS:
            for has_assignee in (True, False):
                try:
                    following = next_status(status=status, action=action, has_assignee=has_assignee)
                except InvalidTransition:
                    continue
                found.add((status, action, following))
    return found


def lines_of_the_table() -> list[list[str]]:
    table = PAGE[PAGE.index("| from") : PAGE.index("\n\n", PAGE.index("| from"))]
    head, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return [head, *lines]


def lines_of_the_diagram() -> list[str]:
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", PAGE, re.DOTALL)
    return [line.strip() for line in diagram.strip().splitlines()]


def test_the_table_is_the_codes() -> None:
    head, *lines = lines_of_the_table()
    assert head[1:] == list(ACTIONS)
    assert [line[0] for line in lines] == list(STATUSES)
    written = {
        (line[0], action): re.sub("[¹²³]", "", cell)
        for line in lines
        for action, cell in zip(head[1:], line[1:], strict=True)
    }
    assert {pair: status for pair, status in written.items() if status != DASH} == TRANSITIONS


def test_the_tables_footnotes_are_where_they_belong() -> None:
    head, *lines = lines_of_the_table()
    marked = {
        (line[0], action, cell[-1])
        for line in lines
        for action, cell in zip(head, line, strict=True)
        if cell[-1] in "¹²³"
    }
    assert marked == {
        ("open", "resolve", "¹"),
        ("assigned", "assign", "²"),
        ("in_progress", "assign", "²"),
        ("waiting_customer", "assign", "²"),
        ("resolved", "customer_reply", "³"),
    }


def test_the_diagram_is_the_codes() -> None:
    lines = lines_of_the_diagram()
    edges = [
        (found[1], found[3], found[2])
        for line in lines
        if (found := re.fullmatch(r"(\w+) --> (\w+): (\w+)", line))
    ]
    ends = [line for line in lines if "[*]" in line]
    assert len(edges) + len(ends) == len(lines), "a line of the diagram is neither an edge nor an end"
    assert len(set(edges)) == len(edges), "an edge is drawn twice"
    assert set(edges) == edges_of_the_code()
    assert ends == ["[*] --> open", "closed --> [*]"]


def test_only_reopening_depends_on_the_assignee() -> None:
    table = {(status, action, following) for (status, action), following in TRANSITIONS.items()}
    assert edges_of_the_code() - table == {("resolved", "customer_reply", "open")}
    assert table <= edges_of_the_code()
