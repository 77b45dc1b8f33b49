"""How every write to an existing ticket goes: lock it, look at it, change it, record it, save it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import peewee

from sav.domain.errors import NotFound, StaleVersion
from sav.domain.events import Fact
from sav.domain.occasion import Occasion
from sav.domain.permissions import TicketAction, TicketFacts, may_see, require, sees_internal
from sav.domain.sight_slots import slots_of
from sav.domain.ticket_lifecycle import Action, next_status
from sav.models.database import for_update, transaction
from sav.models.prepared import Prepared, given, update_changed
from sav.models.sight_counters import advance_counters
from sav.models.tables import Message, Ticket
from sav.operations.event_log import Entry, Recorded, append_entries, number_events


def ticket_facts(ticket: Ticket) -> TicketFacts:
    """What the rules of permission ask about a ticket."""
    return TicketFacts(
        user_id=ticket.user_id, assigned_to=ticket.assigned_to, status=ticket.status, ticket_id=ticket.id
    )


def require_version(row: Ticket | Message, expected: Collection[int] | None, *, revision: str) -> None:
    """Honours If-Match: raises `StaleVersion` when the caller has seen none but other versions.

    `revision` is the row's, as this caller is told.
    """
    if expected is not None and row.version not in expected:
        raise StaleVersion(current_revision=revision)


class TicketChange:
    """The pending change of one locked ticket."""

    def __init__(self, ticket: Ticket, occasion: Occasion) -> None:
        self.ticket = ticket
        self.occasion = occasion
        self._before = ticket_facts(ticket)
        self._unrecorded: dict[str, dict[str, Any]] = {}
        self._recorded: list[Recorded] = []
        self._is_seen_by_all = False

    def require(self, action: TicketAction) -> None:
        """Raises `Forbidden`, or a `Conflict`, when the caller may not do this to the ticket."""
        require(self.occasion.caller, action, ticket_facts(self.ticket))

    def set(self, **fields: Any) -> bool:
        """Changes fields, and remembers from and to; returns whether anything is different now."""
        changed = {name: value for name, value in fields.items() if getattr(self.ticket, name) != value}
        for name, value in changed.items():
            first = self._unrecorded.get(name, {"from": _plain(getattr(self.ticket, name))})
            self._unrecorded[name] = {**first, "to": _plain(value)}
            setattr(self.ticket, name, value)
        return bool(changed)

    def note(self, name: str, *, before: Any, after: Any) -> None:
        """Remembers from and to of something that changed beside the ticket's own row."""
        self._unrecorded[name] = {"from": _plain(before), "to": _plain(after)}

    def move(self, action: Action) -> None:
        """Takes the ticket through the lifecycle's table; raises `InvalidTransition`."""
        has_assignee = self.ticket.assigned_to is not None
        self.set(status=next_status(status=self.ticket.status, action=action, has_assignee=has_assignee))

    def record(self, fact: Fact, *, internal: bool = False) -> None:
        """Records what happened, together with the fields that were set since the last record.

        What is `internal` is about a note alone: no customer may tell from the ticket that there was one.
        """
        self._recorded.append(Recorded(fact, self._unrecorded))
        self._unrecorded = {}
        self._is_seen_by_all |= not internal

    def entry(self) -> Entry | None:
        """Writes the ticket as it is now; returns what its log has yet to be told, if anything."""
        if not self._recorded:
            return None
        numbered = number_events(self.ticket, self._recorded)
        if self._is_seen_by_all:
            self.ticket.version += 1
            self.ticket.updated_at = self.occasion.now
        self.ticket.uncounted = True
        update_changed(self.ticket)
        # Whoever saw it, and whoever sees it now.
        advance_counters([*slots_of(self._before), *slots_of(ticket_facts(self.ticket))])
        return Entry(self.ticket, numbered, self.occasion)


def save_changes(changes: Iterable[TicketChange]) -> None:
    """Writes the tickets and their facts, in this order; nothing where nothing was recorded."""
    entries = [entry for change in changes if (entry := change.entry()) is not None]
    if entries:
        append_entries(entries)


@contextmanager
def change_ticket(
    ticket_id: int, *, occasion: Occasion, expected_versions: Collection[int] | None = None
) -> Iterator[TicketChange]:
    """One transaction around one ticket, whose row stays locked until the commit.

    Raises `NotFound` for a ticket that is absent or out of the caller's sight, and `StaleVersion` when
    `expected_versions` (from If-Match) is not the row's.
    """
    with transaction():
        change = TicketChange(locked_ticket(ticket_id, occasion=occasion), occasion)
        revision = change.ticket.revision(internal=sees_internal(occasion.caller))
        require_version(change.ticket, expected_versions, revision=revision)
        yield change
        save_changes([change])


def locked_ticket(ticket_id: int, *, occasion: Occasion) -> Ticket:
    """A ticket in the caller's sight, its row locked; raises `NotFound`."""
    return _seen(_LOCKED.first(ticket_id=ticket_id), occasion)


def locked_tickets(ticket_ids: Collection[int]) -> dict[int, Ticket]:
    """Those that are not deleted, in anybody's sight, by their ids: their rows are locked in that order."""
    return {ticket.id: ticket for ticket in _ALL_LOCKED.rows(ticket_ids=sorted(ticket_ids))}


def unlocked_ticket(ticket_id: int, *, occasion: Occasion) -> Ticket:
    """A ticket in the caller's sight, as it is at the moment; raises `NotFound`."""
    return _seen(_UNLOCKED.first(ticket_id=ticket_id), occasion)


def _one_ticket() -> peewee.ModelSelect[Ticket]:
    return Ticket.select().where(Ticket.id == given("ticket_id"), Ticket.deleted_at.is_null())


_UNLOCKED = Prepared(_one_ticket)
_LOCKED = Prepared(lambda: for_update(_one_ticket()))
_ALL_LOCKED = Prepared(
    lambda: for_update(
        Ticket.select()
        .where(Ticket.id.in_([given("ticket_ids")]), Ticket.deleted_at.is_null())
        .order_by(Ticket.id)
    )
)


def _seen(ticket: Ticket | None, occasion: Occasion) -> Ticket:
    if ticket is None or not may_see(occasion.caller, ticket_facts(ticket)):
        raise NotFound
    return ticket


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
