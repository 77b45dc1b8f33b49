"""The effects that are owed: who does them next, and what became of them.

A token is in one of four states, and each has its sentence:
*due*, nobody has it and its `due_at` has come; *leased*, somebody is at work on it until `leased_until`;
*waiting*, it is tried again at `due_at`; *failed*, it was given up, and waits for an operator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sav.domain.effects import PUBLISH_EVENT
from sav.models.database import for_update, retry_deadlocks, transaction
from sav.models.tables import DueEffect, Event
from sav.operations.hints import Hint

LEASE = timedelta(seconds=30)
"""How long whoever claims effects may take; after that the relay gives them to somebody else."""
REDELIVERY = timedelta(seconds=30)
"""How long the relay waits for an effect that it has handed to the queue before it hands it out again."""
PUBLICATIONS_A_CLAIM = 200
"""How many events of one ticket one claim takes at most, so that a lease suffices to publish them."""
HINTS_A_ROUND = 500
LAST_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Publication:
    """A claimed event that is to be published, with what its envelope needs."""

    token_id: int
    event_id: str
    name: str
    published_sequence: int
    data: dict[str, Any]
    request_id: str | None
    occurred_at: datetime
    tries: int
    """How often publishing it has failed so far."""


@retry_deadlocks
def claim_publications(*, ticket_id: int, owner: str, now: datetime) -> list[Publication]:
    """Leases a ticket's unpublished events to `owner`, in their order.

    Nothing while somebody else holds a lease on the first of them: events of one ticket are published by
    one holder at a time. The holder claims again after each batch, and so finds what came meanwhile.
    """
    with transaction():
        tokens = _owed_publications(ticket_id)
        if not tokens or _is_held_by_another(tokens[0], owner, now):
            return []
        ids = [token.id for token in tokens]
        until = now + LEASE
        DueEffect.update(lease_owner=owner, leased_until=until, due_at=until).where(
            DueEffect.id.in_(ids)
        ).execute()
        return _publications(ticket_id, tokens)


@retry_deadlocks
def complete_effects(*, token_ids: Sequence[int], owner: str) -> int:
    """Deletes the tokens of effects that are done; returns how many were still the owner's."""
    if not token_ids:
        return 0
    with transaction():
        deleted: int = DueEffect.delete().where(_held(token_ids, owner)).execute()
    return deleted


@retry_deadlocks
def postpone_effects(*, token_ids: Sequence[int], owner: str, until: datetime, error: str) -> None:
    """Gives leased effects back, to be tried again at `until`."""
    if not token_ids:
        return
    with transaction():
        DueEffect.update(
            lease_owner=None,
            leased_until=None,
            due_at=until,
            tries=DueEffect.tries + 1,
            last_error=error[:LAST_ERROR_LENGTH],
        ).where(_held(token_ids, owner)).execute()


@retry_deadlocks
def forget_leases(*, now: datetime) -> None:
    """Makes all that was leased due at once; for whoever knows that nobody else is at work."""
    with transaction():
        DueEffect.update(lease_owner=None, leased_until=None, due_at=now).where(
            DueEffect.lease_owner.is_null(False)
        ).execute()


@retry_deadlocks
def take_due_hints(*, now: datetime) -> list[Hint]:
    """What is due and was not done: the relay's look into the log. Each is hidden for `REDELIVERY`.

    Any number of relays may ask at the same time; each gets its own part.
    """
    with transaction():
        query = (
            DueEffect.select(DueEffect.id, DueEffect.effect, DueEffect.ticket_id)
            .where(DueEffect.due_at <= now, DueEffect.failed_at.is_null())
            .order_by(DueEffect.due_at)
            .limit(HINTS_A_ROUND)
        )
        due = list(for_update(query, skip_locked=True))
        if due:
            DueEffect.update(due_at=now + REDELIVERY).where(
                DueEffect.id.in_([token.id for token in due])
            ).execute()
    # A ticket's events are published together: one hint for all of them.
    return list(dict.fromkeys(Hint(token.effect, token.ticket_id) for token in due))


@retry_deadlocks
def return_hints(*, hints: Sequence[Hint], due_at: datetime, now: datetime) -> None:
    """Gives back hints that could not be handed on: the relay takes them again at `due_at`."""
    tickets: dict[str, list[int]] = {}
    for hint in hints:
        tickets.setdefault(hint.effect, []).append(hint.ticket_id)
    with transaction():
        for effect, ticket_ids in tickets.items():
            DueEffect.update(due_at=due_at).where(
                DueEffect.ticket_id.in_(ticket_ids),
                DueEffect.effect == effect,
                DueEffect.failed_at.is_null(),
                # Somebody may have come by without a hint and be at work.
                DueEffect.leased_until.is_null() | (DueEffect.leased_until <= now),
            ).execute()


def _owed_publications(ticket_id: int) -> list[DueEffect]:
    query = (
        DueEffect.select()
        .where(DueEffect.ticket_id == ticket_id, DueEffect.effect == PUBLISH_EVENT)
        .order_by(DueEffect.sequence)
        .limit(PUBLICATIONS_A_CLAIM)
    )
    return list(for_update(query))


def _is_held_by_another(token: DueEffect, owner: str, now: datetime) -> bool:
    return token.lease_owner not in (None, owner) and token.leased_until > now


def _held(token_ids: Sequence[int], owner: str) -> Any:
    return DueEffect.id.in_(list(token_ids)) & (DueEffect.lease_owner == owner)


def _publications(ticket_id: int, tokens: Sequence[DueEffect]) -> list[Publication]:
    token_of = {token.sequence: token for token in tokens}
    events = (
        Event.select()
        .where(Event.ticket_id == ticket_id, Event.sequence.in_(list(token_of)))
        .order_by(Event.sequence)
    )
    return [
        Publication(
            token_id=token_of[event.sequence].id,
            event_id=event.event_id,
            name=event.name,
            published_sequence=event.published_sequence or 0,
            data=event.data,
            request_id=event.request_id,
            occurred_at=event.occurred_at,
            tries=token_of[event.sequence].tries,
        )
        for event in events
    ]
