"""Changes a ticket's fields, and its status by name; deletes a ticket."""

from collections.abc import Collection, Mapping
from typing import Any

from sav.domain.deadlines import waiting_since
from sav.domain.events import TicketDeleted, TicketStatusChanged, TicketUpdated
from sav.domain.occasion import Occasion
from sav.domain.permissions import TicketAction, require_priority
from sav.domain.ticket_lifecycle import ACTION_FOR_STATUS, Priority, Status
from sav.models.database import retry_deadlocks
from sav.models.tables import Ticket, TicketTag
from sav.operations.assign_ticket import NotAnActiveAgent, give_to_agent, unassign
from sav.operations.open_ticket import add_tags
from sav.operations.settle_ticket import close, resolve
from sav.operations.ticket_change import TicketChange, change_ticket

_PERMISSION_FOR_FIELD: Mapping[str, TicketAction] = {
    "subject": "edit",
    "description": "edit",
    "category": "edit",
    "tags": "edit",
    "priority": "set_priority",
    "status": "change_status",
    "internal_notes": "edit_staff_fields",
    "metadata": "edit_staff_fields",
}


@retry_deadlocks
def edit_ticket(
    *,
    occasion: Occasion,
    ticket_id: int,
    fields: Mapping[str, Any],
    customer_maximum_priority: Priority,
    expected_versions: Collection[int] | None = None,
) -> Ticket:
    """Changes just the given fields (the keys of `_PERMISSION_FOR_FIELD`); all of them or none."""
    with change_ticket(ticket_id, occasion=occasion, expected_versions=expected_versions) as change:
        for name in fields:
            change.require(_PERMISSION_FOR_FIELD[name])
        if "priority" in fields:
            require_priority(occasion.caller, fields["priority"], customer_maximum=customer_maximum_priority)
        _edit_fields(change, {name: value for name, value in fields.items() if name != "status"})
        if "status" in fields:
            _change_status(change, fields["status"])
    return change.ticket


@retry_deadlocks
def delete_ticket(
    *, occasion: Occasion, ticket_id: int, expected_versions: Collection[int] | None = None
) -> None:
    """Deletes a ticket from everybody's sight; its rows and its history remain."""
    with change_ticket(ticket_id, occasion=occasion, expected_versions=expected_versions) as change:
        change.require("delete")
        change.set(deleted_at=occasion.now)
        change.ticket.unanswered_since = None
        change.record(TicketDeleted())


def _edit_fields(change: TicketChange, fields: Mapping[str, Any]) -> None:
    _begin_or_end_waiting(change, fields.get("priority", change.ticket.priority))
    if not change.set(**fields):
        return
    change.record(TicketUpdated())
    if "tags" in fields:
        TicketTag.delete().where(TicketTag.ticket_id == change.ticket.id).execute()
        add_tags(change.ticket.id, fields["tags"])


def _begin_or_end_waiting(change: TicketChange, priority: Priority) -> None:
    ticket = change.ticket
    if priority != ticket.priority and ticket.status != "closed":
        ticket.unanswered_since = waiting_since(priority=priority, now=change.occasion.now)


def _change_status(change: TicketChange, status: Status) -> None:
    match ACTION_FOR_STATUS[status]:
        case "unassign":
            unassign(change)
        case "assign":
            # Nobody was named: whoever has the ticket keeps it, else the caller takes it.
            agent_id = change.ticket.assigned_to or change.occasion.caller.user_id
            if agent_id is None:
                raise NotAnActiveAgent
            give_to_agent(change, agent_id, reason="manual")
        case "resolve":
            resolve(change, resolution=None)
        case "close":
            close(change, reason=None)
        case action:
            change.move(action)
            change.record(TicketStatusChanged())
