"""Every event that leaves the service or comes to it, as the documents describe it.

Made from the facts in `sav.domain.events` and from the models that foreign events are checked with, so that
what is documented is what is sent and what is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_args, get_type_hints
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from sav.actors.foreign_envelope import DATA_OF, ForeignEnvelope
from sav.domain.events import PUBLISHED, SCHEMA_VERSION, AboutTicket
from sav.domain.meaning import Meaning

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEnvelope:
    """What every published event is wrapped in."""

    event: Annotated[str, Meaning("The event's name, also the routing key.", example=None)]
    timestamp: Annotated[
        datetime, Meaning("When it happened, in UTC.", example="2026-01-15T09:30:00.120000Z")
    ]
    data: Annotated[dict[str, Any], Meaning("What happened.", example=None)]
    id: Annotated[
        UUID,
        Meaning(
            "The same for every copy of the event, also the AMQP `message_id`.",
            example="9b2f5c0e-4a57-4d0e-8c53-2f0f1f6a7c11",
        ),
    ]
    sequence: Annotated[
        int, Meaning("The event's place among those of its ticket: 1, 2, 3… without a gap.", example=1)
    ]
    version: Annotated[
        int, Meaning("The version of its schema. Fields may be added within one.", example=SCHEMA_VERSION)
    ]
    request_id: Annotated[
        str | None,
        Meaning("The request that caused it; null when no request did.", example="5f7c2f3a"),
    ]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event's data or of its envelope."""

    name: str
    schema: Json
    required: bool
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class CataloguedEvent:
    """An event: its name, what it tells, and the JSON Schema of its whole body with an example of it."""

    name: str
    summary: str
    fields: Sequence[Field]
    schema: Json
    example: Json


def published_events() -> list[CataloguedEvent]:
    """What the service tells others, in the catalogue's order."""
    envelope = _fields(PublishedEnvelope)
    return [
        _catalogued(
            fact.name,
            summary=_summary(fact),
            data=_object([*_fields(AboutTicket), *_fields(fact)]),
            envelope=[_constant(field, {"version": SCHEMA_VERSION}) for field in envelope],
            fields=_fields(fact),
        )
        for fact in PUBLISHED
    ]


def consumed_events() -> list[CataloguedEvent]:
    """What the service understands of others."""
    envelope = _fields(ForeignEnvelope)
    return [
        _catalogued(
            name,
            summary=_summary(model),
            data={**_object(_fields(model)), **_further_conditions(model)},
            envelope=envelope,
            fields=_fields(model),
        )
        for name, model in DATA_OF.items()
    ]


def about_ticket_fields() -> list[Field]:
    """The fields of every published event's data."""
    return _fields(AboutTicket)


def envelope_fields() -> list[Field]:
    """The fields around every published event's data."""
    return _fields(PublishedEnvelope)


def foreign_envelope_fields() -> list[Field]:
    """The fields around a consumed event's data."""
    return _fields(ForeignEnvelope)


def _catalogued(
    name: str, *, summary: str, data: Json, envelope: Sequence[Field], fields: Sequence[Field]
) -> CataloguedEvent:
    body = _object([_constant(field, {"event": name}) for field in envelope])
    body["properties"]["data"] = {**data, "description": body["properties"]["data"]["description"]}
    example = {field.name: field.meaning.example for field in envelope}
    example |= {"event": name, "data": {key: _example(schema) for key, schema in data["properties"].items()}}
    return CataloguedEvent(name, summary, fields, body, example)


def _fields(described: Any) -> list[Field]:
    """The fields of a dataclass or a pydantic model; each must have its `Meaning`."""
    schema = TypeAdapter(described).json_schema()
    hints = get_type_hints(described, include_extras=True)
    return [
        Field(name, _plain(part), name in schema.get("required", ()), _meaning(described, name, hints[name]))
        for name, part in schema.get("properties", {}).items()
    ]


def _meaning(described: Any, name: str, hint: Any) -> Meaning:
    for part in get_args(hint):
        if isinstance(part, Meaning):
            return part
    raise LookupError(f"{described.__name__}.{name} has no Meaning")


def _plain(schema: Json) -> Json:
    # pydantic's titles only repeat the fields' names.
    return {key: part for key, part in schema.items() if key != "title"}


def _object(fields: Sequence[Field]) -> Json:
    return {
        "type": "object",
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: _described(field) for field in fields},
    }


def _described(field: Field) -> Json:
    return {**field.schema, "description": field.meaning.sentence, "examples": [field.meaning.example]}


def _constant(field: Field, values: Json) -> Field:
    if field.name not in values:
        return field
    value = values[field.name]
    return Field(
        field.name, {**field.schema, "const": value}, field.required, Meaning(field.meaning.sentence, value)
    )


def _example(schema: Json) -> Any:
    return schema["examples"][0]


def _further_conditions(model: type[BaseModel]) -> Json:
    """What a model asks of its fields together."""
    schema = model.model_json_schema()
    return {"anyOf": schema["anyOf"]} if "anyOf" in schema else {}


def _summary(described: type) -> str:
    return " ".join((described.__doc__ or "").split())
