"""`docs/events.md` and `docs/asyncapi.json`, written from the catalogue of events."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sav.actors.asyncapi import asyncapi_document
from sav.actors.event_catalogue import (
    CataloguedEvent,
    Field,
    about_ticket_fields,
    consumed_events,
    envelope_fields,
    foreign_envelope_fields,
    published_events,
)
from sav.actors.foreign_envelope import MAX_EVENT_BYTES
from sav.settings import Settings

_PAGE = """\
# Events

What the service tells others, and what it understands of them. This page and
[asyncapi.json](asyncapi.json), the same as an AsyncAPI 3 document with JSON Schemas, are written from the
code by `sav docs`; do not edit them.

Every message is one JSON object in UTF-8. Events are published, persistent and confirmed by the broker, to
the durable topic exchange `RABBITMQ_EXCHANGE` (`{exchange}`); the routing key is the event's name. Bind a
queue of your own to it, with the names that you want, or with `ticket.#`.

## The envelope

{envelope}
```json
{example}
```

The AMQP properties repeat what routing needs: `message_id` is the `id`, `type` the event's name, and the
header `request_id` the request, if there was one. No event carries a message's text, an internal note or a
token.

## Published

The `data` of every event says which ticket it is about:

{about}
Beyond these:

{published}
## Consuming them

- **Repetitions.** An event may come more than once, after a crash of ours, of the broker or of yours, or
  because somebody has replayed it. Every copy has the same `id`: keep the ids that you have handled, in the
  transaction in which you handle them, and acknowledge afterwards.
- **Order.** The events of one ticket are published in the order of their `sequence`, without a gap. Nothing
  is promised between tickets. Whoever consumes with several threads, or lets messages be redelivered, may
  still see them out of order: keep the highest `sequence` of each ticket, and ignore what lies below it if
  only the last state counts.
- **Gaps.** A `sequence` that is missing was not delivered to you: your queue was not bound yet, or lost it.
  Read the ticket over HTTP, or ask for a replay.
- **Change.** Within one `version` fields and events may be added; ignore what you do not know. Whatever
  would break a consumer comes with a new `version`.
- **A queue of your own.** Make it durable, and give it a dead-letter exchange: a message that you cannot
  use must not come back for ever.

## Consumed

From the queue `RABBITMQ_QUEUE` (`{queue}`), bound by these names to `RABBITMQ_EXCHANGE` and to every
exchange of `RABBITMQ_CONSUME_EXCHANGES`. A message is written down together with what is to be done about
it, and only then acknowledged.

{foreign_envelope}
Any number of copies of an event have one effect. Copies have the same `id`, else the same AMQP
`message_id`, else equal bodies. Fields that are not listed here are ignored.

{consumed}
## Dead letters

What is no JSON, no envelope, longer than {longest:,} bytes, an unknown event, or lacks what it needs lands
in the queue `<RABBITMQ_QUEUE>.dead` (`{queue}.dead`) with its reason in the header `x-sav-reason`, and
holds up nothing. An event that was understood, but whose effect has failed too often, stays in the database
as a *failed effect*.

<!-- not run here: the ids are examples; tests/actors/hands/test_dead_letters.py runs each command -->
```bash
scripts/dead_letters list                       # what is there, and why; takes nothing away
scripts/dead_letters show 3f2a9c1b7d60 --body   # one of them, with what it says: that may be personal
scripts/dead_letters replay --reason-contains "unknown event" --dry-run
scripts/dead_letters replay --reason-contains "unknown event"   # after a release that knows the event
scripts/dead_letters discard --id 3f2a9c1b7d60  # for ever; asks first, unless --yes

scripts/dead_letters effects list               # the failed effects
scripts/dead_letters effects show 17            # what it is about
scripts/dead_letters effects retry --effect handle_received_event
scripts/dead_letters effects discard --id 17
```

A message leaves the dead letters only after the broker has confirmed it elsewhere. If the command is killed
in between, it is in both places; run the command again: what was handled once stays handled once.

## Replay

The event log keeps every event. `scripts/replay_events` publishes the same events again, with their `id`,
`sequence` and `timestamp`, in the order of each ticket, to everybody or to one queue alone.

<!-- not run here: the ids are examples; tests/actors/hands/test_replay_events.py runs each option -->
```bash
scripts/replay_events --ticket 42 --dry-run                 # counts, and publishes nothing
scripts/replay_events --ticket 42                           # to everybody who listens to RABBITMQ_EXCHANGE
scripts/replay_events --from 2026-01-01T00:00:00Z --to 2026-01-08T00:00:00Z --queue billing.tickets
scripts/replay_events --event ticket.created --event ticket.closed --exchange archive --rate 200
```

Name a queue whenever one consumer alone has lost something. Copies carry the header `x-sav-replayed`. A
replay that is broken off goes on where it was when the same command is given again; after `kill -9` it
repeats the last second at most. Events that wait for their first publication are left out: they come by
themselves, in their order.
"""


def events_page() -> str:
    """Tables in Markdown: one for every event, in the order of the catalogue."""
    published, consumed = published_events(), consumed_events()
    return _PAGE.format(
        exchange=_default("RABBITMQ_EXCHANGE"),
        queue=_default("RABBITMQ_QUEUE"),
        longest=MAX_EVENT_BYTES,
        envelope=_table(envelope_fields()),
        example=json.dumps(published[0].example, indent=2, ensure_ascii=False),
        about=_table(about_ticket_fields()),
        published="\n".join(_sections(published)),
        foreign_envelope=_table(foreign_envelope_fields()),
        consumed="\n".join(_sections(consumed)),
    )


def asyncapi_page() -> str:
    """The AsyncAPI document, for a service with the default names."""
    document = asyncapi_document(exchange=_default("RABBITMQ_EXCHANGE"), queue=_default("RABBITMQ_QUEUE"))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    Path("docs") / "events.md": events_page,
    Path("docs") / "asyncapi.json": asyncapi_page,
}
"""What is written, relative to the project's directory."""


def _sections(events: Sequence[CataloguedEvent]) -> Iterator[str]:
    for event in events:
        yield f"### `{event.name}`\n\n{event.summary}\n\n{_table(event.fields)}"


def _table(fields: Sequence[Field]) -> str:
    lines = [f"| `{_name(field)}` | {_type(field.schema)} | {_meaning(field)} |\n" for field in fields]
    return "| Field | Type | Meaning |\n|---|---|---|\n" + "".join(lines)


def _name(field: Field) -> str:
    return field.name if field.required else f"{field.name}?"


def _meaning(field: Field) -> str:
    example = field.meaning.example
    if example is None:
        return field.meaning.sentence
    return f"{field.meaning.sentence} Example: `{json.dumps(example, ensure_ascii=False)}`"


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    words = str(schema["type"]) + (f" ({schema['format']})" if "format" in schema else "")
    longest = schema.get("maxLength")
    return words if longest is None else f"{words} ≤ {longest}"


def _default(name: str) -> str:
    return str(Settings.model_fields[name].default)
