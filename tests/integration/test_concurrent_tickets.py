"""Many hands on one ticket at once: one history, and nobody's change is lost."""

import itertools
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
from falcon.testing import Result

from sav.models.database import NestedTransaction, connection, database, transaction
from sav.models.tables import Agent, Event, Message, MessageReceipt, Ticket, TicketNumberSequence, TicketTag
from sav.operations import ticket_numbering
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from tests.actors.threads import at_the_same_time
from tests.factories.agents import make_agent
from tests.factories.messages import make_message
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api, occasion, open_database

OWNER, ASSIGNEE, OTHER_AGENT, ADMIN = 1, 7, 8, 99
ROUNDS = 5
Call = Callable[[], Result]


@pytest.fixture(autouse=True)
def _agents(empty_database: dict[str, str]) -> None:
    for user_id in (ASSIGNEE, OTHER_AGENT):
        make_agent(user_id)


def statuses(*calls: Call) -> Counter[int]:
    """What the calls are answered that are made at the same time."""
    return Counter(answer.status_code for answer in at_the_same_time(*calls))


def history(ticket_id: int) -> list[Event]:
    return list(Event.select().where(Event.ticket_id == ticket_id).order_by(Event.sequence))


def check_history(ticket_id: int) -> list[Event]:
    """One line of changes: no place is missing, and each one begins where the last one has ended."""
    ticket, events = Ticket.get_by_id(ticket_id), history(ticket_id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    published = [event.published_sequence for event in events if event.published_sequence is not None]
    assert published == list(range(1, len(published) + 1))
    assert (ticket.event_count, ticket.published_event_count) == (len(events), len(published))
    no_change = ("ticket.created", "ticket.note.added")
    changes = {event.request_id for event in events if event.name not in no_change}
    assert ticket.version == len(changes) + 1
    last: dict[str, Any] = {}
    for event in events:
        for field, change in event.changes.items():
            if field != "content":
                assert last.get(field, change["from"]) == change["from"], (event.sequence, field)
                last[field] = change["to"]
    for field in ("status", "assigned_to", "priority", "category", "subject", "tags"):
        assert getattr(ticket, field) == last.get(field, getattr(ticket, field)), field
    return events


def test_two_agents_who_take_one_ticket(api: Api) -> None:
    for _ in range(ROUNDS):
        ticket_id = api.customer(OWNER).opened()["id"]
        takes = [
            partial(api.agent(who).post, f"/tickets/{ticket_id}/assign", {"agent_id": who})
            for who in (ASSIGNEE, OTHER_AGENT)
        ]
        # For whoever came second it is out of sight.
        assert statuses(*takes) == {200: 1, 404: 1}
        assigned = check_history(ticket_id)[1:]
        assert [event.name for event in assigned] == ["ticket.assigned"]
        assert Ticket.get_by_id(ticket_id).assigned_to == assigned[0].data["agent_id"]


def test_two_admins_who_give_it_to_different_agents(api: Api) -> None:
    for _ in range(ROUNDS):
        ticket_id = api.customer(OWNER).opened()["id"]
        gives = [
            partial(api.admin().post, f"/tickets/{ticket_id}/assign", {"agent_id": who})
            for who in (ASSIGNEE, OTHER_AGENT)
        ]
        assert statuses(*gives) == {200: 2}
        first, second = check_history(ticket_id)[1:]
        assert first.data["previous_agent_id"] is None
        assert second.data["previous_agent_id"] == first.data["agent_id"] != second.data["agent_id"]


@pytest.mark.parametrize(
    ("status", "action", "body", "told"),
    [
        ("assigned", "resolve", {"resolution": "Sent again."}, ["ticket.resolved"]),
        ("assigned", "close", None, ["ticket.closed"]),
        ("open", "resolve", {"resolution": "Sent again."}, ["ticket.assigned", "ticket.resolved"]),
    ],
)
def test_what_can_be_done_once_is_done_once(
    api: Api, status: Any, action: str, body: Any, told: list[str]
) -> None:
    ticket_id = make_ticket(status).id
    calls = [partial(api.admin(who).post, f"/tickets/{ticket_id}/{action}", body) for who in range(100, 106)]
    assert statuses(*calls) == {200: 1, 409: 5}
    assert [event.name for event in check_history(ticket_id)] == told


def test_one_rating(api: Api) -> None:
    ticket_id = make_ticket("closed").id
    rates = [
        partial(api.customer(OWNER).post, f"/tickets/{ticket_id}/satisfaction", {"rating": stars})
        for stars in range(1, 6)
    ]
    assert statuses(*rates) == {200: 1, 409: 4}
    (event,) = check_history(ticket_id)
    assert Ticket.get_by_id(ticket_id).satisfaction_rating == event.data["rating"]


def test_no_edit_is_lost(api: Api) -> None:
    ticket_id = make_ticket("in_progress").id
    changes: list[dict[str, Any]] = [
        {"priority": "high"},
        {"category": "delivery"},
        {"subject": "Found parcel"},
        {"description": "It came."},
        {"internal_notes": "Calm them."},
        {"metadata": {"order_id": 5}},
        {"status": "waiting_customer"},
    ]
    edits = [partial(api.admin().put, f"/tickets/{ticket_id}", body) for body in changes]
    assert statuses(*edits) == {200: len(edits)}
    check_history(ticket_id)
    ticket = Ticket.get_by_id(ticket_id)
    assert {name: getattr(ticket, name) for body in changes for name in body} == {
        name: value for body in changes for name, value in body.items()
    }


def test_tags_and_their_index_agree_whoever_comes_last(api: Api) -> None:
    ticket_id = make_ticket("in_progress").id
    edits = [
        partial(api.admin().put, f"/tickets/{ticket_id}", {"tags": tags})
        for tags in (["a", "b"], ["b", "c"], ["c", "d"], [], ["e"], ["a"])
    ]
    assert set(statuses(*edits)) == {200}
    check_history(ticket_id)
    indexed = [row.tag for row in TicketTag.select().where(TicketTag.ticket_id == ticket_id)]
    assert sorted(indexed) == sorted(Ticket.get_by_id(ticket_id).tags)


def test_of_those_who_have_seen_the_same_version_one_succeeds(api: Api) -> None:
    for _ in range(ROUNDS):
        ticket_id = make_ticket("in_progress").id
        seen = {"If-Match": api.admin().get(f"/tickets/{ticket_id}").headers["ETag"]}
        edits = [
            partial(api.admin().put, f"/tickets/{ticket_id}", {"subject": f"Subject {n}"}, headers=seen)
            for n in range(4)
        ]
        assert statuses(*edits) == {200: 1, 412: 3}
        assert len(check_history(ticket_id)) == 1


def test_a_reply_and_a_closing_at_once(api: Api) -> None:
    for _ in range(ROUNDS):
        ticket_id = make_ticket("resolved").id
        path = f"/tickets/{ticket_id}"
        replied, closed = at_the_same_time(
            partial(api.customer(OWNER).post, f"{path}/messages", {"content": "No!"}),
            partial(api.admin().post, f"{path}/close"),
        )
        names = [event.name for event in check_history(ticket_id)]
        ticket = Ticket.get_by_id(ticket_id)
        assert (closed.status_code, ticket.status) == (200, "closed")
        assert Message.select().where(Message.ticket_id == ticket_id).count() == ticket.reopen_count
        if replied.status_code == 201:
            assert names == ["ticket.message.new", "ticket.reopened", "ticket.closed"]
            assert (ticket.reopen_count, ticket.resolved_at) == (1, None)
        else:
            assert (replied.status_code, replied.json["code"]) == (409, "ticket_closed")
            assert names == ["ticket.closed"]
            assert ticket.resolved_at is not None


def test_a_crowd_on_one_ticket_writes_one_history(api: Api) -> None:
    ticket_id = api.customer(OWNER).opened()["id"]
    path = f"/tickets/{ticket_id}"

    def customer() -> Counter[int]:
        owner = api.customer(OWNER)
        return Counter(owner.post(f"{path}/messages", {"content": f"{n}"}).status_code for n in range(10))

    def admin(user_id: int) -> Counter[int]:
        deeds: list[tuple[str, str, Any]] = [
            ("POST", f"{path}/assign", {"agent_id": (ASSIGNEE, OTHER_AGENT)[user_id % 2]}),
            ("POST", f"{path}/messages", {"content": "Looking."}),
            ("PUT", path, {"status": "waiting_customer"}),
            ("POST", f"{path}/messages", {"content": "Hm.", "is_internal": True}),
            ("POST", f"{path}/resolve", {"resolution": "Sent again."}),
            ("PUT", path, {"status": "open"}),
            ("PUT", path, {"subject": f"Subject of {user_id}"}),
        ]
        return Counter(
            api.admin(user_id).call(*deed).status_code for deed in itertools.chain(deeds, reversed(deeds))
        )

    admins = [partial(admin, user_id) for user_id in (100, 101, 102)]
    answered = at_the_same_time(customer, customer, *admins)
    total = sum(answered, Counter())
    assert set(total) <= {200, 201, 409}
    assert total.total() == 2 * 10 + 3 * 14
    events = check_history(ticket_id)
    told = Counter(event.name for event in events)
    assert told["ticket.message.new"] + told["ticket.note.added"] == total[201] == 2 * 10 + 3 * 4
    ticket = Ticket.get_by_id(ticket_id)
    assert ticket.reopen_count == told["ticket.reopened"]
    assert (ticket.assigned_to is None) == (ticket.status == "open")
    assert len({event.event_id for event in events}) == len(events)


def test_one_reader_in_many_windows_reads_once(api: Api) -> None:
    ticket = make_ticket("in_progress")
    for _ in range(5):
        make_message(ticket, user_id=ASSIGNEE, author_role="agent")
    owner, path = api.customer(OWNER), f"/tickets/{ticket.id}/messages"
    first = Message.get(Message.ticket_id == ticket.id).id
    reads = [partial(owner.post, f"{path}/{which}") for which in ("mark-all-read", f"{first}/mark-read")]
    assert statuses(*reads * 3) == {200: 6}
    assert MessageReceipt.select().count() == 5
    assert owner.get(f"{path}/unread-count").json == {"count": 0}
    # At most two calls found something to do: the one message, and all.
    assert 1 <= Ticket.get_by_id(ticket.id).read_marks <= 2


def test_an_agents_first_calls_at_once_are_one_entry(api: Api) -> None:
    for user_id in range(20, 20 + ROUNDS):
        calls = [partial(api.agent(user_id).get, "/agents/me")] * 5
        assert statuses(*calls) == {200: 5}
    assert Agent.select().count() == 2 + ROUNDS


def test_an_admin_who_adds_an_agent_who_is_just_coming_in(api: Api) -> None:
    for user_id in range(20, 20 + 2 * ROUNDS):
        calls = [
            partial(api.agent(user_id).get, "/agents/me"),
            partial(api.admin().put, f"/agents/{user_id}", {"capacity": 3}),
            partial(api.admin().put, f"/agents/{user_id}", {"categories": ["billing"]}),
        ]
        assert statuses(*calls) == {200: 3}
        agent = Agent.get_by_id(user_id)
        assert (agent.capacity, agent.categories) == (3, ["billing"])


def test_one_key_is_one_ticket(api: Api) -> None:
    body = {"subject": "Lost parcel", "description": "It never came."}
    headers = {"Idempotency-Key": "once"}
    answers = at_the_same_time(*[partial(api.customer(OWNER).post, "/tickets", body, headers=headers)] * 6)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in answers) == {None: 1, "true": 5}
    assert Ticket.select().count() == 1


# --- Numbers ----------------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
RULES = DeskRules("TICKET", "urgent")
PROCESSES, THREADS, TICKETS_EACH, GIVEN_OUT = 2, 5, 20, 990
NEW: dict[str, Any] = {"subject": "Lost parcel", "description": "It never came."}


def open_some(is_for_guest: bool) -> list[str]:
    """Tickets opened one after the other by one thread; their numbers."""
    new = NewTicket(**NEW, contact_email="guest@example.com") if is_for_guest else NewTicket(**NEW)
    with connection():
        return [
            open_ticket(occasion=occasion("agent", 7, NOON), new=new, rules=RULES).ticket_number
            for _ in range(TICKETS_EACH)
        ]


def open_in_a_process(settings: dict[str, str]) -> list[str]:
    """The life of a process of its own: a few threads that open tickets, the first one for guests."""
    database.initialize(open_database(settings))
    with ThreadPoolExecutor(THREADS) as pool:
        return [number for some in pool.map(open_some, [True] + [False] * (THREADS - 1)) for number in some]


def test_no_number_is_given_twice_not_even_past_the_thousandth(empty_database: dict[str, str]) -> None:
    TicketNumberSequence.insert(day="20260329", last_sequence=GIVEN_OUT).execute()
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(open_in_a_process, empty_database) for _ in range(PROCESSES)]
        numbers = [number for future in futures for number in future.result(timeout=60)]

    count = PROCESSES * THREADS * TICKETS_EACH
    assert count == 200
    assert sorted(numbers) == sorted(ticket.ticket_number for ticket in Ticket.select())
    parts = [re.fullmatch(r"TICKET-20260329-(\d{3,})(?:-([0-9A-HJKMNP-TV-Z]{8}))?", n) for n in numbers]
    found = [part for part in parts if part]
    assert len(found) == count
    sequences = sorted(int(part[1]) for part in found)
    assert len(set(sequences)) == count
    assert sequences[0] == GIVEN_OUT + 1
    # Each process takes numbers in blocks, and leaves out what it does not use within a second.
    assert sequences[-1] <= TicketNumberSequence.get(day="20260329").last_sequence
    assert {len(part[1]) for part in found} == {3, 4}
    suffixes = [part[2] for part in found if part[2]]
    assert len(suffixes) == len(set(suffixes)) == PROCESSES * TICKETS_EACH


def test_each_day_counts_from_one(empty_database: dict[str, str]) -> None:
    instants = [
        datetime(2026, 3, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 30, tzinfo=UTC),
    ]

    def open_one(now: datetime) -> str:
        new = NewTicket(**NEW)
        number: str = open_ticket(occasion=occasion(now=now), new=new, rules=RULES).ticket_number
        return number

    numbers = at_the_same_time(*[partial(open_one, now) for now in instants * 3])
    assert len(set(numbers)) == len(numbers)
    for day in ("20260329", "20260330"):
        of_day = [number for number in numbers if number.startswith(f"TICKET-{day}-")]
        assert len(of_day) == 3
        assert min(of_day) == f"TICKET-{day}-001"


def test_who_waits_too_long_for_a_block_of_numbers_takes_one_of_their_own(
    empty_database: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticket_numbering, "BLOCK_WAIT_SECONDS", 0.01)
    now = datetime(2026, 3, 29, tzinfo=UTC)
    found = [ticket_numbering.next_sequence(now)]
    with ticket_numbering._numbers._lock:
        found.append(ticket_numbering.next_sequence(now))
    found.append(ticket_numbering.next_sequence(now))
    assert len(set(found)) == 3


def test_no_number_is_taken_in_a_transaction_that_may_not_be(empty_database: dict[str, str]) -> None:
    with transaction(), pytest.raises(NestedTransaction):
        ticket_numbering.next_sequences(date(2026, 3, 29), 1)
