"""Tries lists with every few filters at once, in every order, and shows those that read the most rows.

    python -m benchmarks.worst_lists mysql://…/desk_1m --filters 3 --most 5000

Rows are what the storage engine hands over (`benchmarks.explain.rows_read`); what a first call spends on
looking whether a filter leaves few rows is left out, as it is in most calls.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from typing import Any, get_args

import click

from benchmarks.explain import ADMIN, AGENT, BUSY, open_seeded, rows_read
from benchmarks.seed import AGENTS, RARE_CATEGORY, RARE_TAG
from sav.domain.caller import Caller
from sav.models.database import connection
from sav.models.tables import Ticket
from sav.queries.pages import PageRequest
from sav.queries.statement_limit import SearchTooSlow
from sav.queries.ticket_inbox import Order, TicketFilter, list_tickets
from tests.servers.addresses import Address

CALLERS = {"admin": ADMIN, "agent": AGENT, "busy customer": BUSY}
List = tuple[str, Caller, dict[str, Any], Order]


def filters(newest: datetime) -> dict[str, list[dict[str, Any]]]:
    """Values of each filter: rare and common ones, and spans at either end and in the middle."""
    day = timedelta(days=1)
    return {
        "status": [{"status": v} for v in (["open"], ["waiting_customer"], ["closed"], ["open", "closed"])],
        "priority": [{"priority": [value]} for value in ("urgent", "low")],
        "category": [{"category": [value]} for value in (RARE_CATEGORY, "account", "order")],
        "source": [{"source": [value]} for value in ("chat", "phone", "web")],
        "tag": [{"tag": [value]} for value in (RARE_TAG, "b2b", "refund")],
        "assigned_to": [{"assigned_to": value} for value in ("none", AGENTS[60])],
        "created": [
            {"created_from": newest - 300 * day, "created_to": newest - 299 * day},
            {"created_from": newest - 700 * day, "created_to": newest - 335 * day},
            {"created_to": newest - 365 * day},
            {"created_from": newest - 30 * day},
        ],
        "updated": [{"updated_from": newest - back * day} for back in (0.25, 90, 500)],
    }  # fmt: skip


def lists(newest: datetime, most_filters: int) -> Iterator[List]:
    """Every choice of so many filters or fewer, by every caller and in every order."""
    values = filters(newest)
    orders: Sequence[Order] = get_args(Order)
    for many in range(most_filters + 1):
        for names in combinations(values, many):
            for chosen in product(*(values[name] for name in names)):
                wanted = {key: value for part in chosen for key, value in part.items()}
                for (who, caller), order in product(CALLERS.items(), orders):
                    yield who, caller, wanted, order


def rows_of(read: List) -> int:
    """What the second call reads."""
    _, caller, wanted, order = read
    rows = 0
    for _ in range(2):
        before = rows_read()
        with suppress(SearchTooSlow):
            list_tickets(caller=caller, wanted=TicketFilter(**wanted), order=order, page=PageRequest())
        rows = rows_read() - before
    return rows


@click.command()
@click.argument("address")
@click.option("--filters", "most_filters", default=2, show_default=True, help="How many at once.")
@click.option("--sample", type=int, help="Only so many of the lists, by lot.")
@click.option("--text", help="A search in each of them.")
@click.option("--show", default=30, show_default=True)
def main(address: str, most_filters: int, sample: int | None, text: str | None, show: int) -> None:
    """Show the lists of a seeded database that read the most rows."""
    open_seeded(Address.parse(address))
    with connection():
        newest = Ticket.select().order_by(Ticket.id.desc()).first().created_at.astimezone(UTC)
        wanted = list(lists(newest, most_filters))
        if sample and sample < len(wanted):
            wanted = random.Random(1).sample(wanted, sample)  # noqa: S311
        found = []
        with click.progressbar(wanted, label=f"{len(wanted)} lists") as bar:
            for number, (who, caller, values, order) in enumerate(bar):
                values = values | ({"text": text} if text else {})
                found.append((rows_of((who, caller, values, order)), number, who, values, order))
    counts = sorted(rows for rows, *_ in found)
    places = ", ".join(
        f"{share:.0%} {counts[int(share * (len(counts) - 1))]:,}" for share in (0.5, 0.9, 0.99, 1)
    )
    click.echo(f"rows read: {places}")
    for rows, _, who, values, order in heapq.nlargest(show, found):
        click.echo(f"{rows:>9,}  {who}, {order}, {values}")


if __name__ == "__main__":
    main()
