"""Deleting a file: out of sight at once, its object soon after, its row last."""

import structlog

from sav.domain.errors import NotFound
from sav.domain.events import AttachmentDeleted
from sav.domain.occasion import Occasion
from sav.domain.permissions import require_attachment_deletion, sees_internal
from sav.models.attachment_sight import hangs_on_note, visible_attachments
from sav.models.database import retry_deadlocks
from sav.models.tables import Attachment
from sav.operations.ticket_change import change_ticket

log = structlog.get_logger(__name__)


@retry_deadlocks
def delete_attachment(*, occasion: Occasion, ticket_id: int, attachment_id: int) -> None:
    """Takes a file out of everybody's sight, and owes the removal of its object.

    Raises `NotFound`, or `NotYourAttachment` unless the caller attached it or is an admin.
    """
    with change_ticket(ticket_id, occasion=occasion) as change:
        visible = visible_attachments(ticket_id, internal=sees_internal(occasion.caller))
        attachment: Attachment | None = visible.where(Attachment.id == attachment_id).first()
        if attachment is None:
            raise NotFound
        require_attachment_deletion(occasion.caller, uploader_id=attachment.user_id)
        attachment.state, attachment.updated_at = "deleted", occasion.now
        attachment.save(only=attachment.dirty_fields)
        change.note("file_name", before=attachment.file_name, after=None)
        internal = hangs_on_note(attachment.message_id)
        change.record(AttachmentDeleted(attachment_id=attachment_id), internal=internal)
    log.info("file deleted", action="delete_file", ticket_id=ticket_id, attachment_id=attachment_id)
