"""Which messages of a ticket somebody may see, and which of these they have not read.

Both the reads and the writes of the conversation start here, so that internal notes have one door.
"""

from __future__ import annotations

import peewee

from sav.models.tables import Message, MessageReceipt


def visible_messages(ticket_id: int, *, internal: bool) -> peewee.ModelSelect[Message]:
    """The messages of a ticket that were not deleted; internal notes only when `internal`."""
    query = Message.select().where(Message.ticket_id == ticket_id, Message.deleted_at.is_null())
    return query if internal else query.where(Message.is_internal == False)  # noqa: E712


def unread_messages(ticket_id: int, *, reader_id: int | None, internal: bool) -> peewee.ModelSelect[Message]:
    """Those of them that others wrote and the reader has no receipt for."""
    receipts = MessageReceipt.select(MessageReceipt.message_id).where(
        MessageReceipt.ticket_id == ticket_id, MessageReceipt.reader_id == reader_id
    )
    by_others = Message.user_id.is_null() | (Message.user_id != reader_id)
    return visible_messages(ticket_id, internal=internal).where(by_others, Message.id.not_in(receipts))
