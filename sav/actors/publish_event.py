"""Publishes what a ticket has to tell, in order."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import uuid4

import structlog

from sav.domain.effects import PUBLISH_EVENT, RETRY_POLICIES
from sav.operations.due_effects import (
    LEASE,
    Publication,
    claim_publications,
    complete_effects,
    postpone_effects,
)
from sav.telemetry.metrics import measured_effect
from sav.telemetry.tracing import effect_span

LEASE_MARGIN = timedelta(seconds=5)
"""How long before the end of its lease a publisher stops: clocks differ, and a publish takes time."""

log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Publishes one event durably, or raises."""

    @property
    def is_known_to_be_down(self) -> bool: ...

    def __call__(self, publication: Publication) -> None: ...

    def release(self) -> None:
        """Lets go of what the calling thread holds open for it."""


class LeaseRanOut(Exception):
    """Publishing took so long that somebody else may go on with it."""


def publish_ticket_events(ticket_id: int, *, publish: Publish) -> None:
    """Publishes everything that a ticket owes, unless somebody else is doing so."""
    owner = str(uuid4())
    while True:
        # Read before the claim: the lease may be older than we think, never younger.
        stop_at = time.monotonic() + (LEASE - LEASE_MARGIN).total_seconds()
        publications = claim_publications(ticket_id=ticket_id, owner=owner, now=datetime.now(UTC))
        if not publications:
            return
        published, error = _publish_in_order(publications, publish=publish, stop_at=stop_at)
        complete_effects(token_ids=_tokens(publications[:published]), owner=owner)
        if error is not None:
            _postpone(publications[published:], owner=owner, error=error)
            return


def _publish_in_order(
    publications: Sequence[Publication], *, publish: Publish, stop_at: float
) -> tuple[int, Exception | None]:
    """Returns how many were published, and what went wrong with the next one, if anything did."""
    for place, publication in enumerate(publications):
        if time.monotonic() >= stop_at:
            return place, LeaseRanOut()
        try:
            with (
                measured_effect(PUBLISH_EVENT),
                effect_span(
                    PUBLISH_EVENT,
                    request_id=publication.request_id,
                    ticket_id=publication.data["ticket_id"],
                ),
            ):
                publish(publication)
        except Exception as error:
            return place, error
        log.info(
            "event published",
            action="publish_event",
            event_name=publication.name,
            event_id=publication.event_id,
            ticket_id=publication.data.get("ticket_id"),
            request_id=publication.request_id,
        )
    return len(publications), None


def _postpone(publications: Sequence[Publication], *, owner: str, error: Exception) -> None:
    """Gives back the event that failed and all behind it: none may overtake it."""
    tries = publications[0].tries
    until = datetime.now(UTC) + RETRY_POLICIES[PUBLISH_EVENT].pause(tries)
    reason = f"{type(error).__name__}: {error}"
    postpone_effects(token_ids=_tokens(publications), owner=owner, until=until, error=reason)
    log.warning(
        "publishing is postponed", action="publish_event", reason=type(error).__name__, tries=tries + 1
    )


def _tokens(publications: Sequence[Publication]) -> list[int]:
    return [publication.token_id for publication in publications]
