"""Removes archives of persons' data whose time is over, and those that a crash has left without a request."""

from collections.abc import Callable
from datetime import datetime

import structlog

from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import ExportPerson, PrivacyRequest
from sav.operations.build_export import EXPORT_PREFIX
from sav.storage.object_store import ObjectStore

EXPORTS_A_BATCH = 100
log = structlog.get_logger(__name__)


def expire_exports(*, store: ObjectStore, now: datetime, before: datetime, go_on: Callable[[], None]) -> None:
    """Of objects without a request only those are removed that were stored `before`.

    `go_on` is called before each batch, and ends it by raising. Raises `StorageUnavailable`.
    """
    while overdue := _overdue(now):
        go_on()
        for export in overdue:
            store.delete(export.object_key or "")
        _forget([export.id for export in overdue], now)
    for item in store.list(EXPORT_PREFIX, older_than=before):
        go_on()
        if not PrivacyRequest.select().where(PrivacyRequest.object_key == item.key).exists():
            store.delete(item.key)
            log.warning("an archive without a request was swept away", action="sweep_files")


def _overdue(now: datetime) -> list[PrivacyRequest]:
    query = PrivacyRequest.select().where(
        PrivacyRequest.kind == "export",
        PrivacyRequest.object_key.is_null(False),
        PrivacyRequest.expires_at <= now,
    )
    return list(query.limit(EXPORTS_A_BATCH))


@retry_deadlocks
def _forget(ids: list[int], now: datetime) -> None:
    with transaction():
        PrivacyRequest.update(state="expired", object_key=None, updated_at=now).where(
            PrivacyRequest.id.in_(ids)
        ).execute()
        ExportPerson.delete().where(ExportPerson.export_id.in_(ids)).execute()
