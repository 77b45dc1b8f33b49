"""Which files of a ticket somebody may see: one door for reads and writes, as for messages."""

from __future__ import annotations

import peewee

from sav.models.message_sight import visible_messages
from sav.models.tables import Attachment, Message

VISIBLE_STATES = ("available", "quarantined")
"""One in quarantine is seen, but cannot be downloaded yet."""


def visible_attachments(ticket_id: int, *, internal: bool) -> peewee.ModelSelect[Attachment]:
    """The files of a ticket that are complete and were neither deleted nor refused.

    A file that hangs on a message is there for whoever may see the message; one that hangs on an internal
    note only when `internal`.
    """
    shown = visible_messages(ticket_id, internal=internal).select(Message.id)
    return Attachment.select().where(
        Attachment.ticket_id == ticket_id,
        Attachment.state.in_(VISIBLE_STATES),
        Attachment.message_id.is_null() | Attachment.message_id.in_(shown),
    )


def hangs_on_note(message_id: int | None) -> bool:
    """Whether a file that hangs on this message is for staff alone, whatever became of the message."""
    if message_id is None:
        return False
    note = Message.select().where(Message.id == message_id, Message.is_internal)
    return bool(note.exists())
