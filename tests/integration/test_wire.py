"""What goes over the wire together: in its order, all or nothing, and never taken for something else."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import peewee
import pymysql
import pytest

from sav.models.database import (
    NoTransaction,
    database,
    ensure_connection,
    execute_together,
    is_connection_lost,
    is_sqlite,
    snapshot,
    transaction,
)
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


def sign() -> str:
    return "?" if is_sqlite() else "%s"


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


def test_a_packet_out_of_its_turn_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    if is_sqlite():
        assert database.execute_sql("SELECT 1").fetchone() == (1,)
        return
    payload, packets = Wire.payload, [0]

    def out_of_turn(wire: Wire) -> bytes:
        packets[0] += 1
        if packets[0] == 3:
            wire._next_seq_id = (wire._next_seq_id + 1) % 256
        return payload(wire)

    with monkeypatch.context() as patch:
        patch.setattr(Wire, "payload", out_of_turn)
        with pytest.raises(peewee.OperationalError) as lost:
            database.execute_sql("SELECT 1 UNION SELECT 2")
    assert is_connection_lost(lost.value)
    ensure_connection()
    assert database.execute_sql("SELECT 3").fetchone() == (3,)


def test_reads_that_go_together_have_each_their_rows() -> None:
    reads = [
        ("SELECT 1 WHERE 1 = 0", []),
        (f"SELECT {sign()}, {sign()}", [2, "2; SELECT 3"]),
        ("SELECT 4", []),
    ]
    assert [list(rows) for rows in execute_together(reads)] == [[], [(2, "2; SELECT 3")], [(4,)]]


def test_of_reads_that_go_together_a_later_one_may_be_refused() -> None:
    with pytest.raises(peewee.DatabaseError, match="nowhere"):
        execute_together([("SELECT 1", []), ("SELECT some FROM nowhere", []), ("SELECT 3", [])])
    assert database.execute_sql("SELECT 4").fetchone() == (4,)


@pytest.mark.parametrize("error", [BrokenInto(), pymysql.err.OperationalError(min(LAST_WORDS), "farewell")])
def test_between_the_answers_of_two_reads_somebody_breaks_in(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    if is_sqlite():
        assert [list(rows) for rows in execute_together([("SELECT 1", []), ("SELECT 2", [])])] == [
            [(1,)],
            [(2,)],
        ]
        return
    read, answers = Wire._read_query_result, [0]  # type: ignore[attr-defined]

    def once_and_no_more(wire: Wire, unbuffered: bool = False) -> Any:
        answers[0] += 1
        if answers[0] == 2:
            raise error
        return read(wire, unbuffered)

    ensure_connection()
    with monkeypatch.context() as patch:
        patch.setattr(Wire, "_read_query_result", once_and_no_more)
        with pytest.raises((BrokenInto, peewee.OperationalError)):
            execute_together([("SELECT 1", []), ("SELECT 2", []), ("SELECT 3", [])])
    ensure_connection()
    assert [database.execute_sql(f"SELECT {number}").fetchone() for number in (4, 5)] == [(4,), (5,)]


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
