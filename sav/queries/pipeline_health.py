"""How the pipeline is doing, as the database knows it: the same whichever process is asked."""

from dataclasses import dataclass
from datetime import datetime

from sav.models.tables import DueEffect

COUNTED_AT_MOST = 100_000
"""Beyond this the exact number of waiting effects matters no more, and is not counted."""


@dataclass(frozen=True, slots=True)
class PipelineHealth:
    """Effects that are owed and not done; those that were given up are an operator's to look at."""

    owed: int
    given_up: int
    oldest_owed_seconds: float


def pipeline_health(*, now: datetime) -> PipelineHealth:
    """Reads three bounded numbers."""
    waiting = DueEffect.select(DueEffect.id).where(DueEffect.failed_at.is_null())
    given_up = DueEffect.select(DueEffect.id).where(DueEffect.failed_at.is_null(False))
    oldest: DueEffect | None = (
        DueEffect.select(DueEffect.created_at)
        .where(DueEffect.failed_at.is_null())
        .order_by(DueEffect.id)
        .first()
    )
    return PipelineHealth(
        owed=waiting.limit(COUNTED_AT_MOST).count(),
        given_up=given_up.limit(COUNTED_AT_MOST).count(),
        oldest_owed_seconds=max(0.0, (now - oldest.created_at).total_seconds()) if oldest else 0.0,
    )
