"""Closes tickets that are resolved, and that nobody has said anything more about."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sav.domain.caller import SYSTEM
from sav.domain.deadlines import is_quiet
from sav.domain.errors import NotFound
from sav.domain.occasion import Occasion
from sav.models.database import database, is_sqlite, retry_deadlocks
from sav.models.fields import UtcDateTimeField
from sav.operations.settle_ticket import close
from sav.operations.ticket_change import change_ticket

TICKETS_A_RUN = 500
"""How many tickets one call closes at most, so that a lease suffices and others have their turn."""
REASON = "resolved_and_quiet"


def close_quiet_tickets(*, quiet_for: timedelta, clock: Callable[[], datetime]) -> bool:
    """Closes what has been quiet for so long, the longest first, each in a transaction of its own.

    Returns False when there may be more. What a broken-off run has closed is closed; the next goes on.
    """
    ticket_ids = _quiet(clock() - quiet_for)
    for ticket_id in ticket_ids:
        _close(ticket_id, quiet_for, clock())
    return len(ticket_ids) < TICKETS_A_RUN


def _quiet(cutoff: datetime) -> Sequence[int]:
    # In SQL, because the index has to be named: by itself the server may walk all that is old.
    mark, index = ("?", "INDEXED BY support_tickets_") if is_sqlite() else ("%s", "FORCE INDEX (")
    index += "status_updated" if is_sqlite() else "status_updated)"
    rows = database.execute_sql(
        f"SELECT id FROM support_tickets {index} "  # noqa: S608 - no input
        f"WHERE status = 'resolved' AND updated_at <= {mark} AND deleted_at IS NULL "
        f"ORDER BY updated_at, id LIMIT {TICKETS_A_RUN:d}",
        (UtcDateTimeField().db_value(cutoff),),
    )
    return [int(ticket_id) for (ticket_id,) in rows.fetchall()]


@retry_deadlocks
def _close(ticket_id: int, quiet_for: timedelta, now: datetime) -> None:
    try:
        with change_ticket(ticket_id, occasion=Occasion(SYSTEM, now)) as change:
            ticket = change.ticket
            # Somebody may have written, or closed it, since we looked: then it is not ours to close.
            if is_quiet(status=ticket.status, updated_at=ticket.updated_at, quiet_for=quiet_for, now=now):
                close(change, reason=REASON)
    except NotFound:
        # It was deleted at this very moment.
        return
