"""By when somebody has to have done something, and what ends the waiting."""

from datetime import datetime, timedelta

from sav.domain.ticket_lifecycle import SETTLED, Priority, Status


def waiting_since(*, priority: Priority, now: datetime) -> datetime | None:
    """Since when a ticket waits for its answer that has, at this moment, been given this priority.

    Only urgent ones wait for one by a deadline; any other priority ends the waiting. It ends, too, with a
    public word of the staff, with the escalation, and with the closing.
    """
    return now if priority == "urgent" else None


def escalates_at(*, status: Status, unanswered_since: datetime | None, timeout: timedelta) -> datetime | None:
    """When a ticket escalates; None when nothing is waited for, or while it is resolved."""
    if unanswered_since is None or status in SETTLED:
        return None
    return unanswered_since + timeout


def is_quiet(*, status: Status, updated_at: datetime, quiet_for: timedelta, now: datetime) -> bool:
    """Whether a resolved ticket can be closed: its customer saw nothing happen to it for so long."""
    return status == "resolved" and updated_at <= now - quiet_for
