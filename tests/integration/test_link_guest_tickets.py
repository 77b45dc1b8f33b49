"""A guest gets an account: their tickets become the customer's, with all in them, and nobody else's."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest

from sav.actors.foreign_envelope import parse_foreign_event
from sav.actors.handle_received_event import handle_received_event
from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.models.tables import Attachment, Event, Message, Ticket
from sav.operations.received_events import receive_event
from tests.actors.threads import at_the_same_time
from tests.factories.guest_tickets import make_guest_ticket
from tests.factories.messages import make_message
from tests.factories.tickets import WRITTEN_AT
from tests.http.problems import problem
from tests.plugins.desk import Api

pytestmark = pytest.mark.usefixtures("empty_database")
CUSTOMER = 5


def registered(email: str = "ana@example.com", *, user_id: int = CUSTOMER, verified: Any = True) -> None:
    data = {"user_id": user_id, "email": email, "email_verified": verified}
    parsed = parse_foreign_event(orjson.dumps({"event": "user.registered", "data": data}), message_id=None)
    receive_event(
        dedup_key=parsed.dedup_key, name=parsed.name, text=parsed.text, request_id=None, now=datetime.now(UTC)
    )


def handle() -> None:
    do_owed_effects(HANDLE_RECEIVED_EVENT, partial(handle_received_event, number_prefix="TICKET"))


def make_file(ticket: Ticket, *, user_id: int | None, message: Message | None = None) -> Attachment:
    return Attachment.create(
        ticket_id=ticket.id, message_id=message and message.id, user_id=user_id, file_name="photo.png",
        file_path=f"x/{ticket.id}", file_type="image", file_size=5, mime_type="image/png",
        created_at=WRITTEN_AT, updated_at=WRITTEN_AT,
    )  # fmt: skip


def test_the_customer_sees_the_ticket_its_messages_and_its_files(api: Api) -> None:
    ticket, _ = make_guest_ticket("in_progress")
    mine = make_message(ticket, user_id=None, author_role="guest", author_name="Ana", content="Where is it?")
    reply = make_message(ticket, user_id=7, author_role="agent", content="We look.")
    make_message(ticket, user_id=7, author_role="agent", content="Beware", is_internal=True)
    my_file, their_file = make_file(ticket, user_id=None), make_file(ticket, user_id=7, message=reply)
    registered()
    handle()

    customer, path = api.customer(CUSTOMER), f"/tickets/{ticket.id}"
    seen = customer.get(path).json
    assert seen["user_id"] == CUSTOMER
    assert [(m["id"], m["user_id"]) for m in seen["messages"]] == [(mine.id, CUSTOMER), (reply.id, 7)]
    assert [(f["id"], f["user_id"]) for f in seen["attachments"]] == [
        (my_file.id, CUSTOMER),
        (their_file.id, 7),
    ]
    assert "Beware" not in customer.get(path).text
    assert "access_token" not in customer.get(path).text
    assert [row["id"] for row in customer.get("/tickets").json["data"]] == [ticket.id]
    # Their own words are no news to them; what the desk has written is, until they have read it.
    assert customer.get(f"{path}/messages/unread-count").json == {"count": 1}
    customer.post(f"{path}/messages/mark-all-read")
    assert customer.get(f"{path}/messages/unread-count").json == {"count": 0}
    assert Message.get_by_id(reply.id).is_read
    assert not Message.get_by_id(mine.id).is_read
    # And they go on where the guest was.
    assert customer.post(f"{path}/messages", {"content": "Thanks."}).status_code == 201


def test_what_staff_have_read_of_the_guest_stays_read(api: Api) -> None:
    ticket, _ = make_guest_ticket("assigned")
    message = make_message(ticket, user_id=None, author_role="guest")
    agent, path = api.agent(7), f"/tickets/{ticket.id}/messages"
    agent.post(f"{path}/mark-all-read")
    etag = agent.get(f"{path}/{message.id}").headers["ETag"]
    registered()
    handle()
    assert agent.get(f"{path}/unread-count").json == {"count": 0}
    # The message has changed: it says whose it is now.
    again = agent.get(f"{path}/{message.id}", headers={"If-None-Match": etag})
    assert (again.status_code, again.json["user_id"], again.json["is_read"]) == (200, CUSTOMER, True)


def test_neither_number_nor_token_opens_it_any_more(api: Api) -> None:
    ticket, token = make_guest_ticket("resolved")
    shown = {"X-Ticket-Token": token}
    assert api.get(f"/public/tickets/{ticket.ticket_number}").status_code == 200
    registered()
    handle()

    problem(api.get(f"/public/tickets/{ticket.ticket_number}"), 404, "not_found")
    for reference in (ticket.id, ticket.ticket_number):
        path = f"/public/tickets/{reference}"
        problem(api.post(f"{path}/messages", {"content": "x"}, headers=shown), 404, "not_found")
        problem(api.post(f"{path}/satisfaction", {"rating": 1}, headers=shown), 404, "not_found")
    assert Ticket.get().access_token_hash is None


def test_the_history_says_who_got_it_and_keeps_no_token(api: Api) -> None:
    ticket, _ = make_guest_ticket()
    registered()
    handle()
    event = Event.get()
    assert (event.name, event.actor_role) == ("ticket.updated", "system")
    assert event.changes == {"user_id": {"from": None, "to": CUSTOMER}}
    assert event.data["user_id"] == CUSTOMER
    history = api.admin().get(f"/tickets/{ticket.id}/history").text
    assert str(ticket.access_token_hash) not in history


@pytest.mark.parametrize("verified", [False, None])
def test_an_address_that_nobody_verified_proves_nothing(verified: Any) -> None:
    make_guest_ticket()
    before = list(Ticket.select().tuples())
    registered(verified=verified)
    handle()
    assert list(Ticket.select().tuples()) == before
    assert Event.select().count() == 0


@pytest.mark.parametrize(
    ("contact", "email", "is_linked"),
    [
        ("ana@example.com", "ana@example.com", True),
        ("Ana@Example.com", "aNA@eXAMPLE.COM", True),
        ("ana@example.com", " ana@example.com ", True),
        ("anä@example.com", "ana@example.com", False),
        ("ana@example.com", "anä@example.com", False),
        ("strasse@example.com", "straße@example.com", False),
        ("kate@example.com", "\N{KELVIN SIGN}ate@example.com", False),
        ("anas@example.com", "ana@example.com", False),
        ("ana@example.com", "ana+1@example.com", False),
        ("ana_@example.com", "ana%@example.com", False),
    ],
)
def test_whose_address_it_is(contact: str, email: str, is_linked: bool) -> None:
    make_guest_ticket(contact_email=contact)
    registered(email)
    handle()
    assert Ticket.get().user_id == (CUSTOMER if is_linked else None)


def test_every_living_ticket_of_the_address_and_no_other() -> None:
    mine = [make_guest_ticket(status)[0].id for status in ("open", "assigned", "resolved", "closed")]  # type: ignore[arg-type]
    make_guest_ticket(deleted_at=WRITTEN_AT)
    make_guest_ticket(contact_email="bo@example.com")
    make_guest_ticket(user_id=9)
    registered()
    handle()
    linked = [ticket.id for ticket in Ticket.select().where(Ticket.user_id == CUSTOMER).order_by(Ticket.id)]
    assert linked == mine
    assert Ticket.select().where(Ticket.access_token_hash.is_null()).count() == len(mine)


def test_told_twice_and_by_several_workers_it_happens_once() -> None:
    for _ in range(5):
        make_guest_ticket()
    registered()
    registered(" ANA@example.com")
    registered(user_id=6)
    at_the_same_time(*[handle] * 4)
    assert {ticket.user_id for ticket in Ticket.select()} <= {5, 6}
    assert Event.select().where(Event.name == "ticket.updated").count() == 5


@pytest.mark.parametrize("round_", range(4))
def test_a_reply_in_the_same_instant_is_the_customers_or_is_refused(api: Api, round_: int) -> None:
    ticket, token = make_guest_ticket()
    heard: list[int] = []
    registered()

    def reply() -> None:
        path = f"/public/tickets/{ticket.id}/messages"
        answer = api.post(path, {"content": "Now!"}, headers={"X-Ticket-Token": token})
        heard.append(answer.status_code)

    at_the_same_time(handle, reply, reply, reply)
    messages = list(Message.select())
    assert Ticket.get().user_id == CUSTOMER
    assert set(heard) <= {201, 404}
    assert len(messages) == heard.count(201)
    assert {message.user_id for message in messages} <= {CUSTOMER}
    sequences = [event.sequence for event in Event.select().order_by(Event.sequence)]
    assert sequences == list(range(1, Ticket.get().event_count + 1))
