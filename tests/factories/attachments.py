"""Files of a ticket, as rows."""

from typing import Any

from sav.models.tables import Attachment, Message, Ticket
from tests.factories.tickets import WRITTEN_AT


def make_attachment(
    ticket: Ticket, *, message: Message | None = None, user_id: int | None = 1, **fields: Any
) -> Attachment:
    """A stored row of customer 1's, without an object unless the test stores one."""
    at = fields.pop("at", WRITTEN_AT)
    row = Attachment.create(
        **{
            "ticket_id": ticket.id,
            "message_id": message.id if message else None,
            "user_id": user_id,
            "file_name": "parcel.txt",
            "file_path": "",
            "file_type": "txt",
            "file_size": 4,
            "mime_type": "text/plain",
            "state": "available",
            "created_at": at,
            "updated_at": at,
            **fields,
        }
    )
    row.file_path = f"tickets/{ticket.id}/{row.id}/{row.file_name}"
    row.save()
    return row
