"""A ticket's files, as far as the caller may see them."""

from sav.domain.caller import Caller
from sav.domain.errors import Conflict, NotFound
from sav.domain.permissions import sees_internal
from sav.models.attachment_sight import visible_attachments
from sav.models.tables import Attachment
from sav.queries.conversation import one_message
from sav.queries.pages import Page, PageRequest, page_by_key
from sav.queries.ticket_detail import require_sight


class AttachmentQuarantined(Conflict):
    """This file waits for the virus scanner; try again shortly."""

    code = "attachment_quarantined"


def list_attachments(*, caller: Caller, ticket_id: int, page: PageRequest) -> Page[Attachment]:
    """One page of a ticket's files, oldest first."""
    require_sight(caller, ticket_id)
    query = visible_attachments(ticket_id, internal=sees_internal(caller))
    return page_by_key(query, Attachment.id, page)


def list_message_attachments(
    *, caller: Caller, ticket_id: int, message_id: int, page: PageRequest
) -> Page[Attachment]:
    """One page of the files that hang on a message; raises `NotFound` when the caller does not see it."""
    one_message(caller=caller, ticket_id=ticket_id, message_id=message_id)
    query = visible_attachments(ticket_id, internal=sees_internal(caller))
    return page_by_key(query.where(Attachment.message_id == message_id), Attachment.id, page)


def one_attachment(*, caller: Caller, ticket_id: int, attachment_id: int) -> Attachment:
    """A file that the caller may see; raises `NotFound`."""
    require_sight(caller, ticket_id)
    visible = visible_attachments(ticket_id, internal=sees_internal(caller))
    attachment: Attachment | None = visible.where(Attachment.id == attachment_id).first()
    if attachment is None:
        raise NotFound
    return attachment


def require_served(attachment: Attachment) -> None:
    """Raises `AttachmentQuarantined` when nobody may have the file's bytes yet."""
    if attachment.state == "quarantined":
        raise AttachmentQuarantined
