"""Taking an effect to do, and saying what became of it.

Claim a few tokens under a lease; do each effect in a transaction that begins with `finish_effect`, so that
the token goes exactly when the effect comes; and give back what failed, until its policy gives it up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from sav.domain.effects import RETRY_POLICIES, RetryPolicy
from sav.models.database import for_update, retry_deadlocks, transaction
from sav.models.prepared import Statement, given
from sav.models.tables import DueEffect, Event
from sav.operations.due_effects import LAST_ERROR_LENGTH, LEASE, OF_ITS_FACT

DESK = 0
"""The `ticket_id` of an effect that no single ticket owes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A token under somebody's lease.

    `sequence` is the place, in the ticket's log, of the fact that owes it; of an effect that the desk owes as
    a whole (`ticket_id` is `DESK`), what it is about.
    """

    token_id: int
    effect: str
    ticket_id: int
    sequence: int
    owner: str
    request_id: str | None = None
    """That of the fact which owes it, so that the log tells on whose behalf it is done."""


@retry_deadlocks
def claim_effects(
    *, effect: str, ticket_ids: Sequence[int] = (DESK,), owner: str, now: datetime, limit: int
) -> list[Claim]:
    """Leases up to `limit` tokens of some tickets that nobody has, each ticket's in their order.

    Tokens that wait for their time, for a new try or a deadline, look leased until then (`leased_until` is
    their `due_at`), so that no early hint does them too soon.
    """
    with transaction():
        tokens = _FREE.run(
            ticket_ids=list(ticket_ids), effect=effect, now=_instant(now), limit=limit
        ).fetchall()
        token_ids = [token_id for token_id, _, _ in tokens]
        if token_ids:
            _LEASE.run(owner=owner, until=_instant(now + LEASE), token_ids=token_ids)
        by_facts = [token_id for token_id, ticket_id, _ in tokens if ticket_id != DESK]
        request_ids = dict(_REQUEST_IDS.run(token_ids=by_facts).fetchall()) if by_facts else {}
    return [
        Claim(token_id, effect, ticket_id, sequence, owner, request_ids.get(token_id))
        for token_id, ticket_id, sequence in tokens
    ]


_instant = DueEffect.due_at.db_value
_FREE = Statement(
    lambda: for_update(
        DueEffect.select(DueEffect.id, DueEffect.ticket_id, DueEffect.sequence)
        .where(
            DueEffect.ticket_id.in_([given("ticket_ids")]),
            DueEffect.effect == given("effect"),
            DueEffect.failed_at.is_null(),
            DueEffect.leased_until.is_null() | (DueEffect.leased_until <= given("now")),
        )
        .order_by(DueEffect.ticket_id, DueEffect.sequence)
        .limit(given("limit")),
        skip_locked=True,
    )
)
_LEASE = Statement(
    lambda: DueEffect.update(
        lease_owner=given("owner"), leased_until=given("until"), due_at=given("until")
    ).where(DueEffect.id.in_([given("token_ids")]))
)
_REQUEST_IDS = Statement(
    lambda: (
        DueEffect.select(DueEffect.id, Event.request_id)
        .join(Event, on=OF_ITS_FACT)
        .where(DueEffect.id.in_([given("token_ids")]))
    )
)
_FINISHED = Statement(
    lambda: DueEffect.delete().where(
        DueEffect.id.in_([given("token_ids")]), DueEffect.lease_owner == given("owner")
    )
)


@retry_deadlocks
def keep_lease(claim: Claim, *, now: datetime) -> bool:
    """Prolongs the lease of whoever takes longer; False when the effect is somebody else's by now."""
    until = now + LEASE
    mine = (DueEffect.id == claim.token_id) & (DueEffect.lease_owner == claim.owner)
    with transaction():
        DueEffect.update(leased_until=until, due_at=until).where(mine).execute()
        # Not the count of the update: a row that was the same already counts as none on a server.
        return DueEffect.select().where(mine).exists()


def hold_claim(claim: Claim) -> bool:
    """Locks the token in the caller's transaction; False when it is gone, or somebody else's by now.

    Whoever wants to take the effect away waits until the transaction has ended.
    """
    mine = (DueEffect.id == claim.token_id) & (DueEffect.lease_owner == claim.owner)
    return for_update(DueEffect.select(DueEffect.id).where(mine)).first() is not None


def finish_effect(claim: Claim) -> bool:
    """Deletes the token in the caller's transaction; False when it is somebody else's by now."""
    return finish_effects([claim])


def finish_effects(claims: Sequence[Claim]) -> bool:
    """The same for several claims of one owner; False when any of them is somebody else's by now."""
    finished = _FINISHED.run(token_ids=[claim.token_id for claim in claims], owner=claims[0].owner)
    return bool(finished.rowcount == len(claims))


def wait_for_deadline(claim: Claim, *, until: datetime) -> None:
    """Puts a token away, in the caller's transaction, until its time has come: it is not owed before."""
    mine = (DueEffect.id == claim.token_id) & (DueEffect.lease_owner == claim.owner)
    DueEffect.update(lease_owner=None, leased_until=until, due_at=until, created_at=until).where(
        mine
    ).execute()


@retry_deadlocks
def put_off(*, claim: Claim, until: datetime, reason: str) -> None:
    """Gives back an effect that could not be tried, through no fault of its own: it counts as no try."""
    with transaction():
        DueEffect.update(
            lease_owner=None, leased_until=until, due_at=until, last_error=reason[:LAST_ERROR_LENGTH]
        ).where(DueEffect.id == claim.token_id, DueEffect.lease_owner == claim.owner).execute()


@retry_deadlocks
def give_back(
    *,
    claim: Claim,
    error: BaseException,
    now: datetime,
    policies: Mapping[str, RetryPolicy] = RETRY_POLICIES,
) -> None:
    """Notes a failure: the effect waits for its next try, or is given up and waits for an operator."""
    policy = policies[claim.effect]
    # The class alone: messages may quote what somebody wrote.
    reason = type(error).__name__[:LAST_ERROR_LENGTH]
    with transaction():
        token: DueEffect | None = for_update(
            DueEffect.select().where(DueEffect.id == claim.token_id, DueEffect.lease_owner == claim.owner)
        ).first()
        if token is None:
            return
        retry_at = now + policy.pause(token.tries)
        token.tries += 1
        token.last_error = reason
        token.lease_owner = None
        token.leased_until = token.due_at = retry_at
        if policy.is_exhausted(token.tries):
            token.failed_at = now
        token.save(only=token.dirty_fields)
    outcome = {"action": claim.effect, "effect_id": claim.token_id, "tries": token.tries, "error": reason}
    if token.failed_at is not None:
        log.error("effect given up", **outcome)
    else:
        log.warning("effect failed, will be tried again", **outcome)
