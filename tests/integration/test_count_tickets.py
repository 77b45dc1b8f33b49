"""Counting: each ticket once, beside writers and readers, and again when somebody spoilt the sums."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sav.domain.caller import Caller
from sav.domain.statistics import Span, Statistics
from sav.models.database import connection, is_sqlite
from sav.models.tables import CountedTicket, DeskCount, Ticket, WiderCount
from sav.operations.count_tickets import count_changed_tickets, count_for_a_while
from sav.operations.recount_tickets import (
    Recounted,
    days_to_recount,
    recount_load,
    recount_sums_of,
    recount_tickets_of,
    recount_wider_sums,
)
from sav.operations.settle_ticket import close_ticket, resolve_ticket
from sav.queries import statistics
from sav.queries.statistics import read_statistics
from tests.actors.threads import at_the_same_time
from tests.factories.tickets import make_ticket
from tests.plugins.desk import occasion

pytestmark = pytest.mark.usefixtures("empty_database")

NOW = datetime(2026, 3, 30, 12, 0, tzinfo=UTC)
NOON_OF_LONG_AGO = NOW - timedelta(days=100)


def numbers(**span: datetime) -> Statistics:
    return read_statistics(caller=Caller(99, "admin"), span=Span(**span), zone=ZoneInfo("UTC"), now=NOW)


def sums() -> set[tuple[Any, ...]]:
    return {
        (row.kind, row.slot, row.label, row.tickets, row.micros)
        for row in DeskCount.select().where(DeskCount.slot >= 0, DeskCount.tickets != 0)
    }


def some_tickets() -> None:
    at = NOW - timedelta(days=2)
    for number in range(6):
        make_ticket(at=at + timedelta(hours=7 * number), category="order" if number % 2 else None)
    make_ticket("resolved", at=at, resolved_at=at + timedelta(days=1), first_response_at=at)
    make_ticket("closed", at=at, resolved_at=NOW, closed_at=NOW, satisfaction_rating=4, reopen_count=2)
    make_ticket("assigned", at=at, escalated_at=NOW)
    make_ticket(at=at, deleted_at=NOW)


def recount(*, repair: bool) -> Recounted:
    found = Recounted()
    for day in days_to_recount(since=None, until=None, now=NOW):
        for part in recount_tickets_of(day, repair=repair):
            found += part
        found += recount_sums_of(day, repair=repair)
    return found + recount_load(repair=repair) + recount_wider_sums(repair=repair)


def test_counting_changes_no_number() -> None:
    some_tickets()
    before = numbers()
    assert count_for_a_while()
    assert not Ticket.select().where(Ticket.uncounted).exists()
    assert CountedTicket.select().count() == 9
    assert numbers() == before


def test_turns_of_an_older_version_make_no_number_wrong() -> None:
    some_tickets()
    count_for_a_while()
    # It changes the sums, and not the wider ones.
    DeskCount.update(tickets=DeskCount.tickets + 1).where(DeskCount.slot == -1).execute()
    WiderCount.update(tickets=WiderCount.tickets + 5).where(WiderCount.width > 0).execute()
    assert recount(repair=False).wrong_sums > 0
    before = numbers()
    assert before.total == 9
    count_changed_tickets()
    assert recount(repair=False) == Recounted(10)
    assert numbers() == before


def test_durations_that_an_older_version_counted_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FEW_VALUES", 0)
    for number in range(30):
        at = NOON_OF_LONG_AGO + timedelta(days=number)
        took = timedelta(seconds=7**number % 100_003, microseconds=number)
        make_ticket("resolved", at=at, resolved_at=at + took, first_response_at=at + 2 * took)
    before = numbers()
    count_for_a_while()
    assert numbers() == before
    expected = sums()
    # It changes the sums, and those of durations by their size not at all.
    DeskCount.update(tickets=DeskCount.tickets + 1).where(DeskCount.slot == -1).execute()
    WiderCount.update(tickets=WiderCount.tickets + 1).where(WiderCount.slot == -1).execute()
    DeskCount.update(label="7").where(DeskCount.kind == "resolution_in", DeskCount.label != "7").execute()
    assert numbers() == before
    count_changed_tickets()
    assert sums() == expected
    assert recount(repair=False) == Recounted(30)
    assert numbers() == before


def test_counting_again_changes_nothing() -> None:
    some_tickets()
    count_for_a_while()
    before = sums()
    assert count_changed_tickets() == 0
    Ticket.update(uncounted=True).execute()
    assert count_changed_tickets() == 10
    assert sums() == before


def test_a_turn_has_an_end() -> None:
    for _ in range(3):
        make_ticket()
    assert count_changed_tickets(limit=2) == 2
    assert not count_for_a_while(tickets=0)
    assert Ticket.select().where(Ticket.uncounted).count() == 1


def test_counting_is_no_change_of_the_ticket() -> None:
    ticket = make_ticket()
    before = Ticket.get_by_id(ticket.id)
    count_for_a_while()
    after = Ticket.get_by_id(ticket.id)
    assert (after.version, after.updated_at, after.revision(internal=True)) == (
        before.version,
        before.updated_at,
        before.revision(internal=True),
    )


def test_whatever_changes_marks_its_ticket() -> None:
    ticket = make_ticket("assigned")
    count_for_a_while()
    resolve_ticket(occasion=occasion("admin", 99), ticket_id=ticket.id, resolution="Done.")
    assert Ticket.get_by_id(ticket.id).uncounted
    assert numbers().by_status["resolved"] == 1


def test_a_ticket_that_is_gone_leaves_nothing_in_the_sums() -> None:
    ticket = make_ticket()
    count_for_a_while()
    Ticket.update(deleted_at=NOW, uncounted=True).where(Ticket.id == ticket.id).execute()
    count_for_a_while()
    assert sums() == set()
    assert numbers().total == 0


def test_many_count_and_many_write_at_once() -> None:
    tickets = [make_ticket("assigned", at=NOW - timedelta(hours=number)) for number in range(40)]
    wrong: list[int] = []

    def count() -> None:
        with connection():
            while count_changed_tickets(limit=3):
                pass

    def write() -> None:
        with connection():
            for ticket in tickets:
                resolve_ticket(occasion=occasion("admin", 99, NOW), ticket_id=ticket.id, resolution="Done.")
                close_ticket(occasion=occasion("admin", 99, NOW), ticket_id=ticket.id)

    def read() -> None:
        with connection():
            for _ in range(30):
                found = numbers()
                wrong.extend(
                    {found.total, sum(found.by_status.values()), sum(found.by_priority.values())} - {40}
                )

    at_the_same_time(count, count, write, read)
    assert wrong == []
    count_for_a_while()
    assert numbers().by_status["closed"] == 40
    assert recount(repair=False) == Recounted(tickets=40)


def test_what_is_right_is_found_right() -> None:
    some_tickets()
    assert recount(repair=False) == Recounted(tickets=10, wrong_tickets=9)
    count_for_a_while()
    assert recount(repair=False) == Recounted(tickets=10)


def test_recounting_counts_what_nobody_has() -> None:
    some_tickets()
    before = numbers()
    assert recount(repair=True) == Recounted(tickets=10, wrong_tickets=9)
    assert not Ticket.select().where(Ticket.uncounted).exists()
    assert numbers() == before


def test_recounting_repairs_what_was_spoilt() -> None:
    some_tickets()
    before = numbers()
    count_for_a_while()
    right = sums()
    DeskCount.update(tickets=DeskCount.tickets + 5).where(
        DeskCount.kind.in_(["status", "opened", "load"])
    ).execute()
    DeskCount.delete().where(DeskCount.kind == "closed").execute()
    DeskCount.insert(kind="category", slot=slot(NOW), label="made up", tickets=7, micros=0).execute()
    # By hand, without a mark; and a row that is gone altogether.
    Ticket.update(status="assigned", assigned_to=8).where(Ticket.status == "open").execute()
    vanished = make_ticket(at=NOW)
    count_changed_tickets()
    Ticket.delete().where(Ticket.id == vanished.id).execute()
    assert numbers() != before

    assert recount(repair=False).wrong_tickets == 7
    assert recount(repair=True).wrong_tickets == 7
    assert recount(repair=False) == Recounted(tickets=10)
    assert numbers().by_status["assigned"] == 7
    Ticket.update(status="open", assigned_to=None).where(Ticket.assigned_to == 8).execute()
    recount(repair=True)
    assert (numbers(), sums()) == (before, right)


def slot(at: datetime) -> int:
    return int(at.timestamp()) // 86400 * 96


def test_a_span_of_days_leaves_the_others_alone() -> None:
    some_tickets()
    assert days_to_recount(since=None, until=date(2026, 3, 28), now=NOW) == [date(2026, 3, 28)]
    for _ in recount_tickets_of(date(2026, 3, 29), repair=True):
        pass
    counted = {row.created_at.date() for row in CountedTicket.select()}
    assert counted == {date(2026, 3, 29)}


def test_the_median_of_many_tickets_is_read_off_an_index() -> None:
    plan = "EXPLAIN QUERY PLAN " if is_sqlite() else "EXPLAIN "
    make_ticket("resolved", at=NOW)
    count_for_a_while()
    column = CountedTicket.first_response_micros
    query = CountedTicket.select(column).where(column.is_null(False)).order_by(column).limit(2).offset(9)
    statement, values = query.sql()
    text = str(CountedTicket._meta.database.execute_sql(plan + statement, values).fetchall())
    assert "first_response" in text
