"""The conversation: who has read what, what counts as unread, and what customers are not shown."""

from typing import Any

import pytest

from sav.models.tables import Event, Message, MessageReceipt, Ticket
from tests.factories.agents import make_agent
from tests.factories.messages import make_message
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api, Clock

OWNER, ASSIGNEE, ADMIN = 1, 7, 99


class Conversation:
    """A ticket of customer 1 in the hands of agent 7, and its thread as each of them sees it."""

    def __init__(self, api: Api, ticket: Ticket) -> None:
        self.ticket = ticket
        self.path = f"/tickets/{ticket.id}/messages"
        self.owner, self.agent = api.customer(OWNER), api.agent(ASSIGNEE)
        self.admin, self.second_admin = api.admin(ADMIN), api.admin(ADMIN + 1)

    def say(self, who: Api, content: str = "Hello.", **fields: Any) -> str:
        """A new message; its path."""
        answer = who.post(self.path, {"content": content, **fields})
        assert answer.status_code == 201, answer.text
        return f"{self.path}/{answer.json['id']}"

    def note(self, who: Api) -> str:
        return self.say(who, "For us.", is_internal=True)

    def unread(self, who: Api) -> int:
        answer = who.get(f"{self.path}/unread-count")
        assert list(answer.json) == ["count"]
        count: int = answer.json["count"]
        return count

    def read_all(self, who: Api) -> None:
        assert who.post(f"{self.path}/mark-all-read").status_code == 200

    def read(self, who: Api, message: str) -> None:
        assert who.post(f"{message}/mark-read").status_code == 200

    def read_state(self, message: str) -> tuple[bool, str | None]:
        shown = self.admin.get(message).json
        return shown["is_read"], shown["read_at"]


@pytest.fixture
def talk(api: Api) -> Conversation:
    make_agent(ASSIGNEE)
    return Conversation(api, make_ticket("in_progress"))


def test_everybody_has_a_count_of_their_own(talk: Conversation) -> None:
    talk.say(talk.owner)
    talk.say(talk.owner)
    talk.say(talk.agent)
    talk.note(talk.agent)
    assert {who: talk.unread(getattr(talk, who)) for who in ("owner", "agent", "admin")} == {
        "owner": 1,
        "agent": 2,
        "admin": 4,
    }
    talk.read_all(talk.admin)
    assert talk.unread(talk.admin) == 0
    assert (talk.unread(talk.owner), talk.unread(talk.agent), talk.unread(talk.second_admin)) == (1, 2, 4)


def test_ones_own_messages_are_never_unread(talk: Conversation) -> None:
    for who in (talk.owner, talk.agent, talk.admin):
        before = talk.unread(who)
        message = talk.say(who)
        assert talk.unread(who) == before
        talk.read(who, message)
        assert talk.read_state(message) == (False, None)
    assert MessageReceipt.select().count() == 0


def test_notes_never_count_for_customers(talk: Conversation) -> None:
    for _ in range(3):
        talk.note(talk.agent)
    assert talk.unread(talk.owner) == 0
    assert talk.unread(talk.admin) == 3
    talk.read_all(talk.owner)
    assert MessageReceipt.select().count() == 0


def test_reading_one_message_leaves_the_others(talk: Conversation) -> None:
    first, second = talk.say(talk.agent), talk.say(talk.agent)
    talk.read(talk.owner, first)
    assert talk.unread(talk.owner) == 1
    assert talk.read_state(first)[0]
    assert not talk.read_state(second)[0]


def test_reading_twice_is_reading_once(talk: Conversation, clock: Clock) -> None:
    message = talk.say(talk.agent)
    clock.forward(minutes=1)
    talk.read(talk.owner, message)
    first, marks = talk.read_state(message), Ticket.get_by_id(talk.ticket.id).read_marks
    clock.forward(minutes=1)
    talk.read(talk.owner, message)
    talk.read_all(talk.owner)
    assert talk.read_state(message) == first == (True, "2026-03-29T10:31:00.000000Z")
    assert Ticket.get_by_id(talk.ticket.id).read_marks == marks
    receipts = MessageReceipt.select()
    assert [(receipt.reader_id, receipt.read_at.minute) for receipt in receipts] == [(OWNER, 31)]


def test_only_the_other_side_makes_it_read(talk: Conversation) -> None:
    from_customer, from_agent = talk.say(talk.owner), talk.say(talk.agent)
    talk.read_all(talk.admin)
    # The admin stands on the agent's side: the customer has not read the agent yet.
    assert talk.read_state(from_customer)[0]
    assert not talk.read_state(from_agent)[0]
    talk.read_all(talk.owner)
    assert talk.read_state(from_agent)[0]


def test_the_first_reader_of_the_other_side_sets_the_time(talk: Conversation, clock: Clock) -> None:
    message = talk.say(talk.owner)
    clock.forward(minutes=1)
    talk.read(talk.agent, message)
    clock.forward(minutes=1)
    talk.read(talk.admin, message)
    assert talk.read_state(message) == (True, "2026-03-29T10:31:00.000000Z")
    assert talk.unread(talk.admin) == 0


def test_a_note_has_no_other_side(talk: Conversation) -> None:
    note = talk.note(talk.agent)
    talk.read(talk.admin, note)
    assert talk.read_state(note) == (False, None)
    assert talk.unread(talk.admin) == 0


def test_staff_who_own_the_ticket_are_its_other_side(api: Api) -> None:
    make_agent(ASSIGNEE)
    talk = Conversation(api, make_ticket("in_progress", user_id=ADMIN))
    from_agent, from_owner = talk.say(talk.agent), talk.say(talk.admin)
    talk.read_all(talk.second_admin)
    assert talk.read_state(from_owner)[0]
    assert not talk.read_state(from_agent)[0]
    talk.read_all(talk.admin)
    assert talk.read_state(from_agent)[0]


def test_a_guests_message_is_read_by_staff(talk: Conversation) -> None:
    message = make_message(talk.ticket, user_id=None, author_role="guest")
    assert talk.unread(talk.agent) == 1
    talk.read_all(talk.agent)
    assert talk.read_state(f"{talk.path}/{message.id}")[0]
    assert talk.unread(talk.agent) == 0


def test_a_deleted_message_is_no_longer_unread(talk: Conversation) -> None:
    message = talk.say(talk.agent)
    assert talk.unread(talk.owner) == 1
    talk.agent.delete(message)
    assert talk.unread(talk.owner) == 0
    assert talk.owner.post(f"{message}/mark-read").status_code == 404


def test_another_tickets_messages_do_not_count(talk: Conversation) -> None:
    make_message(make_ticket("in_progress"), user_id=ASSIGNEE, author_role="agent")
    assert talk.unread(talk.owner) == 0
    talk.read_all(talk.owner)
    assert MessageReceipt.select().count() == 0


def test_looking_is_not_reading(talk: Conversation) -> None:
    message = talk.say(talk.agent)
    for path in (talk.path, message, f"/tickets/{talk.ticket.id}", f"{talk.path}/unread-count"):
        assert talk.owner.get(path).status_code == 200
    assert talk.unread(talk.owner) == 1
    assert talk.read_state(message) == (False, None)


def test_reading_is_no_change_of_the_ticket(talk: Conversation) -> None:
    talk.say(talk.agent)
    before, events = Ticket.get_by_id(talk.ticket.id), Event.select().count()
    seen = talk.agent.get(f"/tickets/{talk.ticket.id}").headers["ETag"]
    talk.read_all(talk.owner)
    after = Ticket.get_by_id(talk.ticket.id)
    assert (after.version, after.updated_at) == (before.version, before.updated_at)
    assert Event.select().count() == events
    # A cached detail is old now, but whoever has seen it may still change the ticket.
    path = f"/tickets/{talk.ticket.id}"
    assert talk.agent.get(path, headers={"If-None-Match": seen}).status_code == 200
    assert talk.agent.put(path, {"priority": "high"}, headers={"If-Match": seen}).status_code == 200


# --- What is shown ----------------------------------------------------------------------------------------


def test_customers_do_not_see_an_agents_address(api: Api, talk: Conversation) -> None:
    agent = api.agent(ASSIGNEE, email="ana@desk.example", name="Ana")
    owner = api.customer(OWNER, email="cleo@shop.example", name="Cleo")
    from_agent, from_owner = talk.say(agent), talk.say(owner)
    for shown in (
        owner.get(from_agent).json,
        owner.get(talk.path).json["data"][0],
        owner.get(f"/tickets/{talk.ticket.id}").json["messages"][0],
    ):
        assert (shown["author_name"], shown["author_email"]) == ("Ana", None)
    assert owner.get(from_owner).json["author_email"] == "cleo@shop.example"
    assert agent.get(from_owner).json["author_email"] == "cleo@shop.example"
    assert agent.get(from_agent).json["author_email"] == "ana@desk.example"
    assert "ana@desk.example" not in owner.get(talk.path).text


def test_the_thread_is_in_the_order_of_writing(talk: Conversation, clock: Clock) -> None:
    said: list[str] = []
    for who in (talk.owner, talk.agent, talk.owner):
        said.append(talk.say(who, f"Message {len(said)}"))
        clock.forward(seconds=1)
    shown = talk.owner.get(talk.path).json["data"]
    assert [f"{talk.path}/{message['id']}" for message in shown] == said
    assert [message["author_role"] for message in shown] == ["customer", "agent", "customer"]


def test_a_name_is_made_for_those_whose_token_has_none(talk: Conversation) -> None:
    talk.say(talk.owner)
    talk.say(talk.agent)
    assert [message["author_name"] for message in talk.owner.get(talk.path).json["data"]] == [
        f"Customer {OWNER}",
        f"Agent {ASSIGNEE}",
    ]


# --- ETags ------------------------------------------------------------------------------------------------


def test_the_revision_of_a_message_goes_on_when_it_is_edited_or_read(talk: Conversation) -> None:
    message = talk.say(talk.owner)
    etags = [talk.owner.get(message).headers["ETag"]]
    edited = talk.owner.put(message, {"content": "Corrected."})
    etags.append(edited.headers["ETag"])
    assert talk.owner.get(message).headers["ETag"] == edited.headers["ETag"]
    talk.read(talk.agent, message)
    etags.append(talk.owner.get(message).headers["ETag"])
    assert len(set(etags)) == 3


def test_a_known_message_is_not_sent_again(talk: Conversation) -> None:
    created = talk.owner.post(talk.path, {"content": "Hello."})
    message, etag = created.headers["Location"], created.headers["ETag"]
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = talk.owner.get(message, headers={"If-None-Match": header})
        assert (again.status_code, again.content) == (304, b""), header
        assert again.headers["ETag"] == etag
    assert talk.owner.get(message, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_stale_view_changes_no_message(talk: Conversation, method: str) -> None:
    message = talk.say(talk.owner)
    body = None if method == "DELETE" else {"content": "Mine."}
    seen = talk.owner.get(message).headers["ETag"]
    current = talk.owner.put(message, {"content": "Corrected."}).headers["ETag"]
    stale = talk.owner.call(method, message, body, headers={"If-Match": seen})
    assert (stale.status_code, stale.json["code"]) == (412, "stale_version")
    assert stale.headers["ETag"] == current
    assert talk.owner.get(message).json["content"] == "Corrected."
    assert talk.owner.call(method, message, body, headers={"If-Match": current}).status_code == 200


def test_being_read_does_not_make_a_view_stale(talk: Conversation) -> None:
    message = talk.say(talk.owner)
    seen = talk.owner.get(message).headers["ETag"]
    talk.read(talk.agent, message)
    answer = talk.owner.put(message, {"content": "Corrected."}, headers={"If-Match": seen})
    assert answer.status_code == 200


def test_a_message_in_the_way_changes_the_tickets_revision(talk: Conversation) -> None:
    path = f"/tickets/{talk.ticket.id}"
    seen = talk.agent.get(path).headers["ETag"]
    message = talk.say(talk.owner)
    second = talk.agent.get(path).headers["ETag"]
    talk.owner.put(message, {"content": "Corrected."})
    third = talk.agent.get(path).headers["ETag"]
    talk.owner.delete(message)
    assert len({seen, second, third, talk.agent.get(path).headers["ETag"]}) == 4
    assert talk.agent.put(path, {"priority": "high"}, headers={"If-Match": seen}).status_code == 412


def test_deleting_leaves_the_row(talk: Conversation, clock: Clock) -> None:
    message = talk.say(talk.owner, "Never mind.")
    assert talk.owner.delete(message).json == {"message": "The message was deleted."}
    row = Message.get_by_id(int(message.rpartition("/")[2]))
    assert (row.content, row.deleted_at) == ("Never mind.", clock.now)
    assert talk.admin.get(message).status_code == 404
    assert talk.owner.delete(message).status_code == 404
