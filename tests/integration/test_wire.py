"""What goes over the wire together: in its order, all or nothing, and never taken for something else."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

import peewee
import pymysql
import pytest

from sav.models.database import NoTransaction, database, ensure_connection, is_sqlite, snapshot, transaction
from sav.models.prepared import insert_rows, insert_rows_later
from sav.models.tables import Ticket, TicketTag
from sav.models.wire import LAST_WORDS, Wire
from tests.actors.owed import new_ticket
from tests.actors.threads import at_the_same_time


@pytest.fixture(autouse=True)
def one_ticket(empty_database: dict[str, str]) -> None:
    new_ticket()


IN_TRANSACTION = 1
"""The server's word for it in each of its answers."""


def tag(name: str) -> list[dict[str, object]]:
    return [{"ticket_id": Ticket.get().id, "tag": name}]


def tags() -> set[str]:
    return {row.tag for row in TicketTag.select()}


def is_in_transaction() -> bool:
    connection = database.connection()
    return connection.in_transaction if is_sqlite() else bool(connection.server_status & IN_TRANSACTION)


def test_what_waits_is_written_before_what_comes_after_it() -> None:
    with transaction():
        insert_rows(TicketTag, tag("first"))
        insert_rows_later(TicketTag, tag("second"))
        assert tags() == {"first", "second"}
        insert_rows_later(TicketTag, tag("with the commit"))
    assert tags() == {"first", "second", "with the commit"}


@pytest.mark.parametrize("goes_with", ["the commit", "the next statement"])
def test_what_waits_and_is_refused_undoes_all(goes_with: str) -> None:
    def write() -> None:
        with transaction():
            insert_rows(TicketTag, tag("one"))
            insert_rows_later(TicketTag, tag("one"))
            if goes_with == "the next statement":
                insert_rows(TicketTag, tag("two"))

    # No duplicate of what was asked last, for which it might be taken.
    with pytest.raises(
        peewee.IntegrityError if is_sqlite() else peewee.InternalError, match=r"(?i)one|unique"
    ):
        write()
    assert (tags(), is_in_transaction()) == (set(), False)


def test_a_first_statement_that_is_refused_leaves_no_transaction_open() -> None:
    with pytest.raises(peewee.DatabaseError), transaction():
        database.execute_sql("SELECT nothing FROM nowhere")
    assert not is_in_transaction()
    with transaction():
        insert_rows(TicketTag, tag("later"))
    assert tags() == {"later"}


def test_a_duplicate_of_what_was_asked_last_is_told_as_one_and_the_transaction_goes_on() -> None:
    with transaction():
        insert_rows(TicketTag, tag("one"))
        insert_rows_later(TicketTag, tag("two"))
        with pytest.raises(peewee.IntegrityError):
            insert_rows(TicketTag, tag("one"))
        insert_rows_later(TicketTag, tag("three"))
    assert tags() == {"one", "two", "three"}


def test_what_is_given_up_is_forgotten() -> None:
    with suppress(ZeroDivisionError), transaction():
        insert_rows(TicketTag, tag("one"))
        insert_rows_later(TicketTag, tag("two"))
        raise ZeroDivisionError
    with transaction():
        pass
    assert (tags(), is_in_transaction()) == (set(), False)


def test_nothing_waits_outside_of_a_transaction() -> None:
    with pytest.raises(NoTransaction):
        insert_rows_later(TicketTag, tag("one"))


def test_texts_that_look_like_statements_are_texts() -> None:
    trick = "x'); DELETE FROM ticket_tags; COMMIT; -- %s \\"
    with transaction():
        insert_rows(TicketTag, tag("kept"))
        insert_rows_later(TicketTag, tag(trick))
    assert tags() == {"kept", trick}


def test_a_snapshot_is_one_state_and_what_comes_after_sees_the_next() -> None:
    def write() -> None:
        with transaction():
            insert_rows(TicketTag, tag("meanwhile"))

    with snapshot():
        assert tags() == set()
        at_the_same_time(write)
        assert tags() == set()
    with transaction():
        assert tags() == {"meanwhile"}


class BrokenInto(BaseException):
    """What a time limit raises in a thread, wherever it is just then."""


@contextmanager
def instead_of_an_answer(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Iterator[None]:
    """The next statement is sent, and its answer not read: `error` comes first."""
    read = Wire._read_query_result  # type: ignore[attr-defined]

    def once(wire: Wire, unbuffered: bool = False) -> None:
        monkeypatch.setattr(Wire, "_read_query_result", read)
        raise error

    # Used a moment ago, so that nobody asks whether it still works.
    ensure_connection()
    database.execute_sql("SELECT 1")
    ensure_connection()
    monkeypatch.setattr(Wire, "_read_query_result", once)
    yield
    monkeypatch.setattr(Wire, "_read_query_result", read)


@pytest.mark.parametrize("within", ["nothing", "a transaction"])
def test_an_answer_that_was_not_read_is_taken_for_no_other(
    monkeypatch: pytest.MonkeyPatch, within: str
) -> None:
    if is_sqlite():
        assert database.execute_sql("SELECT 2").fetchone() == (2,)
        return
    asked = nullcontext() if within == "nothing" else transaction()
    with instead_of_an_answer(monkeypatch, BrokenInto()), pytest.raises(BrokenInto), asked:
        insert_rows(TicketTag, tag("lost"))
    ensure_connection()
    assert [database.execute_sql(f"SELECT {number}").fetchone() for number in (2, 3)] == [(2,), (3,)]
    assert not is_in_transaction()
    # By itself it was sent, and may be done; a transaction was not ended.
    assert tags() <= ({"lost"} if within == "nothing" else set())


@pytest.mark.parametrize("number", sorted(LAST_WORDS))
def test_a_transaction_that_begins_with_a_servers_last_words_is_one_over_the_next_connection(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def half() -> None:
        with transaction():
            insert_rows(TicketTag, tag("half"))
            assert is_in_transaction()
            raise ZeroDivisionError

    if is_sqlite():
        with pytest.raises(ZeroDivisionError):
            half()
    else:
        with (
            instead_of_an_answer(monkeypatch, pymysql.err.OperationalError(number, "farewell")),
            pytest.raises(ZeroDivisionError),
        ):
            half()
    assert (tags(), is_in_transaction()) == (set(), False)
