"""Resolves, closes and rates a ticket: what ends its work."""

from collections.abc import Collection

from sav.domain.errors import Conflict
from sav.domain.events import SatisfactionReceived, TicketClosed, TicketResolved
from sav.domain.occasion import Occasion
from sav.domain.ticket_lifecycle import SETTLED
from sav.models.database import retry_deadlocks
from sav.models.tables import Ticket
from sav.operations.assign_ticket import take
from sav.operations.ticket_change import TicketChange, change_ticket


class NotSettledYet(Conflict):
    """Only a ticket that is resolved or closed can be rated."""

    code = "ticket_not_settled"


class AlreadyRated(Conflict):
    """This ticket has been rated already."""

    code = "already_rated"


@retry_deadlocks
def resolve_ticket(
    *, occasion: Occasion, ticket_id: int, resolution: str, expected_versions: Collection[int] | None = None
) -> Ticket:
    """Marks a ticket as resolved; an open one is taken by whoever resolves it first."""
    with change_ticket(ticket_id, occasion=occasion, expected_versions=expected_versions) as change:
        change.require("resolve")
        resolve(change, resolution=resolution)
    return change.ticket


@retry_deadlocks
def close_ticket(
    *,
    occasion: Occasion,
    ticket_id: int,
    reason: str | None = None,
    expected_versions: Collection[int] | None = None,
) -> Ticket:
    """Closes a ticket, from any status but closed."""
    with change_ticket(ticket_id, occasion=occasion, expected_versions=expected_versions) as change:
        change.require("close")
        close(change, reason=reason)
    return change.ticket


@retry_deadlocks
def rate_ticket(
    *,
    occasion: Occasion,
    ticket_id: int,
    rating: int,
    comment: str | None = None,
    expected_versions: Collection[int] | None = None,
) -> Ticket:
    """Records the owner's satisfaction, 1 to 5, once; raises `NotSettledYet` or `AlreadyRated`."""
    with change_ticket(ticket_id, occasion=occasion, expected_versions=expected_versions) as change:
        change.require("rate")
        if change.ticket.status not in SETTLED:
            raise NotSettledYet
        if change.ticket.satisfaction_rating is not None:
            raise AlreadyRated
        change.set(satisfaction_rating=rating, satisfaction_comment=comment)
        change.record(SatisfactionReceived(rating=rating))
    return change.ticket


def resolve(change: TicketChange, *, resolution: str | None) -> None:
    """Takes the ticket when nobody has it, and resolves it: two facts then."""
    if change.ticket.status == "open" and change.occasion.caller.user_id is not None:
        take(change, change.occasion.caller.user_id, reason="resolved")
    change.move("resolve")
    change.set(resolved_at=change.occasion.now)
    if resolution is not None:
        change.set(resolution_notes=resolution)
    waited = change.occasion.now - change.ticket.created_at
    change.record(
        TicketResolved(
            agent_id=change.ticket.assigned_to, resolution_seconds=max(0, int(waited.total_seconds()))
        )
    )


def close(change: TicketChange, *, reason: str | None) -> None:
    """Closes the ticket for good."""
    change.move("close")
    change.set(closed_at=change.occasion.now)
    change.ticket.unanswered_since = None
    by_itself = change.occasion.caller.role == "system"
    change.record(
        TicketClosed(closed_by="auto" if by_itself else change.occasion.caller.user_id, reason=reason)
    )
