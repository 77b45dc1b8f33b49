"""The AsyncAPI document is true: what is published is what it says, and what it says is understood."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pika
import pytest

from sav.actors.asyncapi import asyncapi_document
from sav.actors.event_catalogue import published_events
from sav.actors.event_exchange import EventExchange
from sav.actors.event_tap import EventTap
from sav.actors.foreign_envelope import DATA_OF, Poison, parse_foreign_event
from sav.actors.publish_event import publish_events
from sav.domain.events import PUBLISHED_NAMES, TicketEscalated
from sav.models.tables import Event, ReceivedEvent, Ticket
from sav.operations.ticket_change import change_ticket
from sav.settings import Settings
from tests.actors.conftest import Subscriber, eventually, parameters
from tests.actors.owed import OCCASION
from tests.plugins.desk import Api

Json = dict[str, Any]


@pytest.fixture
def document(settings: Settings) -> Json:
    """As another service reads it: from its text."""
    made = asyncapi_document(exchange=settings.RABBITMQ_EXCHANGE, queue=settings.RABBITMQ_QUEUE)
    parsed: Json = json.loads(json.dumps(made))
    return parsed


def resolve(document: Json, part: Json) -> Json:
    """What a `$ref` stands for."""
    while "$ref" in part:
        place: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        part = place
    return part


def operations(document: Json, action: str) -> Iterator[tuple[Json, Json]]:
    """The channel and the message of each operation that sends, or receives."""
    for operation in document["operations"].values():
        if operation["action"] == action:
            (message,) = operation["messages"]
            yield resolve(document, operation["channel"]), resolve(document, message)


def validator(document: Json, message: Json) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(resolve(document, message["payload"]), validate_formats=True)


@pytest.fixture
def life(api: Api, settings: Settings) -> int:
    """The id of a ticket to which everything has happened that is published."""
    agent, customer = api.agent(7), api.customer(1)
    assert agent.put("/agents/me/availability", {"available": True}).status_code == 200
    ticket = customer.opened(category="order", priority="urgent")
    ticket_id: int = ticket["id"]
    api.clock.forward(hours=3)
    with change_ticket(ticket_id, occasion=OCCASION) as change:
        # Its deadline is not kept yet by anything that a test could wait for.
        change.record(TicketEscalated(priority="urgent", reason="no_first_response", waited_seconds=10_800))
    for path, caller, body in (
        ("assign", agent, {"agent_id": 7}),
        ("messages", agent, {"content": "We are looking for it."}),
        ("messages", agent, {"content": "Strange customer.", "is_internal": True}),
        ("resolve", agent, {"resolution": "Found it."}),
        ("satisfaction", customer, {"rating": 4, "comment": "At last."}),
        ("close", customer, {}),
    ):
        answer = caller.post(f"/tickets/{ticket_id}/{path}", body)
        assert answer.status_code in (200, 201), (path, answer.text)
    return ticket_id


def test_everything_that_a_ticket_publishes_is_what_the_document_says(
    life: int, document: Json, settings: Settings, subscriber: Subscriber
) -> None:
    exchange = EventExchange(settings)
    publish_events([life], publish=exchange)
    exchange.release()
    events = subscriber.wait_for(Ticket.get_by_id(life).published_event_count)
    assert {event["event"] for event in events} == PUBLISHED_NAMES
    by_address = {channel["address"]: (channel, message) for channel, message in operations(document, "send")}
    for event, properties in zip(events, subscriber.properties, strict=True):
        # The subscriber has checked that the routing key is the event's name.
        channel, message = by_address[event["event"]]
        validator(document, message).validate(event)
        schema = resolve(document, message["payload"])
        assert event.keys() == schema["properties"].keys()
        assert event["data"].keys() == schema["properties"]["data"]["properties"].keys()
        assert channel["bindings"]["amqp"]["exchange"]["name"] == settings.RABBITMQ_EXCHANGE
        assert properties.type == message["bindings"]["amqp"]["messageType"]
        assert properties.content_type == message["contentType"]
    assert "Strange customer" not in json.dumps(events)


def test_the_schemas_refuse_what_is_not_the_event(document: Json) -> None:
    for _, message in operations(document, "send"):
        valid = validator(document, message)
        (example,) = message["examples"]
        valid.validate(example["payload"])
        for change in ({"event": "ticket.other"}, {"sequence": "1"}, {"version": 2}, {"timestamp": "now"}):
            assert not valid.is_valid({**example["payload"], **change}), change
        for name in example["payload"]["data"]:
            rest = {key: value for key, value in example["payload"]["data"].items() if key != name}
            assert not valid.is_valid({**example["payload"], "data": rest}), name


def test_every_published_field_has_its_meaning() -> None:
    for event in published_events():
        assert all(field.meaning.sentence.endswith(".") for field in event.fields), event.name


def test_what_the_document_says_is_understood(document: Json) -> None:
    received = list(operations(document, "receive"))
    assert {channel["address"] for channel, _ in received} == set(DATA_OF)
    for channel, message in received:
        payload = message["examples"][0]["payload"]
        validator(document, message).validate(payload)
        assert parse_foreign_event(orjson.dumps(payload), message_id=None).name == channel["address"]
        required = resolve(document, message["payload"])["properties"]["data"]["required"]
        for name in required:
            rest = {key: value for key, value in payload["data"].items() if key != name}
            assert_refused(document, message, {**payload, "data": rest})


@pytest.mark.parametrize("name", ["order.issue", "product.issue_reported"])
def test_somebody_must_be_named(document: Json, name: str) -> None:
    message = document["components"]["messages"][name]
    payload = message["examples"][0]["payload"]
    person = {"user_id": None, "email": None}
    assert_refused(document, message, {**payload, "data": {**payload["data"], **person}})
    for known in person:
        data = {**payload["data"], **person, known: payload["data"][known]}
        validator(document, message).validate({**payload, "data": data})
        parse_foreign_event(orjson.dumps({**payload, "data": data}), message_id=None)


def assert_refused(document: Json, message: Json, payload: Json) -> None:
    """By the schema and by the service."""
    assert not validator(document, message).is_valid(payload)
    with pytest.raises(Poison):
        parse_foreign_event(orjson.dumps(payload), message_id=None)


def test_examples_published_by_the_document_are_received(document: Json, settings: Settings) -> None:
    tap = EventTap(settings)
    tap.start()
    try:
        with pika.BlockingConnection(parameters(settings)) as connection:
            eventually(lambda: _exists(connection, settings.RABBITMQ_QUEUE), "the tap to bind its queue")
            eventually(
                lambda: _published_by(document, connection) == len(DATA_OF), "the events to be received"
            )
    finally:
        tap.stop()
    assert Event.select().count() == 0, "received is not yet handled"


def _exists(connection: pika.BlockingConnection, queue: str) -> bool:
    try:
        connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


def _published_by(document: Json, connection: pika.BlockingConnection) -> int:
    """Publishes every example, however often it was before; returns how many have been received."""
    for channel, message in operations(document, "receive"):
        body = orjson.dumps(message["examples"][0]["payload"] | {"id": f"test-{channel['address']}"})
        exchange = channel["bindings"]["amqp"]["exchange"]["name"]
        connection.channel().basic_publish(exchange, channel["address"], body)
    return len({row.name for row in ReceivedEvent.select()})
