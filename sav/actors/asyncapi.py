"""The AsyncAPI 3 document: what is published and consumed, where, and in which words."""

from typing import Any

from sav.actors.event_catalogue import CataloguedEvent, Json, consumed_events, published_events
from sav.domain.events import SCHEMA_VERSION

BINDING_VERSION = "0.3.0"
"""Of AsyncAPI's bindings for AMQP 0-9-1."""
PERSISTENT = 2

_DESCRIPTION = """\
The events of the after-sales support desk. Every message is one JSON object in UTF-8 on a durable topic
exchange; the routing key is the event's name. See docs/events.md for order, repetitions and advice.
"""


def asyncapi_document(*, exchange: str, queue: str) -> Json:
    """The whole document for a service that uses this exchange and consumes this queue."""
    sent, received = published_events(), consumed_events()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sav-service",
            # Of the schemas, not of the service: it changes when a consumer has to.
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {event.name: _channel(event, exchange) for event in (*sent, *received)},
        "operations": {
            **{f"publish.{event.name}": _send(event) for event in sent},
            **{f"consume.{event.name}": _receive(event, queue) for event in received},
        },
        "components": {
            "messages": {
                **{event.name: _sent_message(event) for event in sent},
                **{event.name: _message(event) for event in received},
            },
            "schemas": {event.name: event.schema for event in (*sent, *received)},
        },
    }


def _channel(event: CataloguedEvent, exchange: str) -> Json:
    return {
        "address": event.name,
        "description": event.summary,
        "messages": {event.name: _reference("components", "messages", event.name)},
        "bindings": _amqp(
            {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
            }
        ),
    }


def _send(event: CataloguedEvent) -> Json:
    return {
        "action": "send",
        "summary": event.summary,
        "channel": _reference("channels", event.name),
        "messages": [_reference("channels", event.name, "messages", event.name)],
        "bindings": _amqp({"deliveryMode": PERSISTENT, "mandatory": False}),
    }


def _receive(event: CataloguedEvent, queue: str) -> Json:
    return {
        "action": "receive",
        "summary": event.summary,
        "description": f"Through the queue `{queue}`; what cannot be used lands in `{queue}.dead`.",
        "channel": _reference("channels", event.name),
        "messages": [_reference("channels", event.name, "messages", event.name)],
        "bindings": _amqp({"ack": True}),
    }


def _message(event: CataloguedEvent) -> Json:
    return {
        "name": event.name,
        "summary": event.summary,
        "contentType": "application/json",
        "payload": _reference("components", "schemas", event.name),
        "examples": [{"name": event.name, "payload": event.example}],
    }


def _sent_message(event: CataloguedEvent) -> Json:
    request_id = {"type": "string", "description": "The request that caused the event, if one did."}
    return {
        **_message(event),
        "headers": {"type": "object", "properties": {"request_id": request_id}},
        "correlationId": {"location": "$message.payload#/request_id"},
        "bindings": _amqp({"contentEncoding": "utf-8", "messageType": event.name}),
    }


def _amqp(binding: Json) -> Json:
    return {"amqp": {**binding, "bindingVersion": BINDING_VERSION}}


def _reference(*path: str) -> dict[str, Any]:
    return {"$ref": "#/" + "/".join(path)}
