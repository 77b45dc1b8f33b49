"""What an operator decides about the effects that were given up: another try, or none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog

from sav.models.database import database, for_update, retry_deadlocks, transaction
from sav.models.tables import DueEffect
from sav.operations import hints

EFFECTS_A_BATCH = 500
"""How many effects one transaction takes on: few enough to hold up no worker."""

log = structlog.get_logger(__name__)


@retry_deadlocks
def retry_failed_effect(*, effect_id: int, operator: str, now: datetime) -> bool:
    """Makes a failed effect due now, as if it had never been tried; False when there is none of that id."""
    with transaction():
        return _retry(_locked(DueEffect.id == effect_id), operator, now) == 1


@retry_deadlocks
def retry_failed_effects(*, effect: str | None, operator: str, now: datetime) -> int:
    """Retries one batch of those that had failed by `now`, of one kind or of all; returns how many.

    Call it until it returns 0, with the same `now`: what fails again meanwhile is left alone.
    """
    with transaction():
        return _retry(_locked(_failed_by(now, effect)), operator, now)


@retry_deadlocks
def discard_failed_effect(*, effect_id: int, operator: str) -> bool:
    """Deletes a failed effect, which will then never be done; False when there is none of that id."""
    with transaction():
        return _discard(_locked(DueEffect.id == effect_id), operator) == 1


@retry_deadlocks
def discard_failed_effects(*, effect: str | None, operator: str, now: datetime) -> int:
    """Deletes one batch of those that had failed by `now`; returns how many. Call it until it returns 0."""
    with transaction():
        return _discard(_locked(_failed_by(now, effect)), operator)


def _failed_by(now: datetime, effect: str | None) -> Any:
    condition = DueEffect.failed_at <= now
    return condition if effect is None else condition & (DueEffect.effect == effect)


def _locked(condition: Any) -> list[DueEffect]:
    query = (
        DueEffect.select(DueEffect.id, DueEffect.effect, DueEffect.ticket_id)
        .where(DueEffect.failed_at.is_null(False), condition)
        .order_by(DueEffect.id)
        .limit(EFFECTS_A_BATCH)
    )
    # Somebody else who decides about the same effects at this moment has decided.
    return list(for_update(query, skip_locked=True))


def _retry(tokens: Sequence[DueEffect], operator: str, now: datetime) -> int:
    if tokens:
        # The last error stays, for whoever asks why it took so long.
        DueEffect.update(failed_at=None, tries=0, lease_owner=None, leased_until=None, due_at=now).where(
            DueEffect.id.in_([token.id for token in tokens])
        ).execute()
        due = {hints.Hint(token.effect, token.ticket_id) for token in tokens}
        database.after_commit(lambda: hints.give(due))
        _audit("failed effects are tried again", "retry_effect", tokens, operator)
    return len(tokens)


def _discard(tokens: Sequence[DueEffect], operator: str) -> int:
    if tokens:
        DueEffect.delete().where(DueEffect.id.in_([token.id for token in tokens])).execute()
        _audit("failed effects were discarded", "discard_effect", tokens, operator)
    return len(tokens)


def _audit(message: str, action: str, tokens: Sequence[DueEffect], operator: str) -> None:
    """Says who decided; after the commit, so that the log tells only what has happened."""
    ids = [token.id for token in tokens]
    kinds = sorted({token.effect for token in tokens})
    database.after_commit(
        lambda: log.info(message, action=action, operator=operator, effects=kinds, effect_ids=ids)
    )
