"""`scripts/reindex_search`: it sees an index that is wrong, and makes it right."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sav.hands.reindex_search import main
from sav.models.database import database, is_sqlite
from sav.models.tables import Ticket
from sav.operations import rebuild_search
from sav.queries.ticket_search import Search
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, environment
from tests.factories.tickets import make_ticket

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture(autouse=True)
def tickets(settings: Settings) -> Iterator[None]:
    for word in ("libellule", "éléphant", "hippopotame"):
        make_ticket(subject=f"Un {word}")
    yield
    # The database is everybody's.
    for step in rebuild_search.rebuild_steps():
        rebuild_search.rebuild(step)


def found(word: str) -> int:
    count: int = Ticket.select().where(Search(word).by_index()).count()
    return count


def test_a_right_index_is_left_alone_by_a_dry_run(command_line: CommandLine) -> None:
    result = command_line(main, "--dry-run")
    assert (result.exit_code, "3 of 3 tickets are found" in result.output) == (0, True), result.output


def test_it_is_right_after_it_was_made_anew(command_line: CommandLine) -> None:
    result = command_line(main, "--yes")
    assert (result.exit_code, "The index is right." in result.output) == (0, True), result.output
    assert [found(word) for word in ("libellule", "éléphant", "hippo", "girafe")] == [1, 1, 1, 0]
    # It keeps itself up to date again.
    make_ticket(subject="Une girafe")
    assert found("girafe") == 1
    if not is_sqlite():
        names = {index.name for index in database.get_indexes("support_tickets")}
        assert rebuild_search.INDEX in names
        assert rebuild_search.DRAFT not in names


def test_writes_do_not_wait_before_somebody_has_said_so(command_line: CommandLine) -> None:
    result = command_line(main, answer="n\n")
    assert (result.exit_code, "will make writes wait" in result.output) == (1, True)


def test_one_that_was_broken_off_goes_on(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    built = rebuild_search.rebuild

    def die_before_the_swap(step: rebuild_search.Step) -> None:
        if step == "swap":
            raise KeyboardInterrupt
        built(step)

    with monkeypatch.context() as patch:
        patch.setattr("sav.hands.reindex_search.rebuild", die_before_the_swap)
        assert command_line(main, "--yes").exit_code == 1
    # What was there serves, whether the new one is there or not.
    assert found("libellule") == 1
    assert rebuild_search.rebuild_steps() == (["build", "swap"] if is_sqlite() else ["swap"])
    assert command_line(main, "--yes").exit_code == 0
    assert found("libellule") == 1


def index_names() -> set[str]:
    return {index.name for index in database.get_indexes("support_tickets")}


def test_between_the_old_one_and_the_new_name_searches_go_on(command_line: CommandLine) -> None:
    """Where a kill may leave a server: the old index is gone, the new one has still its own name."""
    rebuild_search.rebuild("build")
    if not is_sqlite():
        database.execute_sql("ALTER TABLE support_tickets DROP INDEX search")
    assert found("libellule") == 1
    assert command_line(main, "--yes").exit_code == 0
    assert found("libellule") == 1
    if not is_sqlite():
        assert {rebuild_search.INDEX, rebuild_search.DRAFT} & index_names() == {rebuild_search.INDEX}


def test_what_a_killed_run_has_left_to_the_server_is_not_done_again() -> None:
    for step in rebuild_search.rebuild_steps():
        rebuild_search.rebuild(step)
        rebuild_search.rebuild(step)
        assert found("libellule") == 1
    if not is_sqlite():
        assert {rebuild_search.INDEX, rebuild_search.DRAFT} & index_names() == {rebuild_search.INDEX}


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_killed_while_it_is_at_work_the_next_run_ends_it(
    settings: Settings, command_line: CommandLine, seconds: float
) -> None:
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    command = [str(SCRIPTS / "reindex_search"), "--yes"]
    with subprocess.Popen(
        command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stderr is not None
        assert any("rebuilding begins" in line for line in run.stderr)
        time.sleep(seconds)
        os.killpg(run.pid, signal.SIGKILL)
    assert found("libellule") == 1, "whichever index is there serves"
    assert command_line(main, "--yes").exit_code == 0
    assert [found(word) for word in ("libellule", "éléphant", "girafe")] == [1, 1, 0]
    if not is_sqlite():
        assert {rebuild_search.INDEX, rebuild_search.DRAFT} & index_names() == {rebuild_search.INDEX}


def test_an_index_that_lost_something_is_seen_and_repaired(command_line: CommandLine) -> None:
    if not is_sqlite():
        # A server's index is behind glass; without it nothing is found at all.
        database.execute_sql("ALTER TABLE support_tickets DROP INDEX search")
        # As it is built, so that tests after this one find "the".
        database.execute_sql("SET SESSION innodb_ft_enable_stopword = OFF")
        database.execute_sql(
            "ALTER TABLE support_tickets ADD FULLTEXT KEY search_rebuilt (subject, description)"
        )
    else:
        ticket = Ticket.select().first()
        database.execute_sql(
            "INSERT INTO ticket_search(ticket_search, rowid, subject, description) "
            "VALUES ('delete', ?, ?, ?)",
            (ticket.id, ticket.subject, ticket.description),
        )
        result = command_line(main, "--dry-run")
        assert (result.exit_code, "2 of 3 tickets are found" in result.output) == (1, True)
        assert "does not fit its texts" in result.output
    assert command_line(main, "--yes").exit_code == 0
    assert found("libellule") == 1


def test_the_script_warns_of_what_it_does() -> None:
    usage = subprocess.run(
        [str(SCRIPTS / "reindex_search"), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "READ THIS FIRST" in usage.stdout
