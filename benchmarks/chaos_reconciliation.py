"""Three accounts held against each other: what was acknowledged, what was written, what was published."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pymysql

from benchmarks.chaos_clients import Story
from tests.system.fleet import Delivery, Document, ExchangeListener
from tests.system.foreign import Tables

SHOWN = 5
"""How many examples of one kind of fault are named."""


@dataclass
class Reconciliation:
    """The numbers, and a sentence for each fault: none, when all is well."""

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def count(self, what: str, number: object) -> None:
        self.lines.append(f"{what + ':':<42}{number:>8}")

    def count_faults(self, what: str, found: Sequence[object]) -> None:
        """Something of which there must be none."""
        self.count(what, len(found))
        if found:
            self.faults.append(
                f"{what}: {', '.join(map(str, found[:SHOWN]))}{' …' if len(found) > SHOWN else ''}"
            )


@dataclass(frozen=True)
class _Tables:
    tickets: dict[int, Document]
    messages: dict[int, list[int]]
    events: dict[int, list[tuple[str, str]]]
    """Of each ticket, ids and names of what it has to publish, in order."""
    gaps: list[int]
    """Tickets whose log does not count 1, 2, 3, …"""
    owed: int
    received: Counter[str]


def settled_share(settings: Mapping[str, str], listener: ExchangeListener, *, foreign: int) -> float:
    """How much of what is to be published was published; 1 once that, the foreign events, and all that is
    owed are done."""
    with Tables(settings).connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM due_effects")
        owed = int(cursor.fetchone()[0])
        cursor.execute("SELECT COUNT(*) FROM ticket_events WHERE published_sequence IS NOT NULL")
        expected = int(cursor.fetchone()[0])
        cursor.execute("SELECT COUNT(*) FROM received_events")
        received = int(cursor.fetchone()[0])
    heard = len({delivery.event["id"] for delivery in listener.deliveries if _is_own(delivery)})
    if not owed and received >= foreign and heard >= expected:
        return 1.0
    return min(0.999, heard / max(1, expected))


def reconcile(
    settings: Mapping[str, str],
    deliveries: Sequence[Delivery],
    *,
    stories: Sequence[Story],
    foreign: Mapping[int, int],
) -> Reconciliation:
    """`foreign` says of each order how many copies of its event the broker has confirmed."""
    tables = _read(settings)
    result = Reconciliation()
    _reconcile_writes(result, tables, stories)
    _reconcile_events(result, tables, [delivery for delivery in deliveries if _is_own(delivery)], stories)
    _reconcile_foreign(result, tables, foreign)
    result.count_faults("effects still owed", ["due_effects"] * tables.owed)
    return result


def _reconcile_writes(result: Reconciliation, tables: _Tables, stories: Sequence[Story]) -> None:
    known = {story.ticket_id for story in stories}
    written = {ticket_id for ticket_id, row in tables.tickets.items() if row["subject"].startswith("Chaos ")}
    messages = [message for ticket_id in written for message in tables.messages.get(ticket_id, [])]
    result.count("writes acknowledged", sum(story.writes for story in stories))
    result.count("  tickets acknowledged / rows", f"{len(known)}/{len(written)}")
    result.count("  messages acknowledged / rows", f"{sum(len(s.messages) for s in stories)}/{len(messages)}")
    result.count_faults("  acknowledged tickets lost", sorted(known - written))
    result.count_faults("  tickets that nobody was told of", sorted(written - known))
    result.count_faults(
        "  conversations that differ",
        [s.ticket_id for s in stories if tables.messages.get(s.ticket_id, []) != s.messages],
    )
    result.count_faults(
        "  tickets in another state",
        [s.ticket_id for s in stories if not _is_as_told(s, tables.tickets.get(s.ticket_id))],
    )
    numbers = Counter(row["ticket_number"] for row in tables.tickets.values())
    result.count_faults("ticket numbers given twice", [name for name, times in numbers.items() if times > 1])


def _reconcile_events(
    result: Reconciliation, tables: _Tables, deliveries: Sequence[Delivery], stories: Sequence[Story]
) -> None:
    expected = {event_id for events in tables.events.values() for event_id, _ in events}
    bodies: dict[str, set[bytes]] = defaultdict(set)
    firsts: dict[int, list[Document]] = defaultdict(list)
    for delivery in deliveries:
        event = delivery.event
        if event["id"] not in bodies:
            firsts[delivery.ticket_id].append(event)
        bodies[event["id"]].add(delivery.body)
    result.count("events expected / received", f"{len(expected)}/{len(bodies)}")
    result.count("  received more than once", len(deliveries) - len(bodies))
    result.count_faults("  events lost", sorted(expected - bodies.keys()))
    result.count_faults("  events that nobody recorded", sorted(bodies.keys() - expected))
    result.count_faults(
        "  repeated with another content", [key for key, all_ in bodies.items() if len(all_) > 1]
    )
    result.count_faults(
        "  tickets with events out of order, or gaps",
        [
            ticket_id
            for ticket_id, events in firsts.items()
            if [event["sequence"] for event in events] != list(range(1, len(events) + 1))
            or [(event["id"], event["event"]) for event in events] != tables.events.get(ticket_id)
        ],
    )
    result.count_faults("  tickets whose log has gaps", tables.gaps)
    result.count_faults(
        "  tickets that tell another story",
        [s.ticket_id for s in stories if [event["event"] for event in firsts[s.ticket_id]] != s.events],
    )


def _reconcile_foreign(result: Reconciliation, tables: _Tables, foreign: Mapping[int, int]) -> None:
    handled: Counter[int] = Counter()
    extra = []
    for ticket_id, row in tables.tickets.items():
        order = row["metadata"].get("order_id")
        if order is not None:
            handled[order] += 1
            if tables.messages.get(ticket_id):
                extra.append(order)
    result.count("foreign events sent (copies)", f"{len(foreign)} ({sum(foreign.values())})")
    result.count("  handled", len(handled))
    result.count_faults("  effects missing", sorted(foreign.keys() - handled.keys()))
    twice = [order for order, times in handled.items() if times > 1]
    result.count_faults("  effects twice", sorted([*twice, *extra]))
    result.count_faults("  effects of nothing", sorted(handled.keys() - foreign.keys()))
    result.count_faults("  recorded twice", [key for key, times in tables.received.items() if times > 1])


def _is_as_told(story: Story, row: Document | None) -> bool:
    if row is None:
        return False
    told = (story.number, story.status, story.rating)
    return told == (row["ticket_number"], row["status"], row["satisfaction_rating"])


def _is_own(delivery: Delivery) -> bool:
    # The listener hears what other services publish to the exchange, too.
    return delivery.routing_key.startswith("ticket.")


def _read(settings: Mapping[str, str]) -> _Tables:
    with Tables(settings).connection() as connection:
        tickets = _rows(
            connection,
            "SELECT id, ticket_number, subject, status, satisfaction_rating, metadata FROM support_tickets",
        )
        messages: dict[int, list[int]] = defaultdict(list)
        for row in _rows(connection, "SELECT ticket_id, id FROM ticket_messages ORDER BY id"):
            messages[row["ticket_id"]].append(row["id"])
        events: dict[int, list[tuple[str, str]]] = defaultdict(list)
        places: dict[int, list[int]] = defaultdict(list)
        for row in _rows(
            connection,
            "SELECT ticket_id, sequence, published_sequence, event_id, name FROM ticket_events "
            "ORDER BY ticket_id, sequence",
        ):
            places[row["ticket_id"]].append(row["sequence"])
            if row["published_sequence"] is not None:
                events[row["ticket_id"]].append((row["event_id"], row["name"]))
        owed = _rows(connection, "SELECT COUNT(*) AS n FROM due_effects")[0]["n"]
        received = _rows(connection, "SELECT envelope FROM received_events")
    return _Tables(
        tickets={row["id"]: row | {"metadata": json.loads(row["metadata"])} for row in tickets},
        messages=messages,
        events=events,
        gaps=[ticket for ticket, found in places.items() if found != list(range(1, len(found) + 1))],
        owed=int(owed),
        received=Counter(json.loads(row["envelope"])["id"] for row in received),
    )


def _rows(connection: "pymysql.Connection[Any]", statement: str) -> list[Document]:
    with connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
