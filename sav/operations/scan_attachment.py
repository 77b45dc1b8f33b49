"""What becomes of a file in quarantine: the virus scanner passes it, or it is refused and removed."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import structlog

from sav.domain.caller import SYSTEM
from sav.domain.errors import NotFound
from sav.domain.events import AttachmentPassed, AttachmentRefused
from sav.domain.occasion import Occasion
from sav.models.attachment_sight import hangs_on_note
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Attachment, Event
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.remove_objects import owe_removal
from sav.operations.ticket_change import change_ticket
from sav.storage.object_store import ObjectStore, StorageUnavailable
from sav.storage.virus_scanner import VirusScanner

log = structlog.get_logger(__name__)


def scan_attachment(claim: Claim, *, scanner: VirusScanner, store: ObjectStore, now: datetime) -> None:
    """Has a file scanned that waits for it; raises `ScannerUnavailable` or `StorageUnavailable`.

    A file that has gone meanwhile, or that somebody else has had scanned, is none that waits. A lease may run
    out during a long scan: then two scan the same file, and the first to end decides.
    """
    attachment = _waiting(claim)
    virus = None
    if attachment is not None:
        with store.open(attachment.file_path) as chunks:
            virus = scanner.find_virus(_whole(chunks, attachment.file_size))
    _conclude(claim, attachment, virus, now=now)


def _waiting(claim: Claim) -> Attachment | None:
    """The file that the fact in this place of the ticket's log is about, while it is in quarantine."""
    fact = Event.get((Event.ticket_id == claim.ticket_id) & (Event.sequence == claim.sequence))
    waiting = (Attachment.id == fact.data["attachment_id"]) & (Attachment.state == "quarantined")
    found: Attachment | None = Attachment.select().where(waiting).first()
    return found


def _whole(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Passes the chunks on; raises when they are not all of the file, of which a scanner knows nothing."""
    left = length
    for chunk in chunks:
        left -= len(chunk)
        yield chunk
    if left:
        raise StorageUnavailable("the object is not as long as the file")


@retry_deadlocks
def _conclude(claim: Claim, attachment: Attachment | None, virus: str | None, *, now: datetime) -> None:
    if attachment is None:
        with transaction():
            finish_effect(claim)
        return
    occasion = Occasion(SYSTEM, now, claim.request_id)
    try:
        with change_ticket(claim.ticket_id, occasion=occasion) as change:
            finish_effect(claim)
            if not _release(attachment, virus, now=now):
                return
            internal = hangs_on_note(attachment.message_id)
            if virus is None:
                change.record(AttachmentPassed(attachment_id=attachment.id), internal=internal)
            else:
                change.note("file_name", before=attachment.file_name, after=None)
                change.record(AttachmentRefused(attachment_id=attachment.id, virus=virus), internal=internal)
    except NotFound:
        _conclude_without_ticket(claim, attachment, virus, now=now)
    _tell(attachment, virus)


def _conclude_without_ticket(
    claim: Claim, attachment: Attachment, virus: str | None, *, now: datetime
) -> None:
    """The ticket was deleted: it has no history to go on with, but a virus must go all the same."""
    with transaction():
        finish_effect(claim)
        if _release(attachment, virus, now=now) and virus is not None:
            owe_removal(ticket_id=claim.ticket_id, attachment_id=attachment.id, now=now)


def _release(attachment: Attachment, virus: str | None, *, now: datetime) -> bool:
    """Ends the quarantine, unless it has ended already."""
    waiting = (Attachment.id == attachment.id) & (Attachment.state == "quarantined")
    state = "available" if virus is None else "deleted"
    changed: int = Attachment.update(state=state, updated_at=now).where(waiting).execute()
    return changed == 1


def _tell(attachment: Attachment, virus: str | None) -> None:
    about = {"action": "scan_attachment", "ticket_id": attachment.ticket_id, "attachment_id": attachment.id}
    if virus is None:
        log.info("file passed the virus scanner", **about)
    else:
        log.warning("infected file refused", virus=virus, **about)
