"""Whether somebody does what is due, for whoever examines the service."""

from dataclasses import dataclass
from datetime import datetime

from sav.domain.effects import PUBLISH_EVENT
from sav.models.tables import DueEffect


@dataclass(frozen=True, slots=True)
class Overdue:
    """How long the oldest due effect has waited for a worker, and the oldest event for its publication."""

    due_seconds: float
    unpublished_seconds: float
    last_error: str | None
    """What the oldest unpublished event failed with the last time, if it was tried."""


def overdue_effects(*, now: datetime) -> Overdue:
    """Reads two rows. Workers that are at it move `due_at` on, so its age says whether there are any."""
    waiting = DueEffect.select().where(DueEffect.failed_at.is_null())
    due = waiting.where(DueEffect.due_at <= now).order_by(DueEffect.due_at).first()
    unpublished = waiting.where(DueEffect.effect == PUBLISH_EVENT).order_by(DueEffect.id).first()
    return Overdue(
        due_seconds=(now - due.due_at).total_seconds() if due else 0.0,
        unpublished_seconds=(now - unpublished.created_at).total_seconds() if unpublished else 0.0,
        last_error=unpublished.last_error if unpublished else None,
    )
