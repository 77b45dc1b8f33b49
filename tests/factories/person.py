"""A person who has left something of themselves everywhere: `MARKER` stands in all of it."""

from datetime import UTC, datetime
from typing import Any

from sav.actors.foreign_envelope import parse_foreign_event
from sav.models.tables import DueEffect
from sav.operations.received_events import receive_event
from tests.factories.forms import PNG, form
from tests.plugins.desk import Api

MARKER = "zyxmarkerson"
PERSON = 4_100_041
EMAIL = f"{MARKER}@example.com"
NAME = f"Zoe {MARKER}"
AGENT, OTHER = 7, 2
LONG_AGO = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def told(event: str, data: dict[str, Any], *, event_id: str) -> None:
    """Another service tells of somebody."""
    import orjson

    body = orjson.dumps({"event": event, "id": event_id, "data": data})
    parsed = parse_foreign_event(body, message_id=None)
    receive_event(
        dedup_key=parsed.dedup_key,
        name=parsed.name,
        text=parsed.text,
        request_id=f"shop-{MARKER}",
        now=LONG_AGO,
    )


def live(api: Api) -> dict[str, int]:
    """Tickets in every state, with words, files and mails; the ids of some of them by name."""
    person = api.customer(PERSON, email=EMAIL, name=NAME)
    agent = api.agent(AGENT, email="agent@example.com", name="Alice Agent")
    agent.get("/agents/me")
    return {
        "closed": _a_whole_life(person, agent),
        "open": _an_open_one(person),
        "deleted": _a_deleted_one(person),
        "guests": _a_guests(api, agent),
        "others": _somebody_elses(api, agent),
    }


def _a_whole_life(person: Api, agent: Api) -> int:
    words = {"subject": f"About {MARKER}", "description": f"I am {MARKER}.", "tags": [f"of-{MARKER}"]}
    ticket = person.post("/tickets", words, headers={"Idempotency-Key": "k-1"}).json
    path = f"/tickets/{ticket['id']}"
    agent.post(f"{path}/assign", {"agent_id": AGENT})
    person.patch(path, {"subject": f"Still about {MARKER}"})
    said = person.post(f"{path}/messages", {"content": f"{MARKER} here."}).json
    spoken = person.post(f"{path}/messages", {"content": f"{MARKER} again."}).json
    person.patch(f"{path}/messages/{said['id']}", {"content": f"{MARKER} was here."})
    answer = agent.post(
        f"{path}/messages", {"content": f"Dear {MARKER}"}, headers={"Idempotency-Key": "k-2"}
    ).json
    note = agent.post(f"{path}/messages", {"content": f"{MARKER} is angry.", "is_internal": True}).json
    agent.patch(path, {"internal_notes": f"{MARKER} again", "metadata": {"who": MARKER}})
    person.post(f"{path}/messages/{answer['id']}/mark-read")
    parts = ("file", f"{MARKER}.txt", f"bytes of {MARKER}".encode())
    person.post(f"{path}/attachments", **form(parts))
    on_spoken = ("message_id", None, str(spoken["id"]).encode())
    person.post(f"{path}/attachments", **form(("file", f"{MARKER}.png", PNG), on_spoken))
    person.delete(f"{path}/messages/{spoken['id']}")
    on_note = ("message_id", None, str(note["id"]).encode())
    agent.post(f"{path}/attachments", **form(("file", f"note-{MARKER}.txt", b"a file"), on_note))
    agent.post(f"{path}/resolve", {"resolution": f"Told {MARKER}"})
    agent.post(f"{path}/close", {"reason": f"{MARKER} is content"})
    rated = person.post(f"{path}/satisfaction", {"rating": 4, "comment": f"{MARKER} is content"})
    assert rated.status_code == 200, rated.text
    return int(ticket["id"])


def _an_open_one(person: Api) -> int:
    opened = person.opened(subject=f"Open {MARKER}", priority="urgent")
    person.post(f"/tickets/{opened['id']}/messages", {"content": f"Hello from {MARKER}"})
    return int(opened["id"])


def _a_deleted_one(person: Api) -> int:
    deleted = person.opened(subject=f"Deleted {MARKER}")
    person.post(f"/tickets/{deleted['id']}/attachments", **form(("file", f"{MARKER}.txt", b"x")))
    person.delete(f"/tickets/{deleted['id']}")
    return int(deleted["id"])


def _a_guests(api: Api, agent: Api) -> int:
    words = {"subject": f"Guest {MARKER}", "description": MARKER, "email": EMAIL.upper(), "name": NAME}
    opened = api.post("/public/tickets", words, headers={"Idempotency-Key": "k-3"}).json
    number, token = opened["ticket_number"], opened["access_token"]
    api.post(
        f"/public/tickets/{number}/messages",
        {"content": f"It is {MARKER}"},
        headers={"X-Ticket-Token": token, "Idempotency-Key": "k-4"},
    )
    mine = agent.get("/tickets", query_string="status=open&sort=-created_at").json["data"]
    return next(int(row["id"]) for row in mine if row["ticket_number"] == number)


def _somebody_elses(api: Api, agent: Api) -> int:
    """Another customer's, in which the person has worked as staff, under another account's role: it is in
    their hands, and they have read, written and attached something."""
    other = api.customer(OTHER, email="other@example.com", name="Otto Other")
    ticket = other.opened(subject="Nobody's business", description="Of the other one.")
    path = f"/tickets/{ticket['id']}"
    staff = api.agent(PERSON, email=f"staff-{MARKER}@example.com", name=NAME)
    other.post(f"{path}/messages", {"content": "Where is it?"})
    taken = staff.post(f"{path}/assign", {"agent_id": PERSON})
    assert taken.status_code == 200, taken.text
    read = staff.post(f"{path}/messages/mark-all-read")
    assert read.status_code == 200, read.text
    staff.post(f"{path}/messages", {"content": "I look into it."})
    sent = staff.post(f"{path}/attachments", **form(("file", "report.txt", b"what was found")))
    assert sent.status_code == 201, sent.text
    other.post(f"{path}/attachments", **form(("file", "others.txt", b"of the other one")))
    return int(ticket["id"])


def forget_what_is_not_due() -> None:
    """What waits for a deadline of its own would be waited for by whoever does all that is owed."""
    DueEffect.delete().where(DueEffect.effect == "escalate_ticket").execute()
