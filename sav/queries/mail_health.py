"""How the mails are doing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sav.models.tables import MailDelivery
from sav.queries.pipeline_health import COUNTED_AT_MOST

FAILED_SINCE = timedelta(days=1)
"""Older failures are nobody's concern any more."""


@dataclass(frozen=True, slots=True)
class MailHealth:
    """Mails that wait, and those of the last day that did not arrive."""

    due: int
    failed: int


def mail_health(*, now: datetime) -> MailHealth:
    """Reads two bounded numbers."""
    due, failed = _in_state("due"), _in_state("failed").where(MailDelivery.updated_at >= now - FAILED_SINCE)
    return MailHealth(due=due.limit(COUNTED_AT_MOST).count(), failed=failed.limit(COUNTED_AT_MOST).count())


def _in_state(state: str) -> Any:
    return MailDelivery.select(MailDelivery.id).where(MailDelivery.state == state)
