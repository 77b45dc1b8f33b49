"""The daily comparison of files and objects: what a crash has left on one side only is removed.

Archives of persons' data go when their time is over. Of attachments three things are looked for, each only
when it is old enough to be no upload of this moment: files that never became complete, or whose removal was
never finished; objects that no file knows; files whose object is gone.
Should very much be missing on either side, then it was no crash: somebody has named another bucket, or
another database. Nothing is removed then, and the log says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

import peewee
import structlog

from sav.domain.caller import SYSTEM
from sav.domain.errors import NotFound
from sav.domain.events import AttachmentLost
from sav.domain.occasion import Occasion
from sav.models.attachment_sight import hangs_on_note
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Attachment
from sav.operations.effect_claims import Claim, finish_effect, keep_lease
from sav.operations.expire_exports import expire_exports
from sav.operations.remove_objects import forget_rows
from sav.operations.ticket_change import change_ticket
from sav.storage.object_store import ObjectStore

SWEEP_AGE = timedelta(hours=1)
"""What is younger may be an upload that is going on."""
ROWS_A_BATCH = 500
MOST_ORPHANS = 1000
"""How many objects without a file, and how many files without an object, a crash can explain at most."""

KEY_PREFIX = "tickets/"
_KEY = re.compile(r"tickets/[0-9]+/([1-9][0-9]{0,18})/[^/]+")
T = TypeVar("T")

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Somebody else is sweeping by now, because we took too long between two batches."""


class _SeenIds:
    """The ids of the files whose object was seen: one bit each, so that a million takes 125 kB."""

    def __init__(self, largest: int) -> None:
        self._bits = bytearray(largest // 8 + 1)

    def add(self, number: int) -> None:
        if number // 8 < len(self._bits):
            self._bits[number // 8] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        return number // 8 < len(self._bits) and bool(self._bits[number // 8] >> number % 8 & 1)


@dataclass(frozen=True, slots=True)
class Differences:
    """What there was on one side only."""

    unfinished_files: int
    objects_without_file: int
    files_without_object: int
    was_removed: bool


@dataclass(frozen=True, slots=True)
class _Sweep:
    store: ObjectStore
    go_on: Callable[[int], None]
    """Called with how many files and objects come next, before each batch."""
    most: int


def sweep_files(
    claim: Claim, *, store: ObjectStore, clock: Callable[[], datetime], age: timedelta = SWEEP_AGE
) -> None:
    """Makes rows and objects agree; raises `StorageUnavailable`, and may be done again from the beginning."""

    def keep_at_work(_: int) -> None:
        """Says that somebody is at work; raises `LeaseLost`."""
        if not keep_lease(claim, now=clock()):
            raise LeaseLost

    reconcile_files(store=store, now=clock(), age=age, go_on=keep_at_work)
    with transaction():
        finish_effect(claim)


def reconcile_files(
    *,
    store: ObjectStore,
    now: datetime,
    age: timedelta = SWEEP_AGE,
    go_on: Callable[[int], None] = lambda _: None,
    most: int | None = None,
    repair: bool = True,
) -> Differences:
    """Compares rows and objects that are older than `age`, and removes what is on one side only.

    Two at the same moment, or one that is broken off, do no harm: what is gone is gone. Without `repair`
    nothing is removed; nor with more than `most` (`MOST_ORPHANS`) on either side, where counting ends.
    """
    most = MOST_ORPHANS if most is None else most
    before, sweep = now - age, _Sweep(store, go_on, most)
    unfinished = _unfinished(before).count()
    if repair:
        store.remove_leftovers(older_than=before)
        _remove_unfinished(sweep, before=before)
        expire_exports(store=store, now=now, before=before, go_on=lambda: go_on(0))
    seen, orphans = _compare_objects(sweep, before=before)
    lost = _lost_files(sweep, seen, before=before)
    is_plausible = len(orphans) <= most and len(lost) <= most
    if not is_plausible:
        log.error(
            "files and objects differ too much to be the work of a crash; nothing was removed",
            action="sweep_files",
            at_least_objects_without_file=len(orphans),
            at_least_files_without_object=len(lost),
        )
    elif repair:
        _remove_orphans(orphans, store=store)
        for attachment in lost:
            _record_loss(attachment, now=now)
    return Differences(unfinished, len(orphans), len(lost), repair and is_plausible)


def _remove_unfinished(sweep: _Sweep, *, before: datetime) -> None:
    while batch := _mark_unfinished(before):
        sweep.go_on(0)
        for attachment in batch:
            sweep.store.delete(attachment.file_path)
        _forget(batch)
        for attachment in batch:
            log.info(
                "a file that was never complete was swept away",
                action="sweep_files",
                ticket_id=attachment.ticket_id,
                attachment_id=attachment.id,
            )


def _unfinished(before: datetime) -> peewee.ModelSelect[Attachment]:
    old = Attachment.state.in_(["pending", "deleted"]) & (Attachment.updated_at < before)
    return Attachment.select().where(old)


@retry_deadlocks
def _mark_unfinished(before: datetime) -> list[Attachment]:
    """A batch of old files that are on their way in or out; from now on all of them are on their way out."""
    with transaction():
        batch = list(_unfinished(before).order_by(Attachment.updated_at).limit(ROWS_A_BATCH))
        ids = [attachment.id for attachment in batch]
        if ids:
            # An upload that was completed in this very moment keeps its file.
            still = Attachment.id.in_(ids) & (Attachment.state == "pending")
            Attachment.update(state="deleted").where(still).execute()
            doomed = Attachment.id.in_(ids) & (Attachment.state == "deleted")
            batch = list(Attachment.select().where(doomed))
    return batch


@retry_deadlocks
def _forget(attachments: Sequence[Attachment]) -> None:
    with transaction():
        forget_rows([attachment.id for attachment in attachments])


def _compare_objects(sweep: _Sweep, *, before: datetime) -> tuple[_SeenIds, list[str]]:
    """Which files have an object, and which objects have no file."""
    seen = _SeenIds(Attachment.select(peewee.fn.MAX(Attachment.id)).scalar() or 0)
    orphans: list[str] = []
    for batch in _batches(sweep.store.list(KEY_PREFIX, older_than=before)):
        sweep.go_on(len(batch))
        ids = {item.key: _attachment_id(item.key) for item in batch}
        known = _paths([number for number in ids.values() if number])
        for key, number in ids.items():
            if number and known.get(number) == key:
                seen.add(number)
            elif len(orphans) <= sweep.most:
                orphans.append(key)
    return seen, orphans


def _attachment_id(key: str) -> int | None:
    found = _KEY.fullmatch(key)
    return int(found[1]) if found and int(found[1]) < 2**63 else None


def _paths(ids: Sequence[int]) -> dict[int, str]:
    rows = Attachment.select(Attachment.id, Attachment.file_path).where(Attachment.id.in_(list(ids)))
    return {row.id: row.file_path for row in rows} if ids else {}


def _lost_files(sweep: _Sweep, seen: _SeenIds, *, before: datetime) -> list[Attachment]:
    """The complete files whose object is not there; each is asked for once more by itself."""
    lost: list[Attachment] = []
    last_id = 0
    while batch := _complete_files(after=last_id, before=before):
        sweep.go_on(len(batch))
        last_id = batch[-1].id
        for attachment in batch:
            if attachment.id in seen or len(lost) > sweep.most:
                continue
            if not sweep.store.exists(attachment.file_path):
                lost.append(attachment)
    return lost


def _complete_files(*, after: int, before: datetime) -> list[Attachment]:
    query = Attachment.select().where(
        Attachment.id > after,
        Attachment.created_at < before,
        Attachment.state.not_in(["pending", "deleted"]),
    )
    return list(query.order_by(Attachment.id).limit(ROWS_A_BATCH))


def _remove_orphans(keys: Sequence[str], *, store: ObjectStore) -> None:
    for key in keys:
        store.delete(key)
    if keys:
        log.warning("objects without a file were swept away", action="sweep_files", objects=len(keys))


@retry_deadlocks
def _record_loss(attachment: Attachment, *, now: datetime) -> None:
    """Removes a file whose object is gone, and says so in the ticket's history."""
    occasion = Occasion(SYSTEM, now)
    gone = Attachment.delete().where(Attachment.id == attachment.id)
    try:
        with change_ticket(attachment.ticket_id, occasion=occasion) as change:
            if gone.execute():
                change.note("file_name", before=attachment.file_name, after=None)
                internal = hangs_on_note(attachment.message_id)
                change.record(AttachmentLost(attachment_id=attachment.id), internal=internal)
    except NotFound:
        # The ticket was deleted: nobody reads its history.
        with transaction():
            gone.execute()
    log.error(
        "a file's object is gone from the store",
        action="sweep_files",
        ticket_id=attachment.ticket_id,
        attachment_id=attachment.id,
    )


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(items, ROWS_A_BATCH)):
        yield batch
