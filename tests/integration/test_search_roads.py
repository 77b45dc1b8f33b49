"""A search finds the same tickets whichever way they are looked for."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sav.domain.caller import Caller
from sav.models.database import is_sqlite
from sav.models.tables import Ticket
from sav.queries import ticket_inbox, ticket_roads
from sav.queries.pages import PageRequest
from sav.queries.statement_limit import SearchTooSlow, limited_rows
from sav.queries.ticket_inbox import Order, TicketFilter, list_tickets
from tests.factories.tickets import make_ticket

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
# Stems that begin each other, accents, ligatures, short words, words with an underscore, numbers.
WORDS = [
    "écran", "ecran", "ECRANS", "remboursement", "rembourser", "remb", "Remboursé", "déjà", "deja",
    "de", "le", "TV", "tv5", "a", "à", "œuvre", "oeuvres", "cœur", "soeur", "Straße", "strasse",
    "file_name", "file", "CMD", "123456", "12345", "ça", "noël", "Noel", "naïf", "aujourd", "hui",
    "the", "not",
]  # fmt: skip
GLUE = [" ", "-", "'", "’", ", ", ". ", " (", ") ", "/", " \N{WRAPPED PRESENT} "]  # noqa: RUF001
SIGNS = ["", "", "+", "-", "*", '"', "(", "~", "@", "<"]
CALLERS = (Caller(1, "admin"), Caller(7, "agent"), Caller(1, "customer"))


def oracle(text: str, query: str) -> bool:
    words = re.findall(r"\w+", plain(text))
    return all(any(word.startswith(start) for word in words) for start in re.findall(r"\w+", plain(query)))


def plain(text: str) -> str:
    """Without capitals and accents, and on a server without ligatures."""
    text = text.lower() if is_sqlite() else text.casefold().replace("œ", "oe")
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def sees(caller: Caller, ticket: Ticket) -> bool:
    if caller.role == "agent":
        return ticket.status == "open" or ticket.assigned_to == caller.user_id
    return caller.role == "admin" or ticket.user_id == caller.user_id


@pytest.fixture
def corpus(empty_database: dict[str, str]) -> list[Ticket]:
    """Some tickets whose texts are made of the words, each word in some of them."""
    ticket_roads.forget_estimates()
    tickets = []
    for number in range(60):
        picked = [WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 7, 11)]
        glue = GLUE[number % len(GLUE)]
        tickets.append(
            make_ticket(
                "open" if number % 3 else "closed",
                user_id=1 + number % 2,
                subject=glue.join(picked[:2]),
                description=f"x{glue}{glue.join(picked[2:])}.",
                priority="urgent" if number % 5 == 0 else "normal",
                at=NOON + timedelta(minutes=number * 17 % 60),
            )
        )
    return tickets


queries = st.lists(
    st.tuples(st.sampled_from(SIGNS), st.sampled_from(WORDS), st.integers(1, 8), st.sampled_from(SIGNS)).map(
        lambda parts: parts[0] + parts[1][: parts[2]] + parts[3]
    ),
    min_size=1,
    max_size=3,
).map(" ".join)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    query=queries,
    caller=st.sampled_from(CALLERS),
    order=st.sampled_from(["-created_at", "updated_at", "-priority"]),
)
def test_every_road_finds_what_the_oracle_finds(
    corpus: list[Ticket], query: str, caller: Caller, order: Order
) -> None:
    expected = {
        ticket.id
        for ticket in corpus
        if sees(caller, ticket) and oracle(f"{ticket.subject} {ticket.description}", query)
    }
    # All is read; the sample suffices, or sends on to one of the two roads, or to a second sample that does.
    # Which of these looks quicker is a matter of what a page costs; the one that does may take too long.
    roads = {
        "reading": (True, 0, 0, 7, 0, False),
        "index": (False, 1, 10**6, 1, 0, False),
        "sample, then index": (False, 5, 2, 7, 0, False),
        "sample, then reading": (False, 5, -1, 7, 0, False),
        "sample alone": (False, 1000, 2, 7, 0, False),
        "second sample, then reading": (False, 5, 10**6, 7, 10**9, False),
        "second sample alone": (False, 5, 10**6, 1000, 0, False),
        "index, then reading": (False, 1, 10**6, 1, 0, True),
        "reading, then index": (False, 1, 10**6, 7, 10**9, True),
    }
    for name, (few, sample, rare, wider, page_cost, is_slow) in roads.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ticket_roads, "_rows_of", lambda *_, few=few: 0 if few else ticket_roads.FEW + 1)
            patch.setattr(ticket_inbox, "SAMPLE", sample)
            patch.setattr(ticket_inbox, "RARE", rare)
            patch.setattr(ticket_inbox, "WIDER_SAMPLE", wider)
            patch.setattr(ticket_inbox, "PAGE_COST", page_cost)
            patch.setattr(ticket_inbox, "FEWEST_APART", -1 if name == "index" else 10**9)
            if is_slow:
                patch.setattr(ticket_inbox, "limited_rows", first_tries_fail)
            assert found(query, caller, order, per_page=100) == [expected], name
            pages = found(query, caller, order, per_page=7)
            assert [len(page) for page in pages[:-1]] == [7] * (len(pages) - 1), name
            assert set().union(*pages) == expected, name
            assert sum(map(len, pages)) == len(expected), name


def first_tries_fail(query: Any, *, seconds: float | None = None) -> Any:
    if seconds is not None:
        raise SearchTooSlow
    return limited_rows(query)


def found(query: str, caller: Caller, order: Order, *, per_page: int) -> list[set[int]]:
    """The ids of each page; the total is right on all of them."""
    pages, cursor, totals = [], None, set()
    while True:
        page = list_tickets(
            caller=caller,
            wanted=TicketFilter(text=query),
            order=order,
            page=PageRequest(per_page=per_page, cursor=cursor, include_total=True),
        )
        pages.append({ticket.id for ticket in page.rows})
        totals.add(page.total)
        cursor = page.next_cursor
        if cursor is None:
            assert totals == {sum(map(len, pages))}
            return pages
