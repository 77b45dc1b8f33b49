"""The desk for people without an account: the number reads a ticket, the token writes to it."""

import itertools
import re
from typing import Any

import pytest
from falcon.testing import Result

from sav.domain.access_tokens import hash_of_token
from sav.models.tables import Attachment, Event, IdempotencyKey, Message, Ticket
from tests.factories.attachments import make_attachment
from tests.factories.forms import PNG, form
from tests.factories.guest_tickets import make_guest_ticket
from tests.factories.messages import make_message
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import Api

NEW = {"email": "ana@example.com", "subject": "Lost parcel", "description": "It never came."}
FACE = {
    "id", "ticket_number", "subject", "description", "category", "status", "first_response_at",
    "resolved_at", "closed_at", "created_at", "updated_at",
}  # fmt: skip
EMAIL = re.compile(r"[^\s\"@]+@[^\s\"@]+")


def as_guest(token: str | None) -> dict[str, Any]:
    return {} if token is None else {"headers": {"X-Ticket-Token": token}}


# Opening


def test_a_guest_opens_a_ticket(api: Api) -> None:
    answer = api.post("/public/tickets", {**NEW, "name": "Ana", "category": "delivery", "locale": "en"})

    assert answer.status_code == 201
    number, token = answer.json["ticket_number"], answer.json["access_token"]
    assert answer.json.keys() == FACE | {"access_token"}
    assert answer.headers["Location"] == f"/public/tickets/{number}"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert re.fullmatch(r"TICKET-20260329-001-[0-9A-HJKMNP-TV-Z]{8}", number)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    ticket = Ticket.get()
    assert (ticket.user_id, ticket.status, ticket.source, ticket.priority) == (None, "open", "web", "normal")
    assert (ticket.contact_email, ticket.contact_name, ticket.locale) == ("ana@example.com", "Ana", "en")
    assert (ticket.category, ticket.access_token_hash) == ("delivery", hash_of_token(token))
    event = Event.get()
    assert (event.name, event.actor_id, event.actor_role) == ("ticket.created", None, "guest")


def test_the_token_is_stored_nowhere(api: Api) -> None:
    token = api.post("/public/tickets", NEW, headers=KEY).json["access_token"]
    for table in (Ticket, Event, IdempotencyKey):
        assert token not in str(list(table.select().tuples()))


def test_every_guest_gets_a_number_and_a_token_of_their_own(api: Api) -> None:
    opened = [api.post("/public/tickets", NEW).json for _ in range(20)]
    for field in ("ticket_number", "access_token"):
        assert len({answer[field] for answer in opened}) == 20
    assert len({answer["ticket_number"][-8:] for answer in opened}) == 20


def test_an_e_mail_with_space_around_it_is_kept_without(api: Api) -> None:
    api.post("/public/tickets", {**NEW, "email": "  Ana@Example.com\n"})
    assert Ticket.get().contact_email == "Ana@Example.com"


KEY = {"Idempotency-Key": "0b9e2c1e-5a53-4b0c-9d2e-6e8a4c3f1b7d"}


class TestIdempotency:
    def test_the_same_request_is_the_same_ticket_and_the_same_token(self, api: Api) -> None:
        first, second = (api.post("/public/tickets", NEW, headers=KEY) for _ in range(2))
        assert second.headers["Idempotency-Replayed"] == "true"
        assert second.content == first.content
        assert second.headers["Location"] == first.headers["Location"]
        assert Ticket.select().count() == 1

    def test_what_is_stored_can_be_read_by_nobody(self, api: Api) -> None:
        answer = api.post("/public/tickets", NEW, headers=KEY)
        row = IdempotencyKey.get()
        stored = f"{row.caller}{row.key_hash}{row.fingerprint}{row.body}"
        assert answer.json["access_token"] not in stored
        assert "ana@example.com" not in stored
        assert "Lost parcel" not in stored

    def test_of_two_strangers_with_the_same_key_neither_gets_the_others(self, api: Api) -> None:
        first = api.post("/public/tickets", NEW, headers=KEY)
        second = api.post("/public/tickets", {**NEW, "email": "bo@example.com"}, headers=KEY)
        assert second.status_code == 201
        assert second.json["access_token"] != first.json["access_token"]

    def test_another_request_with_the_same_key_is_refused(self, api: Api) -> None:
        api.post("/public/tickets", NEW, headers=KEY)
        answer = api.post("/public/tickets", {**NEW, "subject": "Other"}, headers=KEY)
        problem(answer, 422, "idempotency_mismatch")

    def test_a_reply_is_written_once_and_its_key_is_the_tickets(self, api: Api) -> None:
        (one, token), (two, other) = make_guest_ticket(), make_guest_ticket()

        def reply(ticket: Ticket, shown: str) -> Result:
            path = f"/public/tickets/{ticket.ticket_number}/messages"
            headers = {"X-Ticket-Token": shown, **KEY}
            return api.post(path, {"content": "Hello?"}, headers=headers)

        first, second, elsewhere = reply(one, token), reply(one, token), reply(two, other)
        assert second.content == first.content
        assert second.headers["Idempotency-Replayed"] == "true"
        assert elsewhere.status_code == 201
        assert Message.select().count() == 2
        # The key opens nothing by itself.
        problem(reply(one, other), 404, "not_found")


# Reading


def test_the_number_shows_the_public_face(api: Api) -> None:
    ticket, _ = make_guest_ticket(
        "in_progress", internal_notes="Careful.", metadata={"secret": 1}, resolution_notes="inside"
    )
    make_message(ticket, user_id=None, author_role="guest", author_name="Ana", content="Where is it?")
    make_message(ticket, user_id=7, author_role="agent", author_name="Chloé Martin", content="We look.")
    make_message(ticket, user_id=7, author_role="agent", content="Beware!", is_internal=True)
    make_message(ticket, user_id=7, author_role="agent", content="Gone", deleted_at=WRITTEN_AT)

    answer = api.get(f"/public/tickets/{ticket.ticket_number}")

    assert answer.status_code == 200
    face = answer.json
    assert face.keys() == FACE | {"messages", "attachments", "meta"}
    said = [
        (message["author_role"], message["author_name"], message["content"]) for message in face["messages"]
    ]
    assert said == [("guest", "Ana", "Where is it?"), ("agent", "Chloé", "We look.")]
    assert face["meta"] == {"per_page": 100, "next_cursor": None}
    assert not EMAIL.search(answer.text)
    for word in ("Careful", "Beware", "Gone", "inside", "secret", "user_id", "assigned_to", "contact"):
        assert word not in answer.text


@pytest.mark.parametrize(
    ("role", "name", "shown"),
    [
        ("agent", "Chloé Martin", "Chloé"),
        ("agent", "Agent 7", "Support"),
        ("admin", "Admin 99", "Support"),
        ("agent", "chloe@example.com", "Support"),
        ("guest", "ana@example.com", "Guest"),
        ("guest", "Ana Lima", "Ana Lima"),
    ],
)
def test_nobodys_address_or_id_is_shown_as_a_name(api: Api, role: str, name: str, shown: str) -> None:
    ticket, _ = make_guest_ticket()
    make_message(ticket, user_id=7, author_role=role, author_name=name)
    face = api.get(f"/public/tickets/{ticket.ticket_number}").json
    assert [message["author_name"] for message in face["messages"]] == [shown]


def test_files_are_named_but_not_those_of_notes(api: Api) -> None:
    ticket, _ = make_guest_ticket()
    reply = make_message(ticket, user_id=7, author_role="agent")
    note = make_message(ticket, user_id=7, author_role="agent", is_internal=True)
    for name, message in (("label.pdf", reply), ("secret.pdf", note), ("photo.png", None)):
        Attachment.create(
            ticket_id=ticket.id, message_id=message and message.id, user_id=None, file_name=name,
            file_path=f"x/{name}", file_type="file", file_size=5, mime_type="application/pdf",
            created_at=WRITTEN_AT, updated_at=WRITTEN_AT,
        )  # fmt: skip
    answer = api.get(f"/public/tickets/{ticket.ticket_number}")
    assert [file["file_name"] for file in answer.json["attachments"]] == ["label.pdf", "photo.png"]
    assert [message["attachments"] for message in answer.json["messages"]] == [["label.pdf"]]
    assert "secret" not in answer.text
    assert "x/" not in answer.text


def test_a_long_conversation_is_read_in_parts(api: Api) -> None:
    ticket, _ = make_guest_ticket()
    for number in range(130):
        make_message(ticket, user_id=None, author_role="guest", content=str(number))
        make_message(ticket, user_id=7, author_role="agent", content="note", is_internal=True)
    path = f"/public/tickets/{ticket.ticket_number}"
    first = api.get(path)
    second = api.get(path, query_string=f"cursor={first.json['meta']['next_cursor']}")
    assert first.headers["Link"] == f'<{path}?cursor={first.json["meta"]["next_cursor"]}>; rel="next"'
    assert [len(part.json["messages"]) for part in (first, second)] == [100, 30]
    said = [message["content"] for part in (first, second) for message in part.json["messages"]]
    assert said == [str(number) for number in range(130)]
    assert second.json["meta"]["next_cursor"] is None


@pytest.mark.parametrize(
    ("number", "is_read"),
    [
        ("TICKET-20260329-777-0I1O7F3K", True),
        ("ticket-20260329-777-0i1o7f3k", True),
        ("TICKET-20260329-777-01107F3K", True),
        ("%20TICKET-20260329-777-01107F3K%20", True),
        ("TICKET-20260329-777-O1107F3K", True),
        ("TICKET-20260329-777", False),
        ("TICKET-20260329-777-", False),
        ("TICKET-20260329-777-01107F3", False),
        ("TICKET-20260329-777-01107F3K0", False),
        ("TICKET-20260329-777-%25", False),
        ("TICKET-20260329-777-01107F3_", False),
        ("T1CKET-20260329-777-01107F3K", False),
        ("TICKET-20260329-7770-1107F3K", False),
        ("%00", False),
        ("%C5%BF", False),
        ("x" * 5000, False),
    ],
)  # fmt: skip
def test_a_number_may_be_typed_carelessly_but_must_be_whole(api: Api, number: str, is_read: bool) -> None:
    make_guest_ticket(ticket_number="TICKET-20260329-777-01107F3K")
    answer = api.get(f"/public/tickets/{number}")
    assert answer.status_code == (200 if is_read else 404)
    if not is_read:
        problem(answer, 404, "not_found")


def test_an_id_reads_nothing(api: Api) -> None:
    ticket, token = make_guest_ticket()
    problem(api.get(f"/public/tickets/{ticket.id}", **as_guest(token)), 404, "not_found")


# Writing


@pytest.mark.parametrize("by", ["id", "ticket_number"])
def test_the_token_replies(api: Api, by: str) -> None:
    ticket, token = make_guest_ticket("waiting_customer")
    path = f"/public/tickets/{getattr(ticket, by)}/messages"

    answer = api.post(path, {"content": "Here it is."}, **as_guest(token))

    assert answer.status_code == 201
    message = Message.get()
    assert answer.json == {
        "id": message.id, "author_role": "guest", "author_name": "Ana", "content": "Here it is.",
        "attachments": [], "created_at": answer.json["created_at"], "updated_at": answer.json["created_at"],
    }  # fmt: skip
    assert (message.user_id, message.author_role, message.author_email) == (None, "guest", "ana@example.com")
    assert not message.is_internal
    assert Ticket.get().status == "in_progress"
    event = Event.get(Event.name == "ticket.message.new")
    assert (event.data["author_role"], event.actor_role, event.actor_id) == ("guest", "guest", None)


def test_staff_see_the_reply_as_unread_and_the_guest_sees_theirs(api: Api) -> None:
    opened = api.post("/public/tickets", NEW).json
    path, agent = f"/tickets/{opened['id']}", api.agent(7, name="Chloé Martin")
    api.post(f"/public{path}/messages", {"content": "Hello?"}, **as_guest(opened["access_token"]))
    assert agent.get(f"{path}/messages/unread-count").json == {"count": 1}
    agent.post(f"{path}/messages", {"content": "We look for it."})
    agent.post(f"{path}/messages", {"content": "A note", "is_internal": True})
    face = api.get(f"/public/tickets/{opened['ticket_number']}").json
    assert [message["author_name"] for message in face["messages"]] == ["Guest", "Chloé"]
    assert face["first_response_at"] is not None


def test_a_reply_reopens_a_resolved_ticket(api: Api) -> None:
    ticket, token = make_guest_ticket("resolved")
    api.post(f"/public/tickets/{ticket.id}/messages", {"content": "No."}, **as_guest(token))
    ticket = Ticket.get()
    assert (ticket.status, ticket.reopen_count, ticket.resolved_at) == ("in_progress", 1, None)


def test_a_closed_ticket_takes_no_reply(api: Api) -> None:
    ticket, token = make_guest_ticket("closed")
    with nothing_changes():
        path = f"/public/tickets/{ticket.ticket_number}/messages"
        problem(api.post(path, {"content": "Hello?"}, **as_guest(token)), 409, "ticket_closed")
        problem(api.post(path, {"content": "Hello?"}, **as_guest("wrong")), 404, "not_found")


@pytest.mark.parametrize("by", ["id", "ticket_number"])
def test_the_token_rates_once(api: Api, by: str) -> None:
    ticket, token = make_guest_ticket("resolved")
    path = f"/public/tickets/{getattr(ticket, by)}/satisfaction"
    answer = api.post(path, {"rating": 4, "comment": "Quick."}, **as_guest(token))
    assert answer.json == {
        "ticket_number": ticket.ticket_number, "status": "resolved",
        "satisfaction_rating": 4, "satisfaction_comment": "Quick.",
    }  # fmt: skip
    problem(api.post(path, {"rating": 1}, **as_guest(token)), 409, "already_rated")
    assert Ticket.get().satisfaction_rating == 4
    assert Event.get().data["rating"] == 4


def test_an_open_ticket_is_not_rated(api: Api) -> None:
    ticket, token = make_guest_ticket("open")
    path = f"/public/tickets/{ticket.id}/satisfaction"
    problem(api.post(path, {"rating": 4}, **as_guest(token)), 409, "ticket_not_settled")


# Files


def test_the_token_attaches_a_file_and_gets_it_back(api: Api) -> None:
    ticket, token = make_guest_ticket()
    path = f"/public/tickets/{ticket.ticket_number}/attachments"
    answer = api.post(path, **form(("file", "photo.png", PNG), headers={"X-Ticket-Token": token}))

    assert answer.status_code == 201
    file = Attachment.get()
    assert answer.json.keys() == {"id", "file_name", "file_type", "file_size", "mime_type", "created_at"}
    assert (answer.json["id"], answer.json["file_name"], answer.json["mime_type"]) == (
        file.id, "photo.png", "image/png",
    )  # fmt: skip
    assert (file.user_id, file.message_id, file.state) == (None, None, "available")
    assert Event.get().actor_role == "guest"
    assert answer.headers["Location"] == f"{path}/{file.id}/download"

    redirect = api.get(answer.headers["Location"], **as_guest(token))
    assert redirect.status_code == 302
    link = api.get(answer.headers["Location"], query_string="redirect=false", **as_guest(token)).json
    assert link["url"].split("?")[0] == redirect.headers["Location"].split("?")[0]
    assert [shown["file_name"] for shown in public_face(api, ticket)["attachments"]] == ["photo.png"]


def public_face(api: Api, ticket: Ticket) -> dict[str, Any]:
    face: dict[str, Any] = api.get(f"/public/tickets/{ticket.ticket_number}").json
    return face


def test_a_file_hangs_on_the_guests_reply(api: Api) -> None:
    ticket, token = make_guest_ticket()
    path = f"/public/tickets/{ticket.id}"
    reply = api.post(f"{path}/messages", {"content": "See here."}, **as_guest(token)).json
    parts = form(("file", "photo.png", PNG), headers={"X-Ticket-Token": token}, message_id=reply["id"])
    assert api.post(f"{path}/attachments", **parts).status_code == 201
    assert [message["attachments"] for message in public_face(api, ticket)["messages"]] == [["photo.png"]]


def test_files_that_no_guest_gets(api: Api) -> None:
    (ticket, token), (other, _) = make_guest_ticket(), make_guest_ticket()
    note = make_message(ticket, user_id=7, author_role="agent", is_internal=True)
    files = {
        "the desk's": make_attachment(ticket, user_id=7),
        "a note's": make_attachment(ticket, user_id=7, message=note),
        "another guest's": make_attachment(other, user_id=None),
        "not complete": make_attachment(ticket, user_id=None, state="pending"),
        "in quarantine": make_attachment(ticket, user_id=None, state="quarantined"),
    }
    got = {}
    for whose, file in files.items():
        path = f"/public/tickets/{ticket.id}/attachments/{file.id}/download"
        got[whose] = api.get(path, **as_guest(token)).status_code
        problem(api.get(path), 404, "not_found")
    others = {"the desk's": 302, "in quarantine": 409}
    assert got == {whose: others.get(whose, 404) for whose in files}
    parts = form(("file", "a.png", PNG), headers={"X-Ticket-Token": token}, message_id=note.id)
    with nothing_changes():
        problem(api.post(f"/public/tickets/{ticket.id}/attachments", **parts), 422, "no_such_message",
                ["message_id"])  # fmt: skip


# A guest's road to every forbidden thing

WRITES = {"messages": {"content": "Hello?"}, "satisfaction": {"rating": 1}, "attachments": {}}
TICKETS = ("guests", "anothers", "customers", "deleted", "linked", "without_token", "absent")
TOKENS = ("none", "empty", "right", "anothers", "hash", "prefix", "longer", "long")


class Roads:
    """Tickets of every kind, all of which ever had the same token as far as they may."""

    def __init__(self) -> None:
        mine, self.token = make_guest_ticket("resolved")
        other, self.other_token = make_guest_ticket("resolved")
        same = {"access_token_hash": mine.access_token_hash}
        self.tickets: dict[str, Ticket] = {
            "guests": mine,
            "anothers": other,
            # Though the hash should have gone with the link.
            "linked": make_guest_ticket("resolved", user_id=1, **same)[0],
            "customers": make_ticket("resolved", user_id=1),
            "deleted": make_guest_ticket("resolved", deleted_at=WRITTEN_AT, **same)[0],
            "without_token": make_guest_ticket("resolved", access_token_hash=None)[0],
        }

    def reference(self, which: str, by: str) -> str:
        if which == "absent":
            return "999999999" if by == "id" else "TICKET-20260329-001-ZZZZZZZZ"
        return str(getattr(self.tickets[which], by))

    def shown(self, which: str) -> str | None:
        return {
            "none": None, "empty": "", "right": self.token, "anothers": self.other_token,
            "hash": hash_of_token(self.token), "prefix": self.token[:-1], "longer": f"{self.token}x",
            "long": self.token * 100,
        }[which]  # fmt: skip


@pytest.mark.parametrize("by", ["id", "ticket_number"])
def test_every_road_but_one_ends_at_the_same_answer(api: Api, by: str) -> None:
    roads, answers, opened = Roads(), set(), []
    for which, shown, write in itertools.product(TICKETS, TOKENS, WRITES):
        path = f"/public/tickets/{roads.reference(which, by)}/{write}"
        right = (which, shown) in {("guests", "right"), ("anothers", "anothers")}
        for body in (WRITES[write], {"surprise": 1}):
            headers = {"X-Request-ID": "same", **as_guest(roads.shown(shown)).get("headers", {})}
            if right:
                answer = api.post(path, body, headers=headers)
                opened.append(answer.status_code)
                continue
            with nothing_changes():
                answer = api.post(path, body, headers=headers)
            own = {name: v for name, v in answer.headers.items() if not name.lower().startswith("ratelimit")}
            answers.add((answer.status_code, answer.content, tuple(sorted(own.items()))))
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    # Replied, refused a strange field, the reply has reopened what could have been rated, and no form.
    assert opened == [201, 422, 409, 422, 415, 415] * 2


def test_numbers_read_guests_tickets_alone(api: Api) -> None:
    roads = Roads()
    answers = {
        which: api.get(
            f"/public/tickets/{roads.reference(which, 'ticket_number')}", headers={"X-Request-ID": "same"}
        )
        for which in TICKETS
    }
    read = {which for which, answer in answers.items() if answer.status_code == 200}
    assert read == {"guests", "anothers", "without_token"}
    assert len({answer.content for which, answer in answers.items() if which not in read}) == 1


def test_a_guests_token_opens_nothing_beside_the_guests_doors(api: Api) -> None:
    roads = Roads()
    ticket = f"/tickets/{roads.reference('guests', 'id')}"
    with nothing_changes():
        for headers in ({"X-Ticket-Token": roads.token}, {"Authorization": f"Bearer {roads.token}"}):
            for method, path in (
                ("GET", ticket), ("GET", f"{ticket}/messages"), ("GET", f"{ticket}/history"),
                ("DELETE", ticket),
                ("POST", f"{ticket}/close"), ("POST", f"{ticket}/messages"), ("GET", "/tickets"),
                ("GET", "/agents"),
            ):  # fmt: skip
                problem(api.call(method, path, headers=headers), 401, "unauthorized")


def test_an_account_is_no_token(api: Api) -> None:
    ticket, _ = make_guest_ticket()
    with nothing_changes():
        for caller in (api.customer(1), api.agent(7), api.admin(99)):
            path = f"/public/tickets/{ticket.id}/messages"
            problem(caller.post(path, {"content": "Hello?"}), 404, "not_found")
