"""Gives a ticket to an agent, or back to nobody."""

from collections.abc import Collection

from sav.domain.errors import FieldError, Invalid
from sav.domain.events import TicketAssigned, TicketStatusChanged
from sav.domain.occasion import Occasion
from sav.models.database import retry_deadlocks
from sav.models.tables import Agent, Ticket
from sav.operations.ticket_change import TicketChange, change_ticket


class NotAnActiveAgent(Invalid):
    """Tickets can be given to active agents of the roster only."""

    code = "not_an_active_agent"

    def __init__(self) -> None:
        problem = FieldError("agent_id", self.code, self.public_sentence())
        super().__init__(fields=[problem])


@retry_deadlocks
def assign_ticket(
    *, occasion: Occasion, ticket_id: int, agent_id: int, expected_versions: Collection[int] | None = None
) -> Ticket:
    """Gives a ticket to an active agent; the same agent again changes nothing. Returns the ticket."""
    with change_ticket(ticket_id, occasion=occasion, expected_versions=expected_versions) as change:
        change.require("assign")
        give_to_agent(change, agent_id, reason="manual")
    return change.ticket


def give_to_agent(change: TicketChange, agent_id: int, *, reason: str) -> None:
    """Moves the ticket to an active agent of the roster; raises `NotAnActiveAgent`."""
    agent: Agent | None = Agent.get_or_none(Agent.user_id == agent_id)
    if agent is None or not agent.active:
        raise NotAnActiveAgent
    if change.ticket.assigned_to == agent_id and change.ticket.status not in ("resolved", "closed"):
        return
    take(change, agent_id, reason=reason)
    Agent.update(last_assigned_at=change.occasion.now).where(Agent.user_id == agent_id).execute()


def take(change: TicketChange, user_id: int, *, reason: str) -> None:
    """Assigns without asking the roster: an admin who resolves an open ticket takes it too."""
    previous = change.ticket.assigned_to
    change.move("assign")
    change.set(assigned_to=user_id)
    change.record(
        TicketAssigned(
            agent_id=user_id,
            previous_agent_id=previous,
            assigned_by=change.occasion.caller.user_id or "auto",
            reason=reason,
        )
    )


def unassign(change: TicketChange) -> None:
    """Puts the ticket back among the open ones."""
    change.move("unassign")
    change.set(assigned_to=None)
    change.record(TicketStatusChanged())
