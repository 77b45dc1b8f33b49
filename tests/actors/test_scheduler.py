"""The clock and its jobs: one leader, each slot once, each token done once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sav import scheduler
from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import HOUSEKEEPING
from sav.models.database import database
from sav.models.tables import DueEffect, IdempotencyKey, SchedulerTick
from sav.operations import hints, housekeeping
from sav.operations.effect_claims import claim_effects
from sav.operations.hints import Hint
from sav.operations.housekeeping import keep_house
from sav.operations.idempotency import LIFETIME
from sav.operations.record_tick import order_tick, record_tick
from sav.scheduler import TICKS, Scheduler, Tick, UnknownJob, record_due_ticks, tick_now
from sav.settings import Settings
from tests.actors.conftest import eventually
from tests.actors.owed import LONG_AGO
from tests.actors.threads import at_the_same_time

pytestmark = pytest.mark.usefixtures("settings")

NOW = LONG_AGO
SECOND = timedelta(seconds=1)


def due_slots(job: str = HOUSEKEEPING) -> list[int]:
    query = DueEffect.select().where(DueEffect.effect == job).order_by(DueEffect.sequence)
    return [token.sequence for token in query]


def keys(*ages: timedelta) -> None:
    for number, age in enumerate(ages):
        IdempotencyKey.insert(
            caller="user:1", key_hash=f"{number:064}", fingerprint="0" * 64, created_at=NOW - age
        ).execute()


def test_slots_begin_at_midnight_plus_the_offset() -> None:
    tick = Tick(effect=HOUSEKEEPING, every=timedelta(days=1), offset=timedelta(hours=3))
    three = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
    assert tick.slot(three) == tick.slot(three - SECOND) + 1
    assert tick.slot(three + timedelta(hours=24) - SECOND) == tick.slot(three)


def test_of_many_who_say_that_a_slot_has_come_one_is_heard() -> None:
    heard = at_the_same_time(
        *[lambda: record_tick(job=HOUSEKEEPING, effect=HOUSEKEEPING, slot=7, now=NOW)] * 5
    )
    assert sorted(heard) == [False, False, False, False, True]
    assert due_slots() == [7]


def test_slots_only_move_forward() -> None:
    assert [
        record_tick(job=HOUSEKEEPING, effect=HOUSEKEEPING, slot=slot, now=NOW) for slot in (7, 6, 7, 9, 8)
    ] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert due_slots() == [7, 9]


def test_a_tick_hints_at_its_job() -> None:
    given: list[Hint] = []
    hints.listen(given.append)
    record_tick(job=HOUSEKEEPING, effect=HOUSEKEEPING, slot=7, now=NOW)
    assert given == [Hint(HOUSEKEEPING, 0)]


def test_however_many_slots_were_missed_a_job_is_caught_up_once() -> None:
    assert record_due_ticks(NOW) == list(TICKS)
    assert record_due_ticks(NOW) == []
    assert record_due_ticks(NOW + timedelta(days=9)) == list(TICKS)
    slot = TICKS[HOUSEKEEPING].slot(NOW)
    assert due_slots() == [slot, slot + 9]


def test_a_tick_by_hand_is_due_whatever_the_clock_has_said() -> None:
    record_due_ticks(NOW)
    tick_now(HOUSEKEEPING)
    tick_now(HOUSEKEEPING)
    assert len(due_slots()) == 3
    with pytest.raises(UnknownJob, match="housekeeping"):
        tick_now("sweep-the-floor")


def keep_house_if_due() -> None:
    do_owed_effects(HOUSEKEEPING, lambda claim: keep_house(claim, now=NOW))


def test_housekeeping_deletes_what_is_too_old_and_its_token() -> None:
    keys(LIFETIME + SECOND, LIFETIME, LIFETIME - SECOND, timedelta())
    order_tick(effect=HOUSEKEEPING, now=NOW)
    keep_house_if_due()
    assert [key.key_hash for key in IdempotencyKey.select().order_by(IdempotencyKey.key_hash)] == [
        f"{number:064}" for number in (2, 3)
    ]
    assert due_slots() == []


def test_housekeeping_without_a_token_does_nothing() -> None:
    keys(LIFETIME + SECOND)
    keep_house_if_due()
    assert IdempotencyKey.select().count() == 1


def test_housekeeping_goes_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "ROWS_A_BATCH", 3)
    keys(*[LIFETIME + SECOND] * 7)
    order_tick(effect=HOUSEKEEPING, now=NOW)
    [claim] = claim_effects(effect=HOUSEKEEPING, owner="me", now=NOW, limit=1)
    assert housekeeping._delete_batch("idempotency_keys", "created_at", NOW - LIFETIME, None) == 3
    assert (IdempotencyKey.select().count(), len(due_slots())) == (4, 1), (
        "the token goes after the last batch"
    )
    keep_house(claim, now=NOW)
    assert (IdempotencyKey.select().count(), due_slots()) == (0, [])


def test_ticks_that_were_duplicated_are_followed_by_any_number_of_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(housekeeping, "ROWS_A_BATCH", 2)
    keys(*[LIFETIME + SECOND] * 9)
    record_tick(job=HOUSEKEEPING, effect=HOUSEKEEPING, slot=7, now=NOW)
    record_tick(job=HOUSEKEEPING, effect=HOUSEKEEPING, slot=7, now=NOW)
    order_tick(effect=HOUSEKEEPING, now=NOW)
    assert len(due_slots()) == 2
    at_the_same_time(*[keep_house_if_due] * 4)
    assert (IdempotencyKey.select().count(), due_slots()) == (0, [])


def test_one_of_two_replicas_leads_and_the_other_takes_over(settings: Settings) -> None:
    first, second = (Scheduler(settings, poll_seconds=0.05, look_seconds=0.1) for _ in range(2))
    first.start()
    eventually(lambda: first.leads, "the first to lead")
    second.start()
    eventually(lambda: due_slots() != [], "a missed tick to be caught up")
    assert not second.leads
    assert len(due_slots()) == 1

    assert first.stop(timeout_seconds=10)
    assert not first.leads
    eventually(lambda: second.leads, "the second to take over")
    SchedulerTick.update(last_slot=SchedulerTick.last_slot - 1).execute()
    DueEffect.delete().execute()
    eventually(lambda: due_slots() != [], "the second to record")
    assert second.stop(timeout_seconds=10)


def test_a_leader_that_has_lost_the_lock_stops_the_clock_and_campaigns_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lone = Scheduler(settings, poll_seconds=0.05)
    with capture_logs() as logs:
        lone.start()
        eventually(lambda: lone.leads, "it to lead")
        _take_the_lock_away(settings, monkeypatch)
        eventually(lambda: [line["event"] for line in logs].count("leading the schedule") == 2, "a comeback")
        assert lone.stop(timeout_seconds=10)
    lead, lost, back = [line for line in logs if line["action"] == "lead"]
    assert (lead["event"], lost["log_level"], back["event"]) == (lead["event"], "warning", lead["event"])


def _take_the_lock_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    if settings.DB_CONNECTION == "sqlite":
        # The kernel takes a file's lock from nobody who lives.
        answers = iter([False])
        monkeypatch.setattr(scheduler._FileLeadership, "holds", lambda _: next(answers, True))
        return
    name = f"sav_scheduler:{settings.DB_DATABASE}"[:64]
    (holder,) = database.execute_sql("SELECT IS_USED_LOCK(%s)", (name,)).fetchone()
    database.execute_sql(f"KILL {holder}")


def test_a_file_can_be_the_lock_as_well(settings: Settings, tmp_path: Path) -> None:
    on_file = settings.model_copy(update={"DB_CONNECTION": "sqlite", "DB_DATABASE": str(tmp_path / "sav")})
    with scheduler._candidacy(on_file) as second:
        with scheduler._candidacy(on_file) as first:
            assert first.take()
            assert first.holds()
            assert not second.take()
        assert second.take()


def test_a_tick_that_could_not_be_recorded_is_recorded_by_a_later_look(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[datetime] = []

    def fail_first(now: datetime) -> list[str]:
        looks.append(now)
        if len(looks) == 1:
            raise ConnectionError("the database is away for a moment")
        return record_due_ticks(now)

    monkeypatch.setattr(scheduler, "record_due_ticks", fail_first)
    lone = Scheduler(settings, poll_seconds=0.05, look_seconds=0.1)
    lone.start()
    eventually(lambda: len(looks) >= 2 and due_slots() != [], "the tick to be recorded")
    assert lone.stop(timeout_seconds=10)
