"""Which side effects each fact owes. A fact without any still has its line, so that nobody forgets one."""

from sav.domain import events
from sav.domain.effects import PUBLISH_EVENT

SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    events.TicketCreated.name: (PUBLISH_EVENT,),
    events.TicketAssigned.name: (PUBLISH_EVENT,),
    events.TicketResolved.name: (PUBLISH_EVENT,),
    events.TicketClosed.name: (PUBLISH_EVENT,),
    events.MessageAdded.name: (PUBLISH_EVENT,),
    events.TicketEscalated.name: (PUBLISH_EVENT,),
    events.SatisfactionReceived.name: (PUBLISH_EVENT,),
    events.TicketUpdated.name: (),
    events.TicketStatusChanged.name: (),
    events.TicketReopened.name: (),
    events.TicketDeleted.name: (),
    events.NoteAdded.name: (),
    events.MessageEdited.name: (),
    events.MessageDeleted.name: (),
}
