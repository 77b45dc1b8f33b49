"""Publishes what tickets have to tell: those of many tickets at once, those of each in order."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Protocol
from uuid import uuid4

import structlog

from sav.actors.envelope import Outgoing
from sav.domain.effects import PUBLISH_EVENT, RETRY_POLICIES
from sav.operations.due_effects import (
    LEASE,
    Publication,
    claim_publications,
    complete_effects,
    postpone_effects,
)
from sav.telemetry.metrics import count_tries
from sav.telemetry.tracing import begin_effect_span

LEASE_MARGIN = timedelta(seconds=15)
"""How long before the end of its lease a publisher stops: clocks differ, and a publish takes time."""

log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Publishes events durably, all of them at once."""

    @property
    def is_known_to_be_down(self) -> bool: ...

    def __call__(self, events: Sequence[Outgoing]) -> Sequence[BaseException | None]:
        """For each event None, or why it may not be out; raises what is wrong with all of them."""

    def release(self) -> None:
        """Lets go of what the calling thread holds open for it."""


class LeaseRanOut(Exception):
    """Publishing took so long that somebody else may go on with it."""


def publish_events(ticket_ids: Sequence[int], *, publish: Publish) -> None:
    """Publishes everything that these tickets owe, except what somebody else is publishing."""
    owner = str(uuid4())
    left = list(ticket_ids)
    while left:
        # Read before the claim: the lease may be older than we think, never younger.
        stop_at = time.monotonic() + (LEASE - LEASE_MARGIN).total_seconds()
        publications = claim_publications(ticket_ids=left, owner=owner, now=datetime.now(UTC))
        if not publications:
            return
        troubles = _publish_in_waves(publications, publish=publish, stop_at=stop_at)
        complete_effects(
            token_ids=[each.token_id for each in publications if each.token_id not in troubles], owner=owner
        )
        _postpone([each for each in publications if each.token_id in troubles], troubles, owner=owner)
        in_trouble = {each.ticket_id for each in publications if each.token_id in troubles}
        left = [ticket_id for ticket_id in left if ticket_id not in in_trouble]


def _publish_in_waves(
    publications: Sequence[Publication], *, publish: Publish, stop_at: float
) -> dict[int, BaseException]:
    """One event of each ticket is on its way at a time, so that none overtakes another of its ticket.

    Returns, by token, why an event is not known to be out: what went wrong with it, or with one before it.
    """
    troubles: dict[int, BaseException] = {}
    stuck: dict[int, BaseException] = {}
    for wave in _waves(publications):
        troubles |= {each.token_id: stuck[each.ticket_id] for each in wave if each.ticket_id in stuck}
        going = [each for each in wave if each.ticket_id not in stuck]
        is_late = bool(going) and time.monotonic() >= stop_at
        outcomes = [LeaseRanOut()] * len(going) if is_late else _publish_wave(going, publish)
        for each, trouble in zip(going, outcomes, strict=True):
            if trouble is not None:
                troubles[each.token_id] = stuck[each.ticket_id] = trouble
    return troubles


def _waves(publications: Sequence[Publication]) -> Iterator[list[Publication]]:
    """The first event of each ticket, then the second of each that has one, and so on."""
    tickets: dict[int, list[Publication]] = {}
    for publication in publications:
        tickets.setdefault(publication.ticket_id, []).append(publication)
    for wave in zip_longest(*tickets.values()):
        yield [publication for publication in wave if publication is not None]


def _publish_wave(wave: Sequence[Publication], publish: Publish) -> Sequence[BaseException | None]:
    started = time.perf_counter()
    spans = [
        begin_effect_span(PUBLISH_EVENT, request_id=each.request_id, ticket_id=each.ticket_id)
        for each in wave
    ]
    outcomes: Sequence[BaseException | None]
    try:
        outcomes = publish([Outgoing(each, span.traceparent) for each, span in zip(wave, spans, strict=True)])
    except Exception as error:
        outcomes = [error] * len(wave)
    failed = 0
    for each, span, trouble in zip(wave, spans, outcomes, strict=True):
        span.end(trouble)
        failed += trouble is not None
        if trouble is None:
            _tell(each)
    seconds = time.perf_counter() - started
    count_tries(PUBLISH_EVENT, done=len(wave) - failed, failed=failed, seconds=seconds)
    return outcomes


def _tell(publication: Publication) -> None:
    log.info(
        "event published",
        action="publish_event",
        event_name=publication.name,
        event_id=publication.event_id,
        ticket_id=publication.ticket_id,
        request_id=publication.request_id,
    )


def _postpone(
    publications: Sequence[Publication], troubles: Mapping[int, BaseException], *, owner: str
) -> None:
    """Gives back the events that failed and all behind them: none may overtake another of its ticket."""
    alike: dict[tuple[str, int], list[int]] = {}
    for each in publications:
        trouble = troubles[each.token_id]
        reason = f"{type(trouble).__name__}: {trouble}"
        alike.setdefault((reason, each.tries), []).append(each.token_id)
    for (reason, tries), token_ids in alike.items():
        until = datetime.now(UTC) + RETRY_POLICIES[PUBLISH_EVENT].pause(tries)
        postpone_effects(token_ids=token_ids, owner=owner, until=until, error=reason)
        log.warning(
            "publishing is postponed",
            action="publish_event",
            reason=reason.partition(":")[0],
            tries=tries + 1,
            events=len(token_ids),
        )
