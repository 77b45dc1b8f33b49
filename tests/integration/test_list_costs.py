"""Lists read about as many rows as they show, however many tickets there are.

Counted by the server itself (`Handler_read_*`): what an optimiser decides shows there, whatever it says.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sav.domain.caller import Caller
from sav.models.database import database, is_sqlite
from sav.models.tables import Ticket, TicketTag
from sav.queries import statement_limit, ticket_inbox, ticket_roads
from sav.queries.conversation import list_history, list_messages, unread_count
from sav.queries.pages import PageRequest, encode_cursor
from sav.queries.statement_limit import SearchTooSlow, limited_rows
from sav.queries.ticket_inbox import Order, TicketFilter, list_tickets
from tests.factories.messages import make_message
from tests.factories.tickets import make_ticket
from tests.http.problems import problem
from tests.plugins.desk import Api

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
NOISE = 3_000
PER_PAGE = 10
MOST_ROWS = 40 * PER_PAGE
"""Index entries, rows and temporary tables of both sets that an agent sees; far less than the noise."""
ORDERS: tuple[Order, ...] = ("-created_at", "created_at", "-updated_at", "updated_at", "-priority")
ADMIN, AGENT, CUSTOMER = Caller(99, "admin"), Caller(7, "agent"), Caller(1, "customer")

FILTERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "open": {"status": ["open"]},
    "closed": {"status": ["closed"]},
    "three statuses": {"status": ["open", "assigned", "closed"]},
    "priority": {"priority": ["urgent"]},
    "category": {"category": ["legal"]},
    "category of nobody": {"category": ["nothing"]},
    "source": {"source": ["chat"]},
    "tag": {"tag": ["recall"]},
    "tag of nobody": {"tag": ["nothing"]},
    "nobody's": {"assigned_to": "none", "status": ["open"]},
    "in hand": {"assigned_to": 7, "status": ["assigned"]},
    "owner": {"user_id": 1},
    "two": {"status": ["closed"], "category": ["legal"]},
    "a day": {"created_from": NOON - timedelta(days=1), "created_to": NOON},
    "a word": {"text": "umbrella", "user_id": 1},
}


@pytest.fixture
def noise(empty_database: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of closed tickets, older and newer, among few of each other kind."""
    monkeypatch.setattr(ticket_roads, "FEW", 50)
    ticket_roads.forget_estimates()
    if not is_sqlite():
        # What was deleted and is not swept away yet would count in the server's estimates.
        for statement in (
            "SET foreign_key_checks = 0",
            # The full-text index is made anew, too, and without English stop words as it was.
            "SET SESSION innodb_ft_enable_stopword = OFF",
            "TRUNCATE TABLE support_tickets",
            "SET foreign_key_checks = 1",
        ):
            database.execute_sql(statement)
    first = NOON - timedelta(days=2000)
    Ticket.insert_many(
        {
            "ticket_number": f"NOISE-{number}", "user_id": 1000 + number % 500, "assigned_to": 500,
            "subject": "Parcel", "description": "Never came.", "status": "closed", "priority": "normal",
            "category": "order", "source": "web", "tags": [], "metadata": {},
            "created_at": first + timedelta(days=number), "updated_at": first + timedelta(days=number),
        }
        for number in range(NOISE)
    ).execute()  # fmt: skip
    for number in range(12):
        at = NOON - timedelta(hours=number)
        make_ticket(user_id=1, at=at, priority="urgent", subject="Umbrella")
        make_ticket("assigned", user_id=2, at=at, category="legal", source="chat")
        marked = make_ticket("closed", user_id=1, at=at, category="legal")
        TicketTag.create(ticket_id=marked.id, tag="recall")
    if not is_sqlite():
        database.execute_sql("ANALYZE TABLE support_tickets, ticket_tags").fetchall()


def rows_read() -> int:
    """How many rows this session has been given by the storage engine; 0 for ever on SQLite."""
    if is_sqlite():
        return 0
    found = database.execute_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").fetchall()
    return sum(int(value) for _, value in found)


@pytest.mark.parametrize("caller", [ADMIN, AGENT, CUSTOMER], ids=lambda caller: caller.role)
def test_lists_read_about_what_they_show(noise: None, caller: Caller) -> None:
    read = {}
    for name, wanted in FILTERS.items():
        for order in ORDERS:
            if caller is CUSTOMER and wanted.get("user_id"):
                continue
            page = PageRequest(per_page=PER_PAGE)
            shown = list_tickets(caller=caller, wanted=TicketFilter(**wanted), order=order, page=page)
            before = rows_read()
            again = list_tickets(caller=caller, wanted=TicketFilter(**wanted), order=order, page=page)
            read[name, order] = rows_read() - before
            assert [row.id for row in shown.rows] == [row.id for row in again.rows]
    assert {case: rows for case, rows in read.items() if rows > MOST_ROWS} == {}


@pytest.mark.parametrize("order", ORDERS)
def test_a_cursor_in_the_middle_reads_no_more(noise: None, order: Order) -> None:
    middle = Ticket.get(Ticket.ticket_number == f"NOISE-{NOISE // 2}")
    key = 2 if order == "-priority" else middle.created_at
    page = PageRequest(per_page=PER_PAGE, cursor=encode_cursor(order, key, middle.id))
    for wanted in ({}, {"status": ["closed"]}, {"user_id": middle.user_id}):
        # The first time it is also estimated how many tickets the filter leaves.
        list_tickets(caller=ADMIN, wanted=TicketFilter(**wanted), order=order, page=page)
        before = rows_read()
        list_tickets(caller=ADMIN, wanted=TicketFilter(**wanted), order=order, page=page)
        assert rows_read() - before < MOST_ROWS, wanted


def test_what_hangs_on_a_ticket_is_read_by_its_key(noise: None) -> None:
    quiet, loud = make_ticket(), make_ticket()
    for _ in range(200):
        make_message(loud)
    for number in range(3):
        make_message(quiet, user_id=50 + number)
    before = rows_read()
    assert len(list_messages(caller=ADMIN, ticket_id=quiet.id, page=PageRequest()).rows) == 3
    assert unread_count(caller=ADMIN, ticket_id=quiet.id) == 3
    assert not list_history(caller=ADMIN, ticket_id=quiet.id, page=PageRequest()).rows
    assert rows_read() - before < 100


def test_a_search_that_takes_too_long_is_broken_off(
    noise: None, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_sqlite():
        assert limited_rows(Ticket.select(Ticket.id).limit(1))
        return
    monkeypatch.setattr(statement_limit, "SEARCH_SECONDS", 0.02)
    first, second, third = Ticket.alias(), Ticket.alias(), Ticket.alias()
    # Only all three together tell that nothing fits.
    too_much = first.select(first.id).join(second, on=(second.id > 0)).join(third, on=(third.id > 0))
    with pytest.raises(SearchTooSlow):
        limited_rows(too_much.where(first.id + second.id + third.id < 0))

    def slow(query: Any, **options: Any) -> Any:
        raise SearchTooSlow

    monkeypatch.setattr("sav.queries.ticket_inbox.limited_rows", slow)
    answer = api.admin().get("/tickets", params={"q": "\N{ROCKET}"})
    problem(answer, 503, "search_too_slow")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("order", ORDERS)
def test_a_search_looks_at_a_sample_before_it_asks_the_full_text_index(
    noise: None, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    monkeypatch.setattr(ticket_inbox, "SAMPLE", 50)
    monkeypatch.setattr(ticket_inbox, "WIDER_SAMPLE", 60)
    # As little as this table is, to read all of it would look cheap.
    monkeypatch.setattr(ticket_inbox, "PAGE_COST", 0)
    monkeypatch.setattr(ticket_inbox, "FIRST_TRY_SECONDS", 60)
    page = PageRequest(per_page=PER_PAGE)
    # The second filter's oldest tickets are in no index of their own.
    for filters in ({}, {"updated_from": NOON - timedelta(days=1000)}):
        wanted = TicketFilter(text="mistletoe", **filters)
        list_tickets(caller=ADMIN, wanted=wanted, order=order, page=page)
        before = rows_read()
        assert not list_tickets(caller=ADMIN, wanted=wanted, order=order, page=page).rows
        assert rows_read() - before < MOST_ROWS, filters


def test_no_list_is_read_by_skipping_through_an_index(empty_database: dict[str, str]) -> None:
    """At a hundred thousand tickets MySQL did, for the list by priority: all of them, and then sorted."""
    switches = "" if is_sqlite() else database.execute_sql("SELECT @@optimizer_switch").fetchone()[0]
    assert "skip_scan=on" not in switches
