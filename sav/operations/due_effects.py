"""The effects that are owed: who does them next, and what became of them.

A token is in one of four states, and each has its sentence:
*due*, nobody has it and its `due_at` has come; *leased*, somebody is at work on it until `leased_until`;
*waiting*, it is tried again at `due_at`; *failed*, it was given up, and waits for an operator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sav.domain.effects import PUBLISH_EVENT
from sav.models.database import for_update, retry_deadlocks, transaction
from sav.models.prepared import Statement, given
from sav.models.tables import DueEffect, Event
from sav.operations.hints import Hint

LEASE = timedelta(seconds=30)
"""How long whoever claims effects may take; after that the relay gives them to somebody else."""
REDELIVERY = timedelta(seconds=30)
"""How long the relay waits for an effect that it has handed to the queue before it hands it out again."""
PUBLICATIONS_A_CLAIM = 200
"""How many events one claim takes, or one of each ticket when these are more: a lease suffices for them."""
HINTS_A_ROUND = 500
LAST_ERROR_LENGTH = 500

OF_ITS_FACT = (DueEffect.ticket_id == Event.ticket_id) & (DueEffect.sequence == Event.sequence)
"""Joins a ticket's token with the fact that owes it."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A claimed event that is to be published, with what its envelope needs."""

    token_id: int
    ticket_id: int
    event_id: str
    name: str
    published_sequence: int
    data: dict[str, Any]
    request_id: str | None
    occurred_at: datetime
    tries: int
    """How often publishing it has failed so far."""


_PUBLICATION_COLUMNS = (
    DueEffect.id,
    DueEffect.ticket_id,
    Event.event_id,
    Event.name,
    Event.published_sequence,
    Event.data,
    Event.request_id,
    Event.occurred_at,
    DueEffect.tries,
)
"""In the order of a `Publication`'s fields."""


@retry_deadlocks
def claim_publications(*, ticket_ids: Sequence[int], owner: str, now: datetime) -> list[Publication]:
    """Leases unpublished events of these tickets to `owner`: of each ticket the first ones, in their order.

    The first token of a ticket is its baton: who has a lease on it has the ticket, and nobody else publishes
    any of its events. What comes meanwhile waits: its holder claims again after each batch, and finds it.

    No transaction, and no lock outlives its statement: the lease is taken by one UPDATE of the batons that
    are free, and whatever this claim has read before is checked by that, or not touched without it.
    """
    owed = _owed_publications(ticket_ids)
    if not owed:
        return []
    batons = [token_ids[0] for token_ids in owed.values()]
    until = _instant(now + LEASE)
    _TAKE_BATONS.run(token_ids=batons, owner=owner, until=until, now=_instant(now))
    held = _held_publications(owed, owner)
    followers = {publication.token_id for publication in held}.difference(batons)
    if followers:
        _LEASE_FOLLOWERS.run(token_ids=list(followers), owner=owner, until=until)
    return held


@retry_deadlocks
def complete_effects(*, token_ids: Sequence[int], owner: str) -> int:
    """Deletes the tokens of effects that are done; returns how many were still the owner's."""
    if not token_ids:
        return 0
    return int(_COMPLETED.run(token_ids=list(token_ids), owner=owner).rowcount)


@retry_deadlocks
def postpone_effects(*, token_ids: Sequence[int], owner: str, until: datetime, error: str) -> None:
    """Gives leased effects back, to be tried again at `until`."""
    if not token_ids:
        return
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
            .order_by(DueEffect.due_at, DueEffect.id)
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


def _owed_publications(ticket_ids: Sequence[int]) -> dict[int, list[int]]:
    """By ticket, the ids of the tokens of its first unpublished events, in their order; whoever has them."""
    owed: dict[int, list[int]] = {}
    for ticket_id, token_id in _OWED.run(ticket_ids=list(ticket_ids)).fetchall():
        owed.setdefault(ticket_id, []).append(token_id)
    share = max(1, PUBLICATIONS_A_CLAIM // max(1, len(owed)))
    return {ticket_id: token_ids[:share] for ticket_id, token_ids in owed.items()}


def _held_publications(owed: Mapping[int, Sequence[int]], owner: str) -> list[Publication]:
    """What there is to publish of the tickets whose batons are the owner's."""
    batons = {token_ids[0] for token_ids in owed.values()}
    rows = _PUBLICATIONS.run(token_ids=[token_id for token_ids in owed.values() for token_id in token_ids])
    held: set[int] = set()
    publications: list[Publication] = []
    for *values, lease_owner in rows.fetchall():
        columns = zip(_PUBLICATION_COLUMNS, values, strict=True)
        publication = Publication(*(column.python_value(value) for column, value in columns))
        if publication.token_id in batons and lease_owner == owner:
            held.add(publication.ticket_id)
        if publication.ticket_id in held:
            publications.append(publication)
    return publications


def _held(token_ids: Sequence[int], owner: str) -> Any:
    return DueEffect.id.in_(list(token_ids)) & (DueEffect.lease_owner == owner)


_instant = DueEffect.due_at.db_value
_LEASE = {"lease_owner": given("owner"), "leased_until": given("until"), "due_at": given("until")}
_OWED = Statement(
    lambda: (
        DueEffect.select(DueEffect.ticket_id, DueEffect.id)
        .where(DueEffect.ticket_id.in_([given("ticket_ids")]), DueEffect.effect == PUBLISH_EVENT)
        .order_by(DueEffect.ticket_id, DueEffect.sequence)
    )
)
_TAKE_BATONS = Statement(
    lambda: DueEffect.update(**_LEASE).where(
        DueEffect.id.in_([given("token_ids")]),
        DueEffect.leased_until.is_null()
        | (DueEffect.leased_until <= given("now"))
        | (DueEffect.lease_owner == given("owner")),
    )
)
_LEASE_FOLLOWERS = Statement(lambda: DueEffect.update(**_LEASE).where(DueEffect.id.in_([given("token_ids")])))
_PUBLICATIONS = Statement(
    lambda: (
        DueEffect.select(*_PUBLICATION_COLUMNS, DueEffect.lease_owner)
        .join(Event, on=OF_ITS_FACT)
        .where(DueEffect.id.in_([given("token_ids")]))
        .order_by(DueEffect.ticket_id, DueEffect.sequence)
    )
)
_COMPLETED = Statement(
    lambda: DueEffect.delete().where(
        DueEffect.id.in_([given("token_ids")]), DueEffect.lease_owner == given("owner")
    )
)
