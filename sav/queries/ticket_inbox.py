"""Lists of tickets: what a caller may see, filtered, in an order that an index serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any, Literal

import peewee

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden
from sav.domain.ticket_lifecycle import Priority, Source, Status
from sav.models.tables import Ticket, TicketTag
from sav.queries.pages import Page, PageRequest, decode_cursor, encode_cursor
from sav.queries.ticket_search import matches

Order = Literal["-created_at", "created_at", "-updated_at", "updated_at", "-priority"]

_SORT_FIELDS: dict[Order, tuple[peewee.Field, type]] = {
    "-created_at": (Ticket.created_at, datetime),
    "created_at": (Ticket.created_at, datetime),
    "-updated_at": (Ticket.updated_at, datetime),
    "updated_at": (Ticket.updated_at, datetime),
    "-priority": (Ticket.priority_rank, int),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFilter:
    """Each tuple means "one of these"; empty tuples and None mean "any"."""

    status: Sequence[Status] = ()
    priority: Sequence[Priority] = ()
    category: Sequence[str] = ()
    source: Sequence[Source] = ()
    tag: Sequence[str] = ()
    assigned_to: int | Literal["none"] | None = None
    user_id: int | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    text: str | None = None


def list_tickets(*, caller: Caller, wanted: TicketFilter, order: Order, page: PageRequest) -> Page[Ticket]:
    """One page of the tickets in the caller's sight; raises `InvalidCursor`."""
    conditions = [Ticket.deleted_at.is_null(), *_conditions(wanted)]
    # An agent sees two sets of tickets that do not overlap. Each is read by its own index, because
    # OR over both would be read by none.
    sights = [reduce(and_, [sight, *conditions]) for sight in _sights(caller)]
    rows = list(_rows(sights, order, page))
    total = sum(Ticket.select().where(sight).count() for sight in sights) if page.include_total else None
    more, rows = len(rows) > page.per_page, rows[: page.per_page]
    return Page(rows, page.per_page, _cursor_behind(rows[-1], order) if more else None, total)


def _sights(caller: Caller) -> list[Any]:
    match caller.role:
        case "admin" | "system":
            return [Ticket.id > 0]
        case "agent":
            return [
                Ticket.status == "open",
                (Ticket.assigned_to == caller.user_id) & (Ticket.status != "open"),
            ]
        case "customer":
            return [Ticket.user_id == caller.user_id]
        case "guest":
            # A guest knows one ticket by its number, and finds no others.
            raise Forbidden


def _conditions(wanted: TicketFilter) -> list[Any]:
    conditions: list[Any] = [
        field.in_(list(values))
        for field, values in (
            (Ticket.status, wanted.status),
            (Ticket.priority, wanted.priority),
            (Ticket.category, wanted.category),
            (Ticket.source, wanted.source),
        )
        if values
    ]
    if wanted.tag:
        tagged = TicketTag.select(TicketTag.ticket_id).where(TicketTag.tag.in_(list(wanted.tag)))
        conditions.append(Ticket.id.in_(tagged))
    if wanted.assigned_to == "none":
        conditions.append(Ticket.assigned_to.is_null())
    elif wanted.assigned_to is not None:
        conditions.append(Ticket.assigned_to == wanted.assigned_to)
    if wanted.user_id is not None:
        conditions.append(Ticket.user_id == wanted.user_id)
    if wanted.created_from is not None:
        conditions.append(Ticket.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(Ticket.created_at <= wanted.created_to)
    if wanted.updated_from is not None:
        conditions.append(Ticket.updated_at >= wanted.updated_from)
    if wanted.text:
        conditions.append(matches(wanted.text))
    return conditions


def _rows(sights: Sequence[Any], order: Order, page: PageRequest) -> Any:
    field, key_type = _SORT_FIELDS[order]
    if page.cursor:
        behind = _behind(field, order, decode_cursor(page.cursor, order=order, of_type=key_type))
        sights = [sight & behind for sight in sights]
    # One row more than asked for tells whether there is a next page.
    reach = page.offset + page.per_page + 1
    parts = [
        Ticket.select(Ticket.id, field.alias("sort_key"))
        .where(sight)
        .order_by(*_order_by(field, order))
        .limit(reach)
        for sight in sights
    ]
    chosen = reduce(
        lambda left, right: left.union_all(right), [_derived(part, i) for i, part in enumerate(parts)]
    )
    chosen = chosen.order_by(*_order_by(peewee.SQL("sort_key"), order, row_id=peewee.SQL("id")))
    chosen = chosen.limit(page.per_page + 1).offset(page.offset).alias("chosen")
    # Only the chosen rows are read in full, not all that were passed over.
    return (
        Ticket.select(Ticket).join(chosen, on=(Ticket.id == chosen.c.id)).order_by(*_order_by(field, order))
    )


def _derived(part: Any, number: int) -> Any:
    # SQLite takes no LIMIT inside a UNION, unless it stands in a table of its own.
    table = part.alias(f"part{number}")
    return Ticket.select(table.c.id, table.c.sort_key).from_(table)


def _order_by(field: Any, order: Order, *, row_id: Any = Ticket.id) -> tuple[Any, Any]:
    if order.startswith("-"):
        return field.desc(), row_id.desc()
    return field.asc(), row_id.asc()


def _behind(field: Any, order: Order, position: tuple[Any, int]) -> Any:
    key, row_id = position
    if order.startswith("-"):
        return (field < key) | ((field == key) & (Ticket.id < row_id))
    return (field > key) | ((field == key) & (Ticket.id > row_id))


def _cursor_behind(ticket: Ticket, order: Order) -> str:
    field, _ = _SORT_FIELDS[order]
    return encode_cursor(order, getattr(ticket, field.name), ticket.id)
