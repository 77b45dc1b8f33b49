"""Runs every kind of read on seeded databases and writes down how the servers went about it.

    python -m benchmarks.explain mysql://…/desk_10k mysql://…/desk_1m --output docs/queries.md

For each read: the statements it takes, the index of each table in them, the rows that the storage engine
handed over (the session's `Handler_read_*`), and the time it took. See `benchmarks.seed`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from peewee import DatabaseError

from benchmarks.seed import AGENTS, BUSY_CUSTOMERS, RARE_CATEGORY, RARE_TAG
from sav.domain.caller import Caller
from sav.domain.statistics import Span
from sav.models.database import connection, database, mysql_database
from sav.models.tables import Ticket
from sav.queries import conversation, ticket_detail
from sav.queries.pages import PageRequest, encode_cursor
from sav.queries.statement_limit import SearchTooSlow
from sav.queries.statistics import read_statistics
from sav.queries.ticket_inbox import Order, TicketFilter, list_tickets
from tests.servers.addresses import Address

ADMIN, AGENT = Caller(1, "admin"), Caller(AGENTS[60], "agent")
CUSTOMER, BUSY = Caller(1234, "customer"), Caller(BUSY_CUSTOMERS[0], "customer")

PREFACE = """# How the reads reach their rows

Written by `python -m benchmarks.explain` on databases from `benchmarks.seed`; the rules behind it are in
`sav/queries/ticket_roads.py` and `sav/queries/ticket_search.py`. "Rows" are those that the storage engine
handed over (`Handler_read_*` of the session, temporary tables included), the measure that does not depend
on the machine. Times are of one second call, in milliseconds, Python included; the heading has how many
processes fought for the two cores meanwhile, so they are hardly good for comparing.

"Keys" are those of a first call, statement by statement. It may look first whether a filter leaves few
rows; the answer is kept for five minutes. `PRIMARY` stands for the rows of the page, `search` for the
full-text index.

To draw it again (about ten minutes a server, and as long to seed a million tickets):

    python -m benchmarks.seed mysql://root@127.0.0.1:3306/desk_10k --tickets 10000
    python -m benchmarks.seed mysql://root@127.0.0.1:3306/desk_1m --tickets 1000000
    python -m benchmarks.explain mysql://root@127.0.0.1:3306/desk_10k mysql://root@127.0.0.1:3306/desk_1m \\
      --output docs/queries.md

`python -m benchmarks.worst_lists` looks for lists that read more than these: every two or three filters at
once.

What still grows with the desk: filters that are each common and rare together (all rows of the one that
leaves the fewest are looked at); tickets changed since some time and sorted by priority or from the oldest
on (the tickets of one month); the numbered pages up to the 10,000th row, of which index entries are read;
totals that the sums cannot tell (the index entries of one filter); the medians of statistics (the index
entries of one bucket of durations); a search for a word of some thousand tickets by a filter that leaves
few of these (a page of the table for each ticket that has the word). A search for signs, or for words of
one or two letters, by an admin is broken off after 4 s (`search_too_slow`).
"""


@dataclass(frozen=True)
class Read:
    """One kind of read, and how to do it."""

    name: str
    run: Callable[[], Any]


@dataclass(frozen=True)
class Measured:
    """What a read came to on one database."""

    keys: str
    statements: int
    rows: int
    milliseconds: float


def list_reads(newest: datetime, middle: str, middle_by_priority: str) -> Iterator[Read]:
    """All kinds of lists: every sight, filter and order, alone and in the combinations that hurt."""
    day = timedelta(days=1)

    def read(name: str, caller: Caller, order: Order = "-created_at", **wanted: Any) -> Read:
        page = PageRequest(
            cursor=wanted.pop("cursor", None),
            page=wanted.pop("page", 1),
            include_total=wanted.pop("include_total", False),
        )
        return Read(
            name,
            lambda: list_tickets(caller=caller, wanted=TicketFilter(**wanted), order=order, page=page),
        )

    orders: tuple[Order, ...] = ("-created_at", "created_at", "-updated_at", "updated_at", "-priority")
    for who, caller in (("admin", ADMIN), ("agent", AGENT), ("customer", CUSTOMER), ("busy customer", BUSY)):
        for order in orders:
            yield read(f"{who}, {order}", caller, order)
    for order in orders:
        yield read(f"admin, status=open, {order}", ADMIN, order, status=["open"])
        yield read(f"admin, three statuses, {order}", ADMIN, order, status=["open", "assigned", "closed"])
        yield read(f"admin, priority=urgent, {order}", ADMIN, order, priority=["urgent"])
        yield read(f"admin, a rare category, {order}", ADMIN, order, category=[RARE_CATEGORY])
        yield read(f"admin, a common category, {order}", ADMIN, order, category=["order"])
        yield read(f"admin, a category of nobody, {order}", ADMIN, order, category=["nothing"])
        yield read(f"admin, a rare source, {order}", ADMIN, order, source=["chat"])
        yield read(f"admin, a rare tag, {order}", ADMIN, order, tag=[RARE_TAG])
        yield read(f"admin, a common tag, {order}", ADMIN, order, tag=["vip"])
        yield read(f"admin, two tags, {order}", ADMIN, order, tag=["vip", "gift"])
        yield read(f"admin, assigned_to=none, {order}", ADMIN, order, assigned_to="none")
        yield read(f"admin, assigned_to=id, {order}", ADMIN, order, assigned_to=AGENTS[60])
        yield read(f"admin, user_id, {order}", ADMIN, order, user_id=BUSY_CUSTOMERS[1])
        yield read(
            f"admin, created on one day, {order}",
            ADMIN,
            order,
            created_from=newest - 300 * day,
            created_to=newest - 299 * day,
        )
        yield read(
            f"admin, created in one year, {order}",
            ADMIN,
            order,
            created_from=newest - 700 * day,
            created_to=newest - 335 * day,
        )
        yield read(f"admin, updated lately, {order}", ADMIN, order, updated_from=newest - day / 4)
        yield read(f"admin, updated in 90 days, {order}", ADMIN, order, updated_from=newest - 90 * day)
        yield read(
            f"admin, closed and created in one year, {order}",
            ADMIN,
            order,
            status=["closed"],
            created_from=newest - 700 * day,
            created_to=newest - 335 * day,
        )
        yield read(f"agent, status=assigned, {order}", AGENT, order, status=["assigned"])
        yield read(f"agent, status=closed, {order}", AGENT, order, status=["closed"])
        yield read(f"agent, priority=urgent, {order}", AGENT, order, priority=["urgent"])
        yield read(f"agent, assigned_to=me, {order}", AGENT, order, assigned_to=AGENTS[60])
        yield read(f"busy customer, status=open, {order}", BUSY, order, status=["open"])
        yield read(f"admin, open and urgent, {order}", ADMIN, order, status=["open"], priority=["urgent"])
        yield read(f"admin, open and unassigned, {order}", ADMIN, order, status=["open"], assigned_to="none")
        yield read(
            f"admin, closed, urgent, common tag, {order}",
            ADMIN,
            order,
            status=["closed"],
            priority=["urgent"],
            tag=["vip"],
        )
    yield read("admin, the middle by cursor", ADMIN, cursor=middle)
    yield read("admin, status=closed, the middle by cursor", ADMIN, cursor=middle, status=["closed"])
    yield read("admin, a common category, the middle by cursor", ADMIN, cursor=middle, category=["order"])
    yield read("admin, -priority, the middle by cursor", ADMIN, "-priority", cursor=middle_by_priority)
    yield read("agent, the middle by cursor", AGENT, cursor=middle)
    yield read("busy customer, the middle by cursor", BUSY, cursor=middle)
    yield read("admin, page 40", ADMIN, page=40)
    yield read("admin, page 400", ADMIN, page=400)
    yield read("admin, total", ADMIN, include_total=True)
    yield read("agent, total", AGENT, include_total=True)
    yield read("admin, status=closed, total", ADMIN, include_total=True, status=["closed"])
    yield read("admin, a common tag, total", ADMIN, include_total=True, tag=["vip"])
    yield read(
        "admin, created in one year, total",
        ADMIN,
        include_total=True,
        created_from=newest - 700 * day,
        created_to=newest - 335 * day,
    )


def search_reads() -> Iterator[Read]:
    """Words that are rare, in between and common, for every caller and in every order."""
    texts = {
        "a reference": "CMD-123456",
        "a rare word": "mélixion",
        "the beginning of a word": "zobr",
        "a word in between": "client",
        "a common word": "commande",
        "two common words": "commande colis",
        "common and rare": "commande mélixion",
        "nothing like it": "xyzzyx",
    }
    orders: tuple[Order, ...] = ("-created_at", "updated_at", "-priority")
    filters: tuple[tuple[str, dict[str, Any]], ...] = (
        ("", {}),
        (", status=open", {"status": ["open"]}),
        (", status=closed", {"status": ["closed"]}),
        (", a common tag", {"tag": ["vip"]}),
        (", a rare category", {"category": [RARE_CATEGORY]}),
    )
    for name, text in texts.items():
        for who, caller in (
            ("admin", ADMIN),
            ("agent", AGENT),
            ("customer", CUSTOMER),
            ("busy customer", BUSY),
        ):
            for order in orders:
                yield _search(f"{name}, {who}, {order}", caller, order, TicketFilter(text=text))
        for label, wanted in filters[1:]:
            yield _search(f"{name}, admin{label}", ADMIN, "-created_at", TicketFilter(text=text, **wanted))


def _search(name: str, caller: Caller, order: Order, wanted: TicketFilter) -> Read:
    return Read(name, lambda: list_tickets(caller=caller, wanted=wanted, order=order, page=PageRequest()))


def statistics_reads(newest: datetime) -> Iterator[Read]:
    """The numbers of a dashboard, of all time and of spans, in zones that are whole hours off, or not."""
    day = timedelta(days=1)
    spans = {
        "all time": Span(),
        "a year": Span(newest - 700 * day, newest - 335 * day),
        "30 days": Span(newest - 130 * day, newest - 100 * day),
    }
    for who, caller in (("admin", ADMIN), ("agent", AGENT), ("busy customer", BUSY)):
        for (name, span), zone in product(spans.items(), ("UTC", "Europe/Paris", "Asia/Kathmandu")):
            yield Read(
                f"statistics, {who}, {name}, {zone}",
                partial(read_statistics, caller=caller, span=span, zone=ZoneInfo(zone), now=newest),
            )


def ticket_reads(ticket_id: int, owner: int) -> Iterator[Read]:
    """What hangs on one ticket."""
    customer, page = Caller(owner, "customer"), PageRequest()
    yield Read("a ticket's revision", lambda: ticket_detail.visible_revision(ADMIN, ticket_id))
    yield Read("a ticket in full", lambda: ticket_detail.visible_detail(customer, ticket_id))
    for who, caller in (("admin", ADMIN), ("customer", customer)):
        yield Read(
            f"messages, {who}",
            lambda caller=caller: conversation.list_messages(caller=caller, ticket_id=ticket_id, page=page),
        )
        yield Read(
            f"unread count, {who}",
            lambda caller=caller: conversation.unread_count(caller=caller, ticket_id=ticket_id),
        )
    yield Read("history", lambda: conversation.list_history(caller=ADMIN, ticket_id=ticket_id, page=page))


class _Statements(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[tuple[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Peewee logs the statement and its parameters as a pair.
        if isinstance(record.msg, tuple):
            self.seen.append(record.msg)


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """The statements that are run inside the block."""
    logger, handler = logging.getLogger("peewee"), _Statements()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield handler.seen
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.INFO)


def rows_read() -> int:
    """What the storage engine has handed over in this session."""
    found = database.execute_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").fetchall()
    # Temporary tables are read by these too; the first page of an index does not count as a row.
    return sum(int(value) for name, value in found if name.lower() != "handler_read_retry")


def measure(read: Read) -> Measured:
    """Does it twice; the first time is what a cold process does."""
    with statements() as seen, suppress(SearchTooSlow):
        read.run()
    count, texts = len(seen), list(seen)
    before, started = rows_read(), time.perf_counter()
    with suppress(SearchTooSlow):
        read.run()
    milliseconds = (time.perf_counter() - started) * 1000
    # Asking costs rows itself: those of the table of counters.
    rows = rows_read() - before - _asking()
    return Measured(_keys(texts), count, max(rows, 0), milliseconds)


def _asking() -> int:
    before = rows_read()
    return rows_read() - before


def _one_by_one(seen: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Those that went together, taken apart again."""
    for together, parameters in seen:
        left = list(parameters or ())
        for statement in together.split(";"):
            many = statement.count("%s")
            yield statement, left[:many]
            left = left[many:]


def _keys(seen: Sequence[tuple[str, Any]]) -> str:
    """The keys of each statement, as the server's own EXPLAIN has them."""
    texts = []
    for statement, parameters in _one_by_one(seen):
        plain = statement.partition(" FOR ")[2] if statement.startswith("SET STATEMENT") else statement
        if not plain.startswith("SELECT") or "VERSION()" in plain:
            continue
        cursor = database.execute_sql("EXPLAIN " + plain, parameters)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        keys = [row["key"] for row in rows if row["key"] and not str(row["table"]).startswith("<")]
        scans = [
            f"ALL {row['table']}" for row in rows if row["type"] == "ALL" and "<" not in str(row["table"])
        ]
        text = " + ".join(dict.fromkeys(keys + scans)) or "-"
        if text not in texts:
            texts.append(text)
    return "; ".join(texts)


def open_seeded(address: Address) -> None:
    """Binds the models to a database that `benchmarks.seed` has filled."""
    from sav.queries.ticket_roads import forget_estimates

    forget_estimates()
    database.initialize(
        mysql_database(
            host=address.host,
            port=address.port,
            name=address.path,
            username=address.user,
            password=address.password,
            statement_timeout_seconds=600,
        )
    )


def measure_all(address: Address, only: str) -> dict[str, Measured]:
    """Every read on one database."""
    open_seeded(address)
    with connection():
        with suppress(DatabaseError):
            # MySQL draws trees by default; MariaDB knows nothing else than tables.
            database.execute_sql("SET SESSION explain_format = 'TRADITIONAL'")
        count = Ticket.select().count()
        middle = Ticket.select().where(Ticket.id >= count // 2).order_by(Ticket.id).first()
        owned = Ticket.select().where(Ticket.user_id.is_null(False), Ticket.deleted_at.is_null()).first()
        newest = Ticket.select().order_by(Ticket.id.desc()).first().created_at.astimezone(UTC)
        reads = [
            *list_reads(
                newest,
                encode_cursor("-created_at", middle.created_at, middle.id),
                encode_cursor("-priority", 2, middle.id),
            ),
            *search_reads(),
            *statistics_reads(newest),
            *ticket_reads(owned.id, owned.user_id),
        ]
        results = {}
        with click.progressbar([r for r in reads if only in r.name], label=address.path) as bar:
            for read in bar:
                results[read.name] = measure(read)
    return results


def table(results: Sequence[tuple[str, dict[str, Measured]]]) -> str:
    """One line a read: the keys on the last database, and each database's numbers."""
    head = "| read | keys | " + " | ".join(f"{name} tickets: rows | ms" for name, _ in results) + " |"
    lines = [head, "|---" * (2 + 2 * len(results)) + "|"]
    for name, last in results[-1][1].items():
        numbers = " | ".join(
            f"{part[name].rows:,} | {part[name].milliseconds:.1f}" for _, part in results if name in part
        )
        lines.append(f"| {name} | {last.keys} | {numbers} |")
    return "\n".join(lines)


@click.command()
@click.argument("addresses", nargs=-1, required=True)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of the screen.")
@click.option("--only", default="", help="Reads with this in their names.")
def main(addresses: Sequence[str], output: Path | None, only: str) -> None:
    """Measure every read on databases that were seeded; one table a server."""
    by_server: dict[str, list[tuple[str, dict[str, Measured]]]] = {}
    for text in addresses:
        address = Address.parse(text)
        results = measure_all(address, only)
        with connection():
            ((version,),) = database.execute_sql("SELECT VERSION()").fetchall()
            version = version if "MariaDB" in version else f"MySQL {version}"
            tickets = Ticket.select().count()
        by_server.setdefault(version, []).append((f"{tickets:,}", results))
    today = datetime.now(UTC).date()
    load = f"{os.cpu_count()} cores, load {os.getloadavg()[2]:.0f}"
    parts = [f"## {version}, {today}, {load}\n\n{table(results)}\n" for version, results in by_server.items()]
    text = "\n".join([PREFACE, *parts])
    if output:
        output.write_text(text)
    else:
        click.echo(text)


if __name__ == "__main__":
    main()
