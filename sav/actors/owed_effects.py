"""Does the effects that tickets, or the desk, owe: a few at a time, each given back when it fails."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from dramatiq.middleware import TimeLimitExceeded

from sav.models.database import (
    DATABASE_ERRORS,
    DatabaseUnavailable,
    drop_connection,
    ensure_connection,
    is_connection_lost,
)
from sav.operations.desk_effects import waits_for_somebody
from sav.operations.effect_claims import DESK, Claim, claim_effects, give_back
from sav.telemetry.metrics import count_tries, measured_effect
from sav.telemetry.tracing import begin_effect_span, effect_span

EFFECTS_A_CLAIM = 20
"""How many a worker takes at a time: few enough to be done long before the lease ends."""
EFFECTS_A_TRANSACTION = 50
"""How many it takes of an effect that is done for several at once."""

TOKENS_TOGETHER = 1000
"""How many tokens that ask for the same are answered at once."""
ROUNDS_A_CALL = 20
"""How often one call looks for more, so that nobody works for ever on what never ends."""

log = structlog.get_logger(__name__)


def do_owed_effects(
    effect: str,
    do: Callable[[Claim], None],
    *,
    ticket_ids: Sequence[int] = (DESK,),
    at_a_time: int = EFFECTS_A_CLAIM,
    do_all: Callable[[Sequence[Claim]], None] | None = None,
) -> None:
    """Does everything of this kind that the tickets (or the desk) owe and that nobody else is doing.

    `do` must end with `finish_effect`, in the transaction of what it does. `do_all` does the same for several
    in one transaction, and raises when it cannot: then each is done by itself, and fails by itself.
    """
    owner = str(uuid4())
    full = True
    # Fewer than could be had are all: what comes later has a hint of its own.
    while full and (
        claims := claim_effects(
            effect=effect, ticket_ids=ticket_ids, owner=owner, now=datetime.now(UTC), limit=at_a_time
        )
    ):
        full = len(claims) == at_a_time
        if do_all is not None and _are_done_together(claims, do_all):
            continue
        for claim in claims:
            # Each on behalf of the request that caused it; what `do` binds for itself ends with it too.
            with structlog.contextvars.bound_contextvars(
                request_id=claim.request_id, ticket_id=claim.ticket_id
            ):
                _try(claim, do)


def do_together(effect: str, do: Callable[[Sequence[Claim]], None]) -> None:
    """Does an effect of the desk once for all tokens that ask for it, then again for those that came.

    Whoever finds somebody else at work leaves it to them: they look again before they end. `do` must end
    with `finish_desk_effect`.
    """
    owner = str(uuid4())
    for _ in range(ROUNDS_A_CALL):
        now = datetime.now(UTC)
        if not waits_for_somebody(effect, now=now):
            return
        claims = claim_effects(effect=effect, owner=owner, now=now, limit=TOKENS_TOGETHER)
        if not claims:
            return
        try:
            with (
                measured_effect(effect, tokens=len(claims)),
                effect_span(effect, request_id=None, ticket_id=DESK),
            ):
                do(claims)
        except (Exception, TimeLimitExceeded) as error:
            if is_the_databases_fault(error):
                raise
            _have_a_connection_after(error)
            for claim in claims:
                give_back(claim=claim, error=error, now=datetime.now(UTC))
            return
        log.info("effect done", action=effect, ticket_id=DESK, tokens=len(claims))


def _are_done_together(claims: Sequence[Claim], do_all: Callable[[Sequence[Claim]], None]) -> bool:
    started = time.perf_counter()
    spans = [
        begin_effect_span(claim.effect, request_id=claim.request_id, ticket_id=claim.ticket_id)
        for claim in claims
    ]
    trouble: Exception | None = None
    try:
        do_all(claims)
    except Exception as error:
        if is_the_databases_fault(error):
            raise
        # No try of any of them: whose fault it is shows when each is done by itself.
        trouble = error
    for span in spans:
        span.end(trouble)
    if trouble is not None:
        log.info("effects are done one by one", action=claims[0].effect, reason=type(trouble).__name__)
        return False
    seconds = time.perf_counter() - started
    count_tries(claims[0].effect, done=len(claims), failed=0, seconds=seconds)
    for claim in claims:
        _tell(claim, seconds, request_id=claim.request_id)
    return True


def _try(claim: Claim, do: Callable[[Claim], None]) -> None:
    started = time.perf_counter()
    try:
        with (
            measured_effect(claim.effect),
            effect_span(claim.effect, request_id=claim.request_id, ticket_id=claim.ticket_id),
        ):
            do(claim)
    except (Exception, TimeLimitExceeded) as error:
        if is_the_databases_fault(error):
            # The lease ends, and the relay finds the token again; it was no try.
            raise
        _have_a_connection_after(error)
        give_back(claim=claim, error=error, now=datetime.now(UTC))
        return
    _tell(claim, time.perf_counter() - started)


def _tell(claim: Claim, seconds: float, **about: str | None) -> None:
    log.info(
        "effect done",
        action=claim.effect,
        ticket_id=claim.ticket_id,
        effect_id=claim.token_id,
        duration_ms=round(seconds * 1000, 1),
        **about,
    )


def _have_a_connection_after(error: BaseException) -> None:
    if isinstance(error, TimeLimitExceeded):
        # It breaks in anywhere: an answer of the database may not have been read.
        drop_connection()
        ensure_connection()


def is_the_databases_fault(error: BaseException) -> bool:
    """Whether nothing can be said of the effect, because the database went away."""
    if isinstance(error, DatabaseUnavailable):
        return True
    return isinstance(error, DATABASE_ERRORS) and is_connection_lost(error)
