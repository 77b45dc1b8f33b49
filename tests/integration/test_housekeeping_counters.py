"""What strangers' counters leave behind is swept with the rest, and nothing that still counts."""

from datetime import UTC, datetime, timedelta

import pytest

from sav.domain.effects import HOUSEKEEPING
from sav.domain.rate_limits import RateLimit
from sav.models.tables import DueEffect, RateCounter
from sav.operations import housekeeping
from sav.operations.effect_claims import DESK, Claim
from sav.operations.rate_counters import count_hit, look_up

pytestmark = pytest.mark.usefixtures("empty_database")
NOW = datetime(2026, 3, 29, 10, 30, 20, tzinfo=UTC)
LIMIT = RateLimit("any", 3, 60)


def keep_house(now: datetime) -> None:
    token = DueEffect.create(
        effect=HOUSEKEEPING, ticket_id=DESK, sequence=1, due_at=now, lease_owner="me", created_at=now
    )
    housekeeping.keep_house(Claim(token.id, HOUSEKEEPING, DESK, 1, "me"), now=now)


def test_counters_go_when_their_window_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "ROWS_A_BATCH", 3)
    for number in range(10):
        count_hit(LIMIT, subject=str(number), now=NOW - timedelta(minutes=1))
    count_hit(LIMIT, subject="0", now=NOW)
    keep_house(NOW)
    assert RateCounter.select().count() == 1
    assert look_up(LIMIT, subject="0", now=NOW).hits == 1
    assert DueEffect.select().where(DueEffect.effect == HOUSEKEEPING).count() == 0

    keep_house(LIMIT.ends_at(NOW))
    assert RateCounter.select().count() == 0
