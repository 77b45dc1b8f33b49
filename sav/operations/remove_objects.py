"""Removing the objects of files that are deleted, or that never became complete; and then their rows."""

from collections.abc import Sequence
from datetime import datetime

from sav.domain.effects import REMOVE_OBJECTS
from sav.models.database import database, retry_deadlocks, transaction
from sav.models.tables import Attachment, DueEffect
from sav.operations import hints
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.event_log import RELAY_GRACE
from sav.storage.object_store import ObjectStore

FILES_A_BATCH = 100
"""How many objects one transaction's rows stand for."""


@retry_deadlocks
def abandon_attachments(*, ids: Sequence[int], ticket_id: int, now: datetime) -> None:
    """Owes the removal of files that were announced and will not be completed.

    What has become visible stays: a commit may have succeeded although its answer was lost.
    """
    with transaction():
        pending = Attachment.id.in_(list(ids)) & (Attachment.state == "pending")
        if not Attachment.update(state="deleted", updated_at=now).where(pending).execute():
            return
        owe_removal(ticket_id=ticket_id, attachment_id=min(ids), now=now)


def owe_removal(*, ticket_id: int, attachment_id: int, now: datetime) -> None:
    """Owes the removal of a ticket's deleted files, in the caller's transaction, where no fact does."""
    DueEffect.insert(
        effect=REMOVE_OBJECTS,
        ticket_id=ticket_id,
        # A negative number stands beside the places of all facts.
        sequence=-attachment_id,
        due_at=now + RELAY_GRACE,
        created_at=now,
    ).execute()
    database.after_commit(lambda: hints.give({hints.Hint(REMOVE_OBJECTS, ticket_id)}))


def remove_objects(claim: Claim, *, store: ObjectStore) -> None:
    """Removes every object that the ticket's deleted files have left; raises `StorageUnavailable`.

    It may be done again from the beginning after any crash: what is gone is gone.
    """
    while doomed := _deleted_files(claim.ticket_id):
        for attachment in doomed:
            store.delete(attachment.file_path)
        if len(doomed) < FILES_A_BATCH:
            _forget(doomed, claim=claim)
            return
        _forget(doomed)
    _forget([], claim=claim)


def _deleted_files(ticket_id: int) -> list[Attachment]:
    mine = (Attachment.ticket_id == ticket_id) & (Attachment.state == "deleted")
    return list(Attachment.select().where(mine).order_by(Attachment.id).limit(FILES_A_BATCH))


@retry_deadlocks
def _forget(attachments: Sequence[Attachment], *, claim: Claim | None = None) -> None:
    """Deletes the rows of objects that are gone, and with the last of them the token."""
    with transaction():
        if claim:
            finish_effect(claim)
        forget_rows([attachment.id for attachment in attachments])


def forget_rows(ids: Sequence[int]) -> int:
    """Deletes rows of deleted files in the caller's transaction; returns how many there were."""
    if not ids:
        return 0
    deleted: int = (
        Attachment.delete().where(Attachment.id.in_(list(ids)), Attachment.state == "deleted").execute()
    )
    return deleted
