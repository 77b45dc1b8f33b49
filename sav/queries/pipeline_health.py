"""How the pipeline is doing, as the database knows it: the same whichever process is asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from sav.domain.effects import PUBLISH_EVENT
from sav.models.fields import UtcDateTimeField
from sav.models.tables import DueEffect

COUNTED_AT_MOST = 100_000
"""Beyond this the exact number of waiting effects matters no more, and is not counted."""


@dataclass(frozen=True, slots=True)
class EffectHealth:
    """What is owed of one effect and not done; what was given up is an operator's to look at.

    `oldest_owed_seconds` says for how long the oldest one is due that nobody is at work on. A fact that is
    not published counts from when it happened, however often that was tried.
    """

    owed: int = 0
    retrying: int = 0
    given_up: int = 0
    oldest_owed_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PipelineHealth:
    """Each effect of which anything is owed or given up."""

    effects: Mapping[str, EffectHealth]

    @property
    def owed(self) -> int:
        return sum(effect.owed for effect in self.effects.values())

    @property
    def given_up(self) -> int:
        return sum(effect.given_up for effect in self.effects.values())


def pipeline_health(*, now: datetime) -> PipelineHealth:
    """Reads it with two bounded statements."""
    given_up = _given_up()
    owed = {
        effect: EffectHealth(
            owed=count,
            retrying=retrying,
            given_up=given_up.pop(effect, 0),
            oldest_owed_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        )
        for effect, count, retrying, oldest in _owed(now)
    }
    return PipelineHealth(owed | {effect: EffectHealth(given_up=count) for effect, count in given_up.items()})


def _owed(now: datetime) -> list[tuple[str, int, int, datetime | None]]:
    never_tried = (DueEffect.tries == 0) & DueEffect.lease_owner.is_null() & DueEffect.last_error.is_null()
    # A deadline is leased to nobody until its time comes (see `due_effects`): it is not owed yet. What was
    # put off looks the same, but says why, and is.
    is_deadline = never_tried & DueEffect.leased_until.is_null(False) & (DueEffect.leased_until > now)
    counts_from_creation = DueEffect.leased_until.is_null() | (DueEffect.effect == PUBLISH_EVENT)
    due_since = peewee.Case(
        None,
        # A lease that has run out: nobody is at work on it, whoever had it.
        [
            (counts_from_creation, DueEffect.created_at),
            (DueEffect.leased_until <= now, DueEffect.leased_until),
        ],
        None,
    )
    waiting = (
        DueEffect.select(DueEffect.effect, DueEffect.tries, due_since.alias("due_since"))
        .where(DueEffect.failed_at.is_null(), ~is_deadline)
        .limit(COUNTED_AT_MOST)
    )
    query = (
        DueEffect.select(
            waiting.c.effect,
            peewee.fn.COUNT(peewee.SQL("*")),
            peewee.fn.SUM(peewee.Case(None, [(waiting.c.tries > 0, 1)], 0)),
            peewee.fn.MIN(waiting.c.due_since).converter(UtcDateTimeField().python_value),
        )
        .from_(waiting)
        .group_by(waiting.c.effect)
    )
    rows: Iterable[Any] = query.tuples()
    return [(effect, count, int(retrying), oldest) for effect, count, retrying, oldest in rows]


def _given_up() -> dict[str, int]:
    failed = (
        DueEffect.select(DueEffect.effect).where(DueEffect.failed_at.is_null(False)).limit(COUNTED_AT_MOST)
    )
    query = DueEffect.select(failed.c.effect, peewee.fn.COUNT(peewee.SQL("*"))).from_(failed)
    rows: Iterable[Any] = query.group_by(failed.c.effect).tuples()
    return dict(rows)
