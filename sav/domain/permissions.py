"""What a caller may see and do. Denied unless a rule here says yes.

Two questions are kept apart, because they have different answers for a stranger: *sight* (no: the ticket
does not exist for you, 404) and *permission* (no: your role may not, 403).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sav.domain.caller import Caller, Role
from sav.domain.errors import Conflict, Forbidden
from sav.domain.ticket_lifecycle import PRIORITIES, Priority, Status

TicketAction = Literal[
    "edit", "change_status", "edit_staff_fields", "set_priority", "assign", "resolve", "close", "delete",
    "reply", "write_note", "attach", "rate", "read_history",
]  # fmt: skip

MESSAGE_EDIT_WINDOW = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What the rules need to know of a ticket."""

    user_id: int | None
    assigned_to: int | None
    status: Status
    ticket_id: int | None = None
    """Which ticket it is; only a guest's sight depends on it, and without it a guest sees nothing."""


class PriorityAboveLimit(Forbidden):
    """Customers may not ask for a priority this high."""

    code = "priority_above_limit"


class NotYourMessage(Forbidden):
    """Only its author, or an admin, may change or delete a message."""

    code = "not_your_message"


class NotYourAttachment(Forbidden):
    """Only whoever attached it, or an admin, may delete an attachment."""

    code = "not_your_attachment"


class EditWindowClosed(Conflict):
    """A message can be changed or deleted by its author for 15 minutes only."""

    code = "edit_window_closed"


class TicketNoLongerEditable(Conflict):
    """A ticket that is resolved or closed can no longer be changed by its owner."""

    code = "ticket_not_editable"


class TicketNoLongerDeletable(Conflict):
    """A ticket can be deleted by its owner only while it is open."""

    code = "ticket_not_deletable"


def owns(caller: Caller, ticket: TicketFacts) -> bool:
    return caller.user_id is not None and caller.user_id == ticket.user_id


def holds_token(caller: Caller, ticket: TicketFacts) -> bool:
    """Whether the caller is the guest of this ticket, and the ticket is still a guest's."""
    has_shown_it = caller.ticket_id is not None and caller.ticket_id == ticket.ticket_id
    return caller.role == "guest" and has_shown_it and ticket.user_id is None


def may_see(caller: Caller, ticket: TicketFacts) -> bool:
    """Sight: a customer sees their own, an agent theirs and every open one, an admin all, a guest one."""
    match caller.role:
        case "admin" | "system":
            return True
        case "agent":
            return ticket.status == "open" or ticket.assigned_to == caller.user_id
        case "customer":
            return owns(caller, ticket)
        case "guest":
            return holds_token(caller, ticket)


def sees_internal(caller: Caller) -> bool:
    """Internal notes, `internal_notes` and internal attachments are for staff, without exception."""
    return caller.is_staff or caller.role == "system"


def require(caller: Caller, action: TicketAction, ticket: TicketFacts) -> None:
    """Raises `Forbidden` (the role may not) or a `Conflict` (not in this state).

    The caller must already have been found to see the ticket (`may_see`).
    """
    if caller.role == "system":
        return
    if action not in _ACTIONS_OF.get(caller.role, ()):
        raise Forbidden
    if action == "rate" and not owns(caller, ticket) and not holds_token(caller, ticket):
        raise Forbidden
    if action == "delete":
        _require_delete(caller, ticket)
    if action == "edit" and not caller.is_staff and ticket.status in ("resolved", "closed"):
        raise TicketNoLongerEditable


_OWNER_ACTIONS: Collection[TicketAction] = frozenset(
    {"edit", "set_priority", "close", "delete", "reply", "attach", "rate"}
)
_STAFF_ACTIONS: Collection[TicketAction] = frozenset(
    {
        "edit", "set_priority", "close", "delete", "reply", "attach", "rate",
        "change_status", "edit_staff_fields", "assign", "resolve", "write_note", "read_history",
    }
)  # fmt: skip
_GUEST_ACTIONS: Collection[TicketAction] = frozenset({"reply", "attach", "rate"})
_ACTIONS_OF: Mapping[Role, Collection[TicketAction]] = {
    "customer": _OWNER_ACTIONS,
    "agent": _STAFF_ACTIONS,
    "admin": _STAFF_ACTIONS,
    "guest": _GUEST_ACTIONS,
}


def _require_delete(caller: Caller, ticket: TicketFacts) -> None:
    if caller.role == "agent":
        raise Forbidden
    if caller.role == "customer" and ticket.status != "open":
        raise TicketNoLongerDeletable


def require_priority(caller: Caller, priority: Priority, *, customer_maximum: Priority) -> None:
    """Customers choose a priority up to the desk's limit; raises `PriorityAboveLimit`."""
    if caller.is_staff or caller.role == "system":
        return
    if PRIORITIES.index(priority) > PRIORITIES.index(customer_maximum):
        raise PriorityAboveLimit(f"Customers may ask for a priority up to {customer_maximum}.")


def require_message_change(
    caller: Caller, *, author_id: int | None, written_at: datetime, now: datetime
) -> None:
    """A message is changed or deleted by its author within 15 minutes, or by an admin at any time."""
    if caller.role == "admin":
        return
    if author_id is None or author_id != caller.user_id:
        raise NotYourMessage
    if now - written_at > MESSAGE_EDIT_WINDOW:
        raise EditWindowClosed


def require_attachment_deletion(caller: Caller, *, uploader_id: int | None) -> None:
    """A file is deleted by whoever attached it, or by an admin; raises `NotYourAttachment`."""
    if caller.role in ("admin", "system"):
        return
    if uploader_id is None or uploader_id != caller.user_id:
        raise NotYourAttachment
