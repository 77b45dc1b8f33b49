"""One ticket from its opening to its end, and what the rest of the world is told of it."""

from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import pika

from tests.system.conftest import Site
from tests.system.fleet import Admin, Agent, Customer, Delivery, Document, ExchangeListener, opened

# No text of these may ever leave the service.
DESCRIPTION = "description-zebra"
ANSWER = "answer-giraffe"
QUESTION = "question-ocelot"
NOTE = "note-pangolin"
INTERNAL_NOTES = "internal-notes-okapi"
RESOLUTION = "resolution-tapir"
COMPLAINT = "complaint-axolotl"
SECOND_RESOLUTION = "second-resolution-quokka"
COMMENT = "comment-numbat"
TEXTS = (
    DESCRIPTION,
    ANSWER,
    QUESTION,
    NOTE,
    INTERNAL_NOTES,
    RESOLUTION,
    COMPLAINT,
    SECOND_RESOLUTION,
    COMMENT,
)
ENVELOPE = {"event", "timestamp", "data", "id", "sequence", "version", "request_id"}


def test_events_tell_the_life_of_a_ticket(
    site: Site, listener: ExchangeListener, customer: Customer, admin: Admin
) -> None:
    began_at = datetime.now(UTC)
    with Agent(site.fleet, site.someone_new()) as agent:
        agent.join()
        fields = {
            "subject": "Where is it?",
            "description": DESCRIPTION,
            "priority": "high",
            "category": "delivery",
        }
        ticket_id = opened(customer.open(fields, request_id="life-opened"))
        number = customer.ticket(ticket_id)["ticket_number"]
        assert admin.assign(ticket_id, agent.user_id, request_id="life-assigned").status_code == 200
        answer = opened(agent.reply(ticket_id, ANSWER, request_id="life-answered"))
        opened(agent.note(ticket_id, NOTE, request_id="life-noted"))
        notes = {"internal_notes": INTERNAL_NOTES}
        assert agent.call("PUT", f"/tickets/{ticket_id}", notes, request_id="life-edited").status_code == 200
        question = opened(customer.reply(ticket_id, QUESTION, request_id="life-asked"))
        resolved = agent.resolve(ticket_id, RESOLUTION, request_id="life-resolved").json()
        complaint = opened(customer.reply(ticket_id, COMPLAINT, request_id="life-reopened"))
        reopened = customer.ticket(ticket_id)
        resolved_again = agent.resolve(ticket_id, SECOND_RESOLUTION, request_id="life-resolved-again").json()
        assert customer.rate(ticket_id, 4, COMMENT, request_id="life-rated").status_code == 200
        closed = admin.close(ticket_id, "The customer is content", request_id="life-closed").json()

    assert (reopened["status"], reopened["reopen_count"], reopened["resolved_at"]) == ("in_progress", 1, None)
    assert (closed["status"], closed["satisfaction_rating"]) == ("closed", 4)

    about = {"ticket_id": ticket_id, "ticket_number": number, "user_id": customer.user_id}
    created = {
        "subject": "Where is it?",
        "priority": "high",
        "category": "delivery",
        "source": "web",
    }
    assigned = {
        "agent_id": agent.user_id,
        "previous_agent_id": None,
        "assigned_by": admin.user_id,
        "reason": "manual",
    }
    expected = [
        ("life-opened", "ticket.created", created),
        ("life-assigned", "ticket.assigned", assigned),
        ("life-answered", "ticket.message.new", {"message_id": answer, "author_role": "agent"}),
        ("life-asked", "ticket.message.new", {"message_id": question, "author_role": "customer"}),
        ("life-resolved", "ticket.resolved", resolution_of(resolved, agent)),
        ("life-reopened", "ticket.message.new", {"message_id": complaint, "author_role": "customer"}),
        ("life-resolved-again", "ticket.resolved", resolution_of(resolved_again, agent)),
        ("life-rated", "ticket.satisfaction.received", {"rating": 4}),
        ("life-closed", "ticket.closed", {"closed_by": admin.user_id, "reason": "The customer is content"}),
    ]
    deliveries = listener.wait_for(ticket_id, len(expected))
    told = [(item.event["request_id"], item.event["event"], item.event["data"]) for item in deliveries]
    assert told == [(request_id, name, about | data) for request_id, name, data in expected]
    assert [item.event["sequence"] for item in deliveries] == list(range(1, len(expected) + 1))
    for delivery in deliveries:
        assert_well_formed(delivery)
    times = [timestamp(delivery) for delivery in deliveries]
    assert began_at <= times[0]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[-1] <= datetime.now(UTC)
    assert times[0] == datetime.fromisoformat(closed["created_at"])
    assert times[-1] == datetime.fromisoformat(closed["closed_at"])
    assert_no_text_left(listener)


def test_a_guest_on_the_phone_stays_unknown_to_the_world(
    site: Site, listener: ExchangeListener, admin: Admin
) -> None:
    guest = {"source": "phone", "contact_email": "zoe@example.org", "contact_name": "Zoe Zapata"}
    answer = admin.open({"description": DESCRIPTION, **guest})
    ticket_id = opened(answer)
    assert admin.resolve(ticket_id, RESOLUTION).status_code == 200

    created, assigned, resolved = listener.wait_for(ticket_id, 3)
    assert created.event["data"] == {
        "ticket_id": ticket_id,
        "ticket_number": answer.json()["ticket_number"],
        "user_id": None,
        "subject": "Lost parcel",
        "priority": "normal",
        "category": None,
        "source": "phone",
    }
    # Resolving an open ticket takes it first.
    assert assigned.event["event"] == "ticket.assigned"
    assert assigned.event["data"]["agent_id"] == assigned.event["data"]["assigned_by"] == admin.user_id
    assert resolved.event["event"] == "ticket.resolved"
    # A request id that the caller did not send was made, and is the one in the answer.
    assert created.event["request_id"] == answer.headers["X-Request-ID"]
    for delivery in (created, assigned, resolved):
        assert_well_formed(delivery)
        assert b"zoe" not in delivery.body.lower()


def resolution_of(ticket: Document, agent: Agent) -> Document:
    took = datetime.fromisoformat(ticket["resolved_at"]) - datetime.fromisoformat(ticket["created_at"])
    return {"agent_id": agent.user_id, "resolution_seconds": int(took.total_seconds())}


def timestamp(delivery: Delivery) -> datetime:
    text = delivery.event["timestamp"]
    assert text.endswith("Z"), text
    return datetime.fromisoformat(text)


def assert_well_formed(delivery: Delivery) -> None:
    event, properties = delivery.event, delivery.properties
    assert set(event) == ENVELOPE
    assert event["version"] == 1
    assert str(UUID(event["id"])) == event["id"] == properties.message_id
    assert delivery.routing_key == event["event"]
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert properties.content_type == "application/json"
    assert timestamp(delivery).tzinfo == UTC


def assert_no_text_left(listener: ExchangeListener) -> None:
    for delivery in listener.deliveries:
        everything = f"{delivery.body.decode()} {vars(delivery.properties)}"
        assert not [text for text in TEXTS if text in everything]
