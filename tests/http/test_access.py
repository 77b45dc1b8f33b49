"""Who may call what on which ticket: every route, every role, every relation.

The table is CONTRACT §2, spelled out by hand. A new route without a line in it is a failure, and so is a
line without a route. How to read it:

- `how` names what is sent (`HOW` below), because one route can mean several things;
- three columns of one caller are his answers for a ticket that is open, assigned, closed; the assignee has
  two, because an open ticket has none;
- the ticket is a customer's, so to the guests' doors under `/public`, which ask for no account, it does not
  exist, whoever knocks; what they do for guests is in test_guests.py;
- a customer who is not the owner (`stranger`) and whoever asks for a ticket that is absent or deleted
  (`gone`) get the same answer whatever the status.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from falcon.testing import Result

from sav.http.app import routes
from sav.models.database import database
from sav.models.tables import Attachment, Event, Message, Ticket
from tests.factories.agents import make_agent
from tests.factories.attachments import make_attachment
from tests.factories.forms import PNG, form
from tests.factories.messages import make_message
from tests.factories.tickets import WRITTEN_AT, make_ticket
from tests.plugins.desk import TABLES, Api

TABLE = """
route                                                    how              nobody  owner          stranger  assignee  other_agent    admin          gone

GET        /health                                       -                200     200 200 200    200       200 200   200 200 200    200 200 200    200
GET        /status                                       -                200     200 200 200    200       200 200   200 200 200    200 200 200    200
GET        /ready                                        -                200     200 200 200    200       200 200   200 200 200    200 200 200    200

GET        /tickets                                      -                401     200 200 200    200       200 200   200 200 200    200 200 200    200
GET        /tickets                                      of_somebody      401     403 403 403    403       200 200   200 200 200    200 200 200    200
POST       /tickets                                      own              401     201 201 201    201       201 201   201 201 201    201 201 201    201
POST       /tickets                                      for_somebody     401     403 403 403    403       201 201   201 201 201    201 201 201    201
POST       /tickets                                      for_a_guest      401     403 403 403    403       201 201   201 201 201    201 201 201    201
POST       /tickets                                      by_phone         401     403 403 403    403       201 201   201 201 201    201 201 201    201
POST       /tickets                                      with_metadata    401     403 403 403    403       201 201   201 201 201    201 201 201    201

GET        /tickets/statistics                           -                401     200 200 200    200       200 200   200 200 200    200 200 200    200

GET        /tickets/{ticket_id}                          -                401     200 200 200    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          nothing          401     200 200 200    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          subject          401     200 200 409    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          description      401     200 200 409    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          category         401     200 200 409    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          tags             401     200 200 409    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          priority         401     200 200 200    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          status           401     403 403 403    404       200 409   200 404 404    200 200 409    404
PUT|PATCH  /tickets/{ticket_id}                          internal_notes   401     403 403 403    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}                          metadata         401     403 403 403    404       200 200   200 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}                          -                401     200 409 409    404       403 403   403 404 404    200 200 200    404
POST       /tickets/{ticket_id}/assign                   agent            401     403 403 403    404       200 409   200 404 404    200 200 409    404
POST       /tickets/{ticket_id}/resolve                  resolution       401     403 403 403    404       200 409   200 404 404    200 200 409    404
POST       /tickets/{ticket_id}/close                    -                401     200 200 409    404       200 409   200 404 404    200 200 409    404
POST       /tickets/{ticket_id}/satisfaction             rating           401     409 409 200    404       403 403   403 404 404    403 403 403    404
GET        /tickets/{ticket_id}/history                  -                401     403 403 403    404       200 200   200 404 404    200 200 200    404

GET        /tickets/{ticket_id}/messages                 -                401     200 200 200    404       200 200   200 404 404    200 200 200    404
POST       /tickets/{ticket_id}/messages                 reply            401     201 201 409    404       201 409   201 404 404    201 201 409    404
POST       /tickets/{ticket_id}/messages                 note             401     403 403 403    404       201 201   201 404 404    201 201 201    404
GET        /tickets/{ticket_id}/messages/unread-count    -                401     200 200 200    404       200 200   200 404 404    200 200 200    404
POST       /tickets/{ticket_id}/messages/mark-all-read   -                401     200 200 200    404       200 200   200 404 404    200 200 200    404
GET        /tickets/{ticket_id}/messages/{message_id}    owners           401     200 200 200    404       200 200   200 404 404    200 200 200    404
GET        /tickets/{ticket_id}/messages/{message_id}    assignees        401     200 200 200    404       200 200   200 404 404    200 200 200    404
GET        /tickets/{ticket_id}/messages/{message_id}    note             401     404 404 404    404       200 200   200 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}/messages/{message_id}    owners           401     200 200 200    404       403 403   403 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}/messages/{message_id}    assignees        401     403 403 403    404       200 200   403 404 404    200 200 200    404
PUT|PATCH  /tickets/{ticket_id}/messages/{message_id}    note             401     404 404 404    404       200 200   403 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}/messages/{message_id}    owners           401     200 200 200    404       403 403   403 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}/messages/{message_id}    assignees        401     403 403 403    404       200 200   403 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}/messages/{message_id}    note             401     404 404 404    404       200 200   403 404 404    200 200 200    404
POST       /tickets/{ticket_id}/messages/{message_id}/mark-read  owners      401  200 200 200    404       200 200   200 404 404    200 200 200    404
POST       /tickets/{ticket_id}/messages/{message_id}/mark-read  assignees   401  200 200 200    404       200 200   200 404 404    200 200 200    404
POST       /tickets/{ticket_id}/messages/{message_id}/mark-read  note        401  404 404 404    404       200 200   200 404 404    200 200 200    404

GET        /tickets/{ticket_id}/attachments              -                401     200 200 200    404       200 200   200 404 404    200 200 200    404
POST       /tickets/{ticket_id}/attachments              file             401     201 201 409    404       201 201   201 404 404    201 201 201    404
POST       /tickets/{ticket_id}/attachments              file_on_note     401     422 422 409    404       201 201   201 404 404    201 201 201    404
POST       /tickets/{ticket_id}/attachments/multiple     files            401     201 201 409    404       201 201   201 404 404    201 201 201    404
POST       /tickets/{ticket_id}/attachments/multiple     files_on_note    401     422 422 409    404       201 201   201 404 404    201 201 201    404
GET        /tickets/{ticket_id}/attachments/{attachment_id}  owners_file     401  200 200 200    404       200 200   200 404 404    200 200 200    404
GET        /tickets/{ticket_id}/attachments/{attachment_id}  assignees_file  401  200 200 200    404       200 200   200 404 404    200 200 200    404
GET        /tickets/{ticket_id}/attachments/{attachment_id}  notes_file      401  404 404 404    404       200 200   200 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}/attachments/{attachment_id}  owners_file     401  200 200 200    404       403 403   403 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}/attachments/{attachment_id}  assignees_file  401  403 403 403    404       200 200   403 404 404    200 200 200    404
DELETE     /tickets/{ticket_id}/attachments/{attachment_id}  notes_file      401  404 404 404    404       200 200   403 404 404    200 200 200    404
GET        /tickets/{ticket_id}/attachments/{attachment_id}/download  owners_file     401  302 302 302  404  302 302  302 404 404  302 302 302   404
GET        /tickets/{ticket_id}/attachments/{attachment_id}/download  assignees_file  401  302 302 302  404  302 302  302 404 404  302 302 302   404
GET        /tickets/{ticket_id}/attachments/{attachment_id}/download  notes_file      401  404 404 404  404  302 302  302 404 404  302 302 302   404
GET        /tickets/{ticket_id}/attachments/message/{message_id}  owners     401  200 200 200    404       200 200   200 404 404    200 200 200    404
GET        /tickets/{ticket_id}/attachments/message/{message_id}  note       401  404 404 404    404       200 200   200 404 404    200 200 200    404

POST       /public/tickets                               guests           201     201 201 201    201       201 201   201 201 201    201 201 201    201
GET        /public/tickets/{ticket_number}               -                404     404 404 404    404       404 404   404 404 404    404 404 404    404
POST       /public/tickets/{ticket_number}/messages      guests_reply     404     404 404 404    404       404 404   404 404 404    404 404 404    404
POST       /public/tickets/{ticket_number}/attachments   file             404     404 404 404    404       404 404   404 404 404    404 404 404    404
GET        /public/tickets/{ticket_number}/attachments/{attachment_id}/download  owners_file  404  404 404 404  404  404 404  404 404 404  404 404 404  404
POST       /public/tickets/{ticket_number}/satisfaction  rating           404     404 404 404    404       404 404   404 404 404    404 404 404    404

GET        /public/surveys/{token}                       -                404     404 404 404    404       404 404   404 404 404    404 404 404    404
POST       /public/surveys/{token}                       rating           404     404 404 404    404       404 404   404 404 404    404 404 404    404
GET        /public/unsubscribe/{token}                   -                404     404 404 404    404       404 404   404 404 404    404 404 404    404
POST       /public/unsubscribe/{token}                   -                404     404 404 404    404       404 404   404 404 404    404 404 404    404

GET        /agents                                       -                401     403 403 403    403       200 200   200 200 200    200 200 200    200
GET        /agents/me                                    -                401     403 403 403    403       200 200   200 200 200    404 404 404    200
PUT        /agents/me/availability                       available        401     403 403 403    403       200 200   200 200 200    404 404 404    200
GET        /agents/{user_id}                             -                401     403 403 403    403       200 200   200 200 200    200 200 200    200
PUT        /agents/{user_id}                             capacity         401     403 403 403    403       403 403   403 403 403    200 200 200    403

GET        /privacy/exports                              -                401     403 403 403    403       403 403   403 403 403    200 200 200    403
POST       /privacy/exports                              person           401     403 403 403    403       403 403   403 403 403    202 202 202    403
GET        /privacy/exports/{export_id}                  -                401     403 403 403    403       403 403   403 403 403    404 404 404    403
GET        /privacy/exports/{export_id}/download         -                401     403 403 403    403       403 403   403 403 403    404 404 404    403
GET        /privacy/erasures                             -                401     403 403 403    403       403 403   403 403 403    200 200 200    403
POST       /privacy/erasures                             person           401     403 403 403    403       403 403   403 403 403    202 202 202    403
GET        /privacy/erasures/{erasure_id}                -                401     403 403 403    403       403 403   403 403 403    404 404 404    403
"""  # noqa: E501
STATUSES = ("open", "assigned", "closed")
COLUMNS = [
    ("nobody", None),
    *itertools.product(["owner"], STATUSES),
    ("stranger", None),
    *itertools.product(["assignee"], STATUSES[1:]),
    *itertools.product(["other_agent"], STATUSES),
    *itertools.product(["admin"], STATUSES),
    ("gone", None),
]
SOMEBODY, ASSIGNEE, OTHER_AGENT, THIRD_AGENT = 3, 7, 8, 9
MARKER = "xyzzymarker"

NEW: dict[str, Any] = {"subject": "Lost parcel", "description": "It never came."}
# What is sent, by route and `how`. A message's `how` says which message is meant.
HOW: dict[tuple[str, str], Any] = {
    ("POST /tickets", "own"): NEW,
    ("POST /tickets", "for_somebody"): {**NEW, "user_id": SOMEBODY},
    ("POST /tickets", "for_a_guest"): {**NEW, "contact_email": "guest@example.com"},
    ("POST /tickets", "by_phone"): {**NEW, "source": "phone"},
    ("POST /tickets", "with_metadata"): {**NEW, "metadata": {"order_id": 5}},
    ("PUT /tickets/{ticket_id}", "nothing"): {},
    ("PUT /tickets/{ticket_id}", "subject"): {"subject": "Found parcel"},
    ("PUT /tickets/{ticket_id}", "description"): {"description": "It came."},
    ("PUT /tickets/{ticket_id}", "category"): {"category": "delivery"},
    ("PUT /tickets/{ticket_id}", "tags"): {"tags": ["late"]},
    ("PUT /tickets/{ticket_id}", "priority"): {"priority": "urgent"},
    ("PUT /tickets/{ticket_id}", "status"): {"status": "closed"},
    ("PUT /tickets/{ticket_id}", "internal_notes"): {"internal_notes": "Calm them."},
    ("PUT /tickets/{ticket_id}", "metadata"): {"metadata": {"order_id": 6}},
    ("POST /tickets/{ticket_id}/assign", "agent"): {"agent_id": THIRD_AGENT},
    ("POST /tickets/{ticket_id}/resolve", "resolution"): {"resolution": "Sent again."},
    ("POST /tickets/{ticket_id}/satisfaction", "rating"): {"rating": 4},
    ("POST /tickets/{ticket_id}/messages", "reply"): {"content": "Hello?"},
    ("POST /tickets/{ticket_id}/messages", "note"): {"content": "Careful.", "is_internal": True},
    ("POST /public/tickets", "guests"): {**NEW, "email": "guest@example.com"},
    ("POST /public/tickets/{ticket_number}/messages", "guests_reply"): {"content": "Hello?"},
    ("POST /public/tickets/{ticket_number}/satisfaction", "rating"): {"rating": 4},
    ("POST /public/surveys/{token}", "rating"): {"rating": 4},
    ("PUT /agents/me/availability", "available"): {"available": True},
    ("PUT /agents/{user_id}", "capacity"): {"capacity": 3},
    ("POST /privacy/exports", "person"): {"user_id": 1},
    ("POST /privacy/erasures", "person"): {"user_id": 1},
}
# The same for forms; `note` stands for the note's id.
FORMS: dict[tuple[str, str], Any] = {
    ("POST /tickets/{ticket_id}/attachments", "file"): [("file", "a.png", PNG)],
    ("POST /public/tickets/{ticket_number}/attachments", "file"): [("file", "a.png", PNG)],
    ("POST /tickets/{ticket_id}/attachments", "file_on_note"): [("file", "a.png", PNG), "note"],
    ("POST /tickets/{ticket_id}/attachments/multiple", "files"): [("files", "a.png", PNG)],
    ("POST /tickets/{ticket_id}/attachments/multiple", "files_on_note"): [("files", "a.png", PNG), "note"],
}
QUERY_STRINGS = {("GET /tickets", "of_somebody"): f"user_id={SOMEBODY}"}


@dataclass(frozen=True)
class Line:
    """One route, one way to call it, and the status for each column."""

    method: str
    path: str
    how: str
    expected: dict[tuple[str, str | None], int]

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.how})"

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_about_a_ticket(self) -> bool:
        return "{ticket_id}" in self.path

    @property
    def body(self) -> Any:
        if self.path.endswith("/messages/{message_id}") and self.method in ("PUT", "PATCH"):
            return {"content": "Corrected."}
        return HOW.get((self.route.replace("PATCH", "PUT"), self.how))


def read_table() -> Iterator[Line]:
    for text in TABLE.strip().splitlines()[1:]:
        if text.strip():
            methods, path, how, *statuses = text.split()
            expected = dict(zip(COLUMNS, map(int, statuses), strict=True))
            for method in methods.split("|"):
                yield Line(method, path, how, expected)


LINES = list(read_table())
ABOUT_TICKETS = [line for line in LINES if line.is_about_a_ticket]


@dataclass(frozen=True)
class World:
    """One ticket of customer 1 with three messages, and three agents; each call may spoil it."""

    api: Api
    ticket: Ticket
    messages: dict[str, Message]
    attachments: dict[str, Attachment]

    def caller(self, who: str) -> Api:
        return {
            "nobody": lambda: self.api,
            "owner": lambda: self.api.customer(1),
            "stranger": lambda: self.api.customer(2),
            "assignee": lambda: self.api.agent(ASSIGNEE),
            "other_agent": lambda: self.api.agent(OTHER_AGENT),
            "admin": lambda: self.api.admin(99),
        }[who]()

    def call(self, line: Line, who: str, **ids: int) -> Result:
        """The same request id every time, so that whole answers can be compared."""
        message, attachment = self.messages.get(line.how), self.attachments.get(line.how)
        path = line.path.format(
            **{
                "ticket_id": self.ticket.id,
                "ticket_number": self.ticket.ticket_number,
                "token": "no-token",
                "message_id": message.id if message else 0,
                "attachment_id": attachment.id if attachment else 0,
                "user_id": ASSIGNEE,
                "export_id": 0,
                "erasure_id": 0,
                **ids,
            }
        )
        options: dict[str, Any] = {"headers": {"X-Request-ID": "the-same"}}
        if parts := FORMS.get((line.route, line.how)):
            note = ("message_id", None, str(self.messages["note"].id).encode())
            options = form(*(note if part == "note" else part for part in parts), **options)
        query = QUERY_STRINGS.get((line.route, line.how), "")
        return self.caller(who).call(line.method, path, line.body, query_string=query, **options)


@pytest.fixture
def new_world(api: Api) -> Callable[..., World]:
    for agent_id in (ASSIGNEE, OTHER_AGENT, THIRD_AGENT):
        make_agent(agent_id)
    return partial(_new_world, api)


def _new_world(api: Api, status: Any = "assigned", **fields: Any) -> World:
    ticket = make_ticket(status, user_id=1, internal_notes=MARKER, **fields)
    messages = {
        "owners": make_message(ticket, user_id=1),
        "assignees": make_message(ticket, user_id=ASSIGNEE, author_role="agent"),
        "note": make_message(
            ticket, user_id=ASSIGNEE, author_role="agent", content=f"Beware. {MARKER}", is_internal=True
        ),
    }
    attachments = {
        "owners_file": make_attachment(ticket, message=messages["owners"]),
        "assignees_file": make_attachment(ticket, user_id=ASSIGNEE),
        "notes_file": make_attachment(
            ticket, message=messages["note"], user_id=ASSIGNEE, file_name=f"{MARKER}.txt"
        ),
    }
    return World(api, ticket, messages, attachments)


def all_rows() -> list[Any]:
    """Everything that is in the database."""
    return [
        database.execute_sql(f"SELECT * FROM {table._meta.table_name} ORDER BY 1, 2").fetchall()  # noqa: S608
        for table in TABLES
    ]


def test_every_route_has_its_lines_in_the_table(api: Api) -> None:
    served = {
        f"{name.removeprefix('on_').upper()} {path}"
        for path, resource in routes(api.desk).items()
        for name in dir(resource)
        if name.startswith("on_")
    }
    assert {line.route for line in LINES} == served


def test_the_table_is_about_what_is_sent() -> None:
    sent = {(line.route, line.how) for line in LINES}
    assert set(HOW) | set(FORMS) | set(QUERY_STRINGS) <= sent
    rows = {"owners", "assignees", "note", "owners_file", "assignees_file", "notes_file"}
    known = {how for _, how in (*HOW, *FORMS, *QUERY_STRINGS)} | {"-"} | rows
    assert {line.how for line in LINES} <= known


@pytest.mark.parametrize(
    ("who", "status"),
    [column for column in COLUMNS if column[0] != "gone"],
    ids=lambda part: part or "any",
)
def test_each_caller_gets_what_the_table_says(
    new_world: Callable[..., World], who: str, status: str | None
) -> None:
    wrong, world, rows = [], new_world(status or "assigned"), None
    for line in LINES:
        expected = line.expected[who, status]
        writes = expected < 400 and line.method != "GET"
        rows = None if writes else rows or all_rows()
        answer = world.call(line, who)
        if answer.status_code != expected:
            wrong.append(f"{line}: {answer.status_code} instead of {expected}: {answer.text[:200]}")
        if writes:
            world = new_world(status or "assigned")
        elif all_rows() != rows:
            wrong.append(f"{line}: {answer.status_code}, and yet rows have changed")
            rows = None
    assert wrong == []


@pytest.mark.parametrize("status", STATUSES)
def test_what_does_not_depend_on_the_status_really_does_not(
    new_world: Callable[..., World], status: str
) -> None:
    world = new_world(status)
    wrong = [
        f"{line} by {who}: {answer.status_code}"
        for who in ("nobody", "stranger")
        for line in LINES
        if line.is_about_a_ticket
        if (answer := world.call(line, who)).status_code != line.expected[who, None]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("owner", "open"),
        ("stranger", "open"),
        ("assignee", "assigned"),
        ("assignee", "closed"),
        ("other_agent", "open"),
        ("admin", "open"),
    ],
)
def test_a_deleted_ticket_is_gone_for_everybody(
    new_world: Callable[..., World], who: str, status: str
) -> None:
    world = new_world(status, deleted_at=WRITTEN_AT)
    rows = all_rows()
    wrong = [
        f"{line}: {answer.status_code}"
        for line in ABOUT_TICKETS
        if (answer := world.call(line, who)).status_code != line.expected["gone", None]
    ]
    assert wrong == []
    assert all_rows() == rows


def whole(answer: Result) -> tuple[int, dict[str, str], bytes]:
    return answer.status_code, dict(answer.headers), answer.content


@pytest.mark.parametrize(
    ("who", "fields"),
    [
        ("stranger", {"status": "open"}),
        ("stranger", {"status": "assigned"}),
        ("stranger", {"status": "closed"}),
        ("other_agent", {"status": "assigned"}),
        ("other_agent", {"status": "closed"}),
        ("owner", {"status": "open", "deleted_at": WRITTEN_AT}),
        ("admin", {"status": "open", "deleted_at": WRITTEN_AT}),
    ],
    ids=lambda part: (
        part if isinstance(part, str) else "-".join(["deleted"] * (len(part) > 1) + [part["status"]])
    ),
)
def test_out_of_sight_looks_like_absent_byte_by_byte(
    new_world: Callable[..., World], who: str, fields: dict[str, Any]
) -> None:
    world = new_world(**fields)
    wrong = []
    for line in ABOUT_TICKETS:
        hidden, absent = world.call(line, who), world.call(line, who, ticket_id=world.ticket.id + 1000)
        if hidden.status_code != 404 or whole(hidden) != whole(absent):
            wrong.append(f"{line}: {whole(hidden)} is not {whole(absent)}")
    assert wrong == []


@pytest.mark.parametrize("status", STATUSES)
def test_a_note_looks_like_an_absent_message_to_the_owner(
    new_world: Callable[..., World], status: str
) -> None:
    world = new_world(status)
    lines = [line for line in LINES if line.how == "note" and "{message_id}" in line.path]
    assert len(lines) == 6
    for line in lines:
        hidden = world.call(line, "owner")
        absent = world.call(line, "owner", message_id=world.messages["note"].id + 1000)
        assert whole(hidden) == whole(absent), str(line)


@pytest.mark.parametrize("status", STATUSES)
def test_a_file_on_a_note_looks_like_an_absent_one_to_the_owner(
    new_world: Callable[..., World], status: str
) -> None:
    world = new_world(status)
    lines = [line for line in LINES if line.how == "notes_file"]
    assert len(lines) == 3
    for line in lines:
        hidden = world.call(line, "owner")
        absent = world.call(line, "owner", attachment_id=world.attachments["notes_file"].id + 1000)
        assert whole(hidden) == whole(absent), str(line)


def test_a_file_is_found_under_its_own_ticket_only(new_world: Callable[..., World]) -> None:
    world, elsewhere = new_world(), new_world()
    wrong = [
        f"{line} by {who}: {answer.status_code}"
        for who in ("owner", "assignee", "admin")
        for line in LINES
        if "{attachment_id}" in line.path
        if (answer := world.call(line, who, ticket_id=elsewhere.ticket.id)).status_code != 404
    ]
    assert wrong == []


def test_a_message_is_found_under_its_own_ticket_only(new_world: Callable[..., World]) -> None:
    world, elsewhere = new_world(), new_world()
    wrong = [
        f"{line} by {who}: {answer.status_code}"
        for who in ("owner", "assignee", "admin")
        for line in LINES
        if "{message_id}" in line.path
        if (answer := world.call(line, who, ticket_id=elsewhere.ticket.id)).status_code != 404
    ]
    assert wrong == []


# --- Internal content -------------------------------------------------------------------------------------


def searched_for_the_marker(world: World, who: str) -> Iterator[tuple[str, Result]]:
    """Every answer of every route, right and wrong, and the lists by every filter and order."""
    for line in LINES:
        yield str(line), world.call(line, who)
    for line in ABOUT_TICKETS:
        yield f"absent: {line}", world.call(line, who, ticket_id=world.ticket.id + 1000, message_id=1)
    for query in (
        f"q={MARKER}",
        f"q={MARKER[:5]}",
        "include_total=true",
        f"q={MARKER}&include_total=true",
        "status=open&status=assigned&status=closed",
        "assigned_to=me",
        "assigned_to=none",
        "sort=-updated_at",
        "sort=nonsense",
    ):
        path = "/tickets"
        yield f"{path}?{query}", world.caller(who).get(path, query_string=query)
    thread = f"/tickets/{world.ticket.id}/messages"
    files = f"/tickets/{world.ticket.id}/attachments"
    for path in (thread, files):
        for query in ("include_total=true", "per_page=1", "per_page=1&page=2", "per_page=1&page=3", "q=x"):
            yield f"{path}?{query}", world.caller(who).get(path, query_string=query)


@pytest.mark.parametrize("who", ["nobody", "owner", "stranger"])
@pytest.mark.parametrize("status", STATUSES)
def test_no_road_leads_a_customer_to_internal_content(
    new_world: Callable[..., World], who: str, status: str
) -> None:
    world = new_world(status)
    # Whatever staff do with it, it must not come up elsewhere, as in the history or an event.
    admin, path = world.caller("admin"), f"/tickets/{world.ticket.id}"
    note = admin.post(f"{path}/messages", {"content": f"{MARKER} one", "is_internal": True}).json
    admin.put(f"{path}/messages/{note['id']}", {"content": f"{MARKER} two"})
    admin.put(path, {"internal_notes": f"{MARKER} three"})
    found = [
        where
        for where, answer in searched_for_the_marker(world, who)
        if MARKER in answer.text or MARKER in str(answer.headers)
    ]
    assert found == []


@pytest.mark.parametrize("who", ["assignee", "admin"])
def test_staff_do_find_it(new_world: Callable[..., World], who: str) -> None:
    world = new_world()
    path = f"/tickets/{world.ticket.id}"
    world.caller(who).put(path, {"internal_notes": f"{MARKER} again"})
    for where in ("/tickets", path, f"{path}/messages", f"{path}/history", f"{path}/attachments"):
        assert MARKER in world.caller(who).get(where).text, where
    assert "internal_notes" in world.caller(who).get(path).json


def test_a_customers_ticket_has_no_field_for_internal_notes(new_world: Callable[..., World]) -> None:
    world = new_world()
    owner, path = world.caller("owner"), f"/tickets/{world.ticket.id}"
    assert "internal_notes" not in owner.get(path).json
    assert "internal_notes" not in owner.get("/tickets").json["data"][0]
    assert "internal_notes" not in owner.put(path, {"subject": "Other"}).json
    assert "internal_notes" not in owner.post(f"{path}/close").json


def test_nothing_that_happens_to_a_note_can_be_told_from_the_ticket(new_world: Callable[..., World]) -> None:
    world = new_world()
    owner, admin, path = world.caller("owner"), world.caller("admin"), f"/tickets/{world.ticket.id}"

    def shown() -> list[Any]:
        lists = ("/tickets", "/tickets?sort=-updated_at", f"{path}/messages", f"{path}/attachments")
        answers = [owner.get(where) for where in (path, *lists)]
        return [(answer.status_code, answer.content, answer.headers.get("ETag")) for answer in answers]

    def told_to_staff() -> str:
        return admin.get(path).headers["ETag"]

    before, tags = shown(), [told_to_staff()]
    note = admin.post(f"{path}/messages", {"content": "One.", "is_internal": True}).json["id"]
    tags.append(told_to_staff())
    assert world.caller("assignee").post(f"{path}/messages/{note}/mark-read").status_code == 200
    assert told_to_staff() == tags[-1]
    admin.put(f"{path}/messages/{note}", {"content": "Two."})
    tags.append(told_to_staff())
    attached = admin.post(f"{path}/attachments", **form(("file", "a.png", PNG), message_id=note)).json
    tags.append(told_to_staff())
    assert admin.delete(f"{path}/attachments/{attached['id']}").status_code == 200
    tags.append(told_to_staff())
    assert admin.delete(f"{path}/messages/{note}").status_code == 200
    tags.append(told_to_staff())
    assert shown() == before
    assert len(set(tags)) == len(tags)


def test_counts_do_not_betray_a_note(new_world: Callable[..., World]) -> None:
    world = new_world()
    owner, thread = world.caller("owner"), f"/tickets/{world.ticket.id}/messages"
    assert owner.get(thread, query_string="include_total=true").json["meta"]["total"] == 2
    assert owner.get(f"{thread}/unread-count").json == {"count": 1}
    files = f"/tickets/{world.ticket.id}/attachments"
    assert owner.get(files, query_string="include_total=true").json["meta"]["total"] == 2
    for page, rows in ((1, 1), (2, 1), (3, 0)):
        assert len(owner.get(thread, query_string=f"per_page=1&page={page}").json["data"]) == rows
    assert owner.get("/tickets", query_string=f"q={MARKER}&include_total=true").json == {
        "data": [],
        "meta": {"per_page": 25, "next_cursor": None, "total": 0},
    }


def test_no_event_that_leaves_the_service_holds_internal_content(new_world: Callable[..., World]) -> None:
    world = new_world("open")
    admin, path = world.caller("admin"), f"/tickets/{world.ticket.id}"
    admin.put(path, {"internal_notes": f"{MARKER} again", "subject": "Other"})
    admin.post(f"{path}/messages", {"content": MARKER, "is_internal": True})
    admin.post(f"{path}/messages", {"content": f"public {MARKER}"})
    admin.post(f"{path}/resolve", {"resolution": MARKER})
    admin.post(f"{path}/close", {"reason": "done"})
    world.caller("owner").post(f"{path}/satisfaction", {"rating": 2, "comment": MARKER})
    published = list(Event.select().where(Event.published_sequence.is_null(False)).order_by(Event.sequence))
    assert [event.name for event in published] == [
        "ticket.message.new",
        "ticket.assigned",
        "ticket.resolved",
        "ticket.closed",
        "ticket.satisfaction.received",
    ]
    assert [event.name for event in published if MARKER in str(event.data)] == []
