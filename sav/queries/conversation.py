"""A ticket's messages, its history, and what a reader has not read."""

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden, NotFound
from sav.domain.permissions import sees_internal
from sav.models.message_sight import unread_messages, visible_messages
from sav.models.tables import Event, Message
from sav.queries.pages import Page, PageRequest, page_by_key
from sav.queries.ticket_detail import require_sight


def list_messages(*, caller: Caller, ticket_id: int, page: PageRequest) -> Page[Message]:
    """One page of the thread, oldest first."""
    require_sight(caller, ticket_id)
    query = visible_messages(ticket_id, internal=sees_internal(caller))
    return page_by_key(query, Message.id, page)


def one_message(*, caller: Caller, ticket_id: int, message_id: int) -> Message:
    """A message that the caller may see; raises `NotFound`."""
    require_sight(caller, ticket_id)
    visible = visible_messages(ticket_id, internal=sees_internal(caller))
    message: Message | None = visible.where(Message.id == message_id).first()
    if message is None:
        raise NotFound
    return message


def unread_count(*, caller: Caller, ticket_id: int) -> int:
    """How many messages of others, visible to the caller, they have not read."""
    require_sight(caller, ticket_id)
    unread = unread_messages(ticket_id, reader_id=caller.user_id, internal=sees_internal(caller))
    return int(unread.count())


def list_history(*, caller: Caller, ticket_id: int, page: PageRequest) -> Page[Event]:
    """One page of everything that happened to a ticket, oldest first; for staff."""
    require_sight(caller, ticket_id)
    if not caller.is_staff:
        raise Forbidden
    query = Event.select().where(Event.ticket_id == ticket_id)
    return page_by_key(query, Event.sequence, page)
