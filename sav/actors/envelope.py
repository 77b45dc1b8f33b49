"""An event as it leaves the service."""

from dataclasses import dataclass
from datetime import UTC

import orjson

from sav.domain.events import SCHEMA_VERSION
from sav.operations.due_effects import Publication


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event on its way out, and the span in whose name it goes, while tracing is on."""

    publication: Publication
    traceparent: str | None = None


def envelope(publication: Publication) -> bytes:
    """The specification's envelope as one line of JSON, with what lets consumers order and deduplicate."""
    return orjson.dumps(
        {
            "event": publication.name,
            "timestamp": f"{publication.occurred_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "data": publication.data,
            "id": publication.event_id,
            "sequence": publication.published_sequence,
            "version": SCHEMA_VERSION,
            "request_id": publication.request_id,
        }
    )
