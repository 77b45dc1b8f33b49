"""Which side effects each fact owes. A fact without any still has its line, so that nobody forgets one."""

from collections.abc import Callable, Mapping
from typing import Any

from sav.domain import events
from sav.domain.effects import (
    ASSIGN_TICKETS,
    ESCALATE_TICKET,
    NOTIFY,
    PUBLISH_EVENT,
    REMOVE_OBJECTS,
    SCAN_ATTACHMENT,
)
from sav.domain.ticket_lifecycle import SETTLED, WORKED_ON

SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    events.TicketCreated.name: (PUBLISH_EVENT, NOTIFY, ASSIGN_TICKETS, ESCALATE_TICKET),
    events.TicketAssigned.name: (PUBLISH_EVENT, NOTIFY, ASSIGN_TICKETS),
    events.TicketResolved.name: (PUBLISH_EVENT, NOTIFY, ASSIGN_TICKETS),
    events.TicketClosed.name: (PUBLISH_EVENT, NOTIFY, ASSIGN_TICKETS),
    events.MessageAdded.name: (PUBLISH_EVENT, NOTIFY),
    events.TicketEscalated.name: (PUBLISH_EVENT, NOTIFY),
    events.SatisfactionReceived.name: (PUBLISH_EVENT,),
    events.TicketUpdated.name: (ASSIGN_TICKETS, ESCALATE_TICKET),
    events.TicketStatusChanged.name: (ASSIGN_TICKETS,),
    events.TicketReopened.name: (ASSIGN_TICKETS, ESCALATE_TICKET),
    events.TicketDeleted.name: (ASSIGN_TICKETS,),
    # What is still to do is found: open tickets by the sweep of each minute, urgent ones by the watch.
    events.TicketImported.name: (),
    events.NoteAdded.name: (),
    events.MessageEdited.name: (),
    events.MessageDeleted.name: (),
    events.AttachmentAdded.name: (),
    events.AttachmentQuarantined.name: (SCAN_ATTACHMENT,),
    events.AttachmentPassed.name: (),
    events.AttachmentRefused.name: (REMOVE_OBJECTS, NOTIFY),
    events.AttachmentDeleted.name: (REMOVE_OBJECTS,),
    events.AttachmentLost.name: (),
    # Its objects, when it has any, are owed by themselves.
    events.TicketErased.name: (),
}

Changes = Mapping[str, Mapping[str, Any]]
"""From and to of every field that came with a fact."""


def owed_effects(fact: events.Fact, changes: Changes) -> tuple[str, ...]:
    """What this very fact owes: its line, without the effects that have nothing to do because of it."""
    return tuple(
        effect
        for effect in SUBSCRIPTIONS[fact.name]
        if effect not in _ONLY_WHEN or _ONLY_WHEN[effect](fact, changes)
    )


def makes_work_or_room(fact: events.Fact, changes: Changes) -> bool:
    """Whether a ticket may be waiting now that was not before, or an agent have room who had none."""
    if isinstance(fact, (events.TicketCreated, events.TicketDeleted)):
        return True
    status = changes.get("status", {})
    is_open_again = status.get("to") == "open"
    is_out_of_hand = status.get("from") in WORKED_ON and status.get("to") in SETTLED
    has_left_somebody = changes.get("assigned_to", {}).get("from") is not None
    # In another category it may be somebody's who was not asked before.
    return is_open_again or is_out_of_hand or has_left_somebody or "category" in changes


def begins_a_deadline(fact: events.Fact, changes: Changes) -> bool:
    """Whether an answer may be waited for from now on, by a deadline."""
    if isinstance(fact, events.TicketCreated):
        return fact.priority == "urgent"
    # A ticket that was resolved without an answer, and comes back, waits anew.
    return isinstance(fact, events.TicketReopened) or changes.get("priority", {}).get("to") == "urgent"


_ONLY_WHEN: Mapping[str, Callable[[events.Fact, Changes], bool]] = {
    ASSIGN_TICKETS: makes_work_or_room,
    ESCALATE_TICKET: begins_a_deadline,
}
