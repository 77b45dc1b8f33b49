"""The rules of waiting: who waits for an answer, until when, and what is quiet."""

from datetime import UTC, datetime, timedelta

import pytest

from sav.domain.deadlines import escalates_at, is_quiet, waiting_since
from sav.domain.events import Fact, TicketCreated, TicketReopened, TicketUpdated
from sav.domain.subscriptions import begins_a_deadline
from sav.domain.ticket_lifecycle import PRIORITIES, SETTLED, STATUSES, Priority, Status

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
TIMEOUT = timedelta(hours=2)


@pytest.mark.parametrize("priority", PRIORITIES)
def test_only_urgent_tickets_wait_by_a_deadline(priority: Priority) -> None:
    assert waiting_since(priority=priority, now=NOON) == (NOON if priority == "urgent" else None)


@pytest.mark.parametrize("status", STATUSES)
def test_a_deadline_rests_while_the_ticket_is_settled(status: Status) -> None:
    due_at = escalates_at(status=status, unanswered_since=NOON, timeout=TIMEOUT)
    assert due_at == (None if status in SETTLED else NOON + TIMEOUT)
    assert escalates_at(status=status, unanswered_since=None, timeout=TIMEOUT) is None


@pytest.mark.parametrize("status", STATUSES)
def test_only_what_is_resolved_becomes_quiet_and_at_its_very_instant(status: Status) -> None:
    week = timedelta(days=7)
    for late, expected in ((timedelta(), status == "resolved"), (-timedelta(microseconds=1), False)):
        quiet = is_quiet(status=status, updated_at=NOON, quiet_for=week, now=NOON + week + late)
        assert quiet == expected


@pytest.mark.parametrize(
    ("fact", "changes", "begins"),
    [
        (TicketCreated(subject="s", priority="urgent", category=None, source="web"), {}, True),
        (TicketCreated(subject="s", priority="high", category=None, source="web"), {}, False),
        (TicketUpdated(), {"priority": {"from": "low", "to": "urgent"}}, True),
        (TicketUpdated(), {"priority": {"from": "urgent", "to": "low"}}, False),
        (TicketUpdated(), {"subject": {"from": "a", "to": "b"}}, False),
        (TicketReopened(), {}, True),
    ],
)
def test_what_begins_a_deadline(fact: Fact, changes: dict[str, dict[str, str]], begins: bool) -> None:
    assert begins_a_deadline(fact, changes) == begins
