"""The daily sweep: whatever a crash has left on one side, rows and objects agree afterwards."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import HOUSEKEEPING, REMOVE_OBJECTS, SWEEP_FILES
from sav.models.tables import Attachment, DueEffect, Event
from sav.operations import sweep_files as sweeping
from sav.operations.effect_claims import claim_effects
from sav.operations.housekeeping import keep_house
from sav.operations.record_tick import order_tick
from sav.operations.sweep_files import LeaseLost, sweep_files
from sav.storage.disk import DiskStore
from sav.storage.object_store import ObjectStore, StorageUnavailable, StoredObject
from tests.factories.attachments import make_attachment
from tests.factories.messages import make_message
from tests.factories.tickets import make_ticket
from tests.integration.test_stores import s3_store

pytestmark = pytest.mark.usefixtures("empty_database")

NOW = datetime.now(UTC)
OLD, YOUNG = NOW - timedelta(hours=3), NOW - timedelta(minutes=30)


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store, in which everything is as old as the tests' clock says: it stands in the future."""
    if request.param == "s3":
        yield s3_store(request.getfixturevalue("fresh_bucket")())
    else:
        yield DiskStore(directory=tmp_path, public_url="http://desk.example")


def put(store: ObjectStore, key: str) -> str:
    store.put(key, io.BytesIO(b"x"), length=1, mime_type="text/plain")
    return key


def keys(store: ObjectStore) -> list[str]:
    return sorted(item.key for item in store.list("", older_than=NOW + timedelta(days=2)))


def sweep(store: ObjectStore, *, later: timedelta = timedelta(0)) -> None:
    """As the daily tick does it, by a clock that may stand in the future."""
    DueEffect.insert(
        effect=SWEEP_FILES, ticket_id=0, sequence=DueEffect.select().count() + 1, due_at=NOW, created_at=NOW
    ).execute()
    clock: Callable[[], datetime] = lambda: NOW + later  # noqa: E731
    for claim in claim_effects(effect=SWEEP_FILES, owner="sweeper", now=NOW + later, limit=9):
        sweep_files(claim, store=store, clock=clock)
    assert DueEffect.select().where(DueEffect.effect == SWEEP_FILES).count() == 0


def complete(store: ObjectStore, ticket: Any, **fields: Any) -> Attachment:
    row = make_attachment(ticket, **fields)
    put(store, row.file_path)
    return row


TWO_HOURS_LATER = timedelta(hours=2)


def test_whatever_a_crash_has_left_rows_and_objects_agree(store: ObjectStore) -> None:
    ticket = make_ticket()
    kept = complete(store, ticket, at=OLD)
    on_note = complete(store, ticket, at=OLD, message=make_message(ticket, is_internal=True))
    waiting = complete(store, ticket, at=OLD, state="quarantined")
    complete(store, ticket, at=OLD, state="pending")
    make_attachment(ticket, at=OLD, state="pending")
    complete(store, ticket, at=OLD, state="deleted")
    make_attachment(ticket, at=OLD, state="deleted")
    lost = make_attachment(ticket, at=OLD)
    for orphan in ("4711/parcel.txt", f"{lost.id}/another.txt", "x/parcel.txt", f"{kept.id}/deep/parcel.txt"):
        put(store, f"tickets/{ticket.id}/{orphan}")
    put(store, "probes/doctor")

    sweep(store, later=TWO_HOURS_LATER)

    assert sorted(row.id for row in Attachment.select()) == [kept.id, on_note.id, waiting.id]
    assert keys(store) == sorted(["probes/doctor", *(row.file_path for row in Attachment.select())])
    (event,) = Event.select()
    assert (event.name, event.data["attachment_id"]) == ("ticket.attachment.lost", lost.id)
    assert event.published_sequence is None

    sweep(store, later=TWO_HOURS_LATER)
    assert Attachment.select().count() == 3
    assert Event.select().count() == 1


def test_what_is_young_may_be_an_upload_of_this_moment(store: ObjectStore) -> None:
    ticket = make_ticket()
    rows = [complete(store, ticket, at=YOUNG, state=state) for state in ("pending", "available", "deleted")]
    rows += [make_attachment(ticket, at=YOUNG, state=state) for state in ("pending", "available")]
    put(store, "tickets/1/4711/young.txt")
    before = keys(store)
    sweep(store)
    assert Attachment.select().count() == len(rows)
    assert keys(store) == before


def test_a_lost_file_of_a_deleted_ticket_goes_without_a_word(store: ObjectStore) -> None:
    make_attachment(make_ticket(deleted_at=OLD), at=OLD)
    sweep(store)
    assert Attachment.select().count() == 0
    assert Event.select().count() == 0


def test_batches(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "ROWS_A_BATCH", 2)
    ticket = make_ticket()
    kept = [complete(store, ticket, at=OLD).id for _ in range(5)]
    for _ in range(3):
        make_attachment(ticket, at=OLD)
        make_attachment(ticket, at=OLD, state="pending")
        put(store, f"tickets/1/{5000 + _}/orphan.txt")
    sweep(store, later=TWO_HOURS_LATER)
    assert [row.id for row in Attachment.select().order_by(Attachment.id)] == kept
    assert len(keys(store)) == 5


@pytest.mark.parametrize("side", ["objects", "files"])
def test_another_bucket_or_database_loses_nothing(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    monkeypatch.setattr(sweeping, "MOST_ORPHANS", 2)
    ticket = make_ticket()
    for number in range(3):
        if side == "objects":
            put(store, f"tickets/1/{5000 + number}/orphan.txt")
        else:
            make_attachment(ticket, at=OLD)
    with capture_logs() as logs:
        sweep(store, later=TWO_HOURS_LATER)
    assert [line["log_level"] for line in logs if line["action"] == "sweep_files"] == ["error"]
    assert (len(keys(store)), Attachment.select().count()) == ((3, 0) if side == "objects" else (0, 3))


class Interrupted(DiskStore):
    """A store that goes away in the middle of its list."""

    def list(self, prefix: str, *, older_than: datetime) -> Iterator[StoredObject]:
        yield from ()
        raise StorageUnavailable


def test_a_list_that_breaks_off_is_no_reason_to_remove_anything(tmp_path: Path) -> None:
    make_attachment(make_ticket(), at=OLD)
    with pytest.raises(StorageUnavailable):
        sweep(Interrupted(directory=tmp_path, public_url=""))
    assert Attachment.select().count() == 1
    assert DueEffect.select().where(DueEffect.effect == SWEEP_FILES).count() == 1


def test_whoever_has_lost_the_lease_stops(tmp_path: Path) -> None:
    make_attachment(make_ticket(), at=OLD)
    store = DiskStore(directory=tmp_path, public_url="")
    DueEffect.insert(effect=SWEEP_FILES, ticket_id=0, sequence=1, due_at=NOW, created_at=NOW).execute()
    (claim,) = claim_effects(effect=SWEEP_FILES, owner="slow", now=NOW, limit=1)
    DueEffect.update(lease_owner="somebody else").execute()
    with pytest.raises(LeaseLost):
        sweep_files(claim, store=store, clock=lambda: NOW)
    assert Attachment.select().count() == 1


def test_housekeeping_owes_it(tmp_path: Path) -> None:
    store = DiskStore(directory=tmp_path, public_url="")
    put(store, f"tickets/1/{4711}/young.txt")
    make_attachment(make_ticket(), at=OLD)
    order_tick(effect=HOUSEKEEPING, now=NOW)
    do_owed_effects(HOUSEKEEPING, lambda claim: keep_house(claim, now=NOW))
    assert [owed.effect for owed in DueEffect.select()] == [SWEEP_FILES]
    do_owed_effects(SWEEP_FILES, lambda claim: sweep_files(claim, store=store, clock=lambda: NOW))
    assert DueEffect.select().where(DueEffect.effect.in_([SWEEP_FILES, REMOVE_OBJECTS])).count() == 0
    assert Attachment.select().count() == 0
