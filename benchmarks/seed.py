"""Fills a database with tickets as a desk has them after two years.

    python -m benchmarks.seed mysql://root:secret@127.0.0.1:3306/desk --tickets 100000 --messages 10

The database is made, migrated and filled by bulk inserts; secondary indexes are built afterwards, as
the migrations build them. The same number of tickets is always the same tickets.
"""

import importlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import click

from benchmarks.vocabulary import Writer
from sav.domain.statistics import PER_DAY
from sav.models.database import connection, database, mysql_database, transaction
from sav.models.kept_sums import TURN
from sav.models.migrate import STATEMENT_TIMEOUT_SECONDS, migrate
from sav.operations.count_tickets import add_to_sums, take_turn
from tests.servers.addresses import Address
from tests.servers.belongings import create_database

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DESK_AGE_SECONDS = 2 * 365 * 86_400
ROWS_A_STATEMENT = 2_000
LAST_AGENT = 900_200
AGENTS = range(900_001, LAST_AGENT + 1)
CUSTOMERS = 200_000
BUSY_CUSTOMERS = range(1, 6)
"""Shops that resell: a ticket in 300 is of each of them."""
RARE_CATEGORY, RARE_TAG = "legal", "recall-2025"

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Share:
    """Values, and how often each of them comes."""

    values: Sequence[str | None]
    weights: Sequence[float]

    def stream(self, dice: random.Random, length: int) -> list[str | None]:
        return dice.choices(self.values, cum_weights=list(accumulate(self.weights)), k=length)


PRIORITY = Share(("low", "normal", "high", "urgent"), (15, 70, 12, 3))
SOURCE = Share(("web", "email", "phone", "chat"), (83, 12, 4.9, 0.1))
CATEGORY = Share(
    ("order", "product", "delivery", "invoice", "account", RARE_CATEGORY, None), (38, 25, 15, 7, 5, 0.05, 10)
)
TAG = Share(("vip", "refund", "warranty", "gift", "b2b", RARE_TAG), (30, 40, 15, 10, 5, 0.01))
# What is new is worked on; what is old is closed, but for what was forgotten.
NEW_STATUS = Share(
    ("open", "assigned", "in_progress", "waiting_customer", "resolved", "closed"), (15, 15, 15, 10, 20, 25)
)
OLD_STATUS = Share(
    ("open", "assigned", "in_progress", "waiting_customer", "resolved", "closed"),
    (0.02, 0.1, 0.1, 0.2, 5, 95),
)
NEW_SHARE = 0.02


def _time(at: datetime) -> str:
    return f"'{at:%Y-%m-%d %H:%M:%S.%f}'"


def _text(value: str | None) -> str:
    # Nothing here holds a quote: the vocabulary is words, and the rest is ours.
    return "NULL" if value is None else f"'{value}'"


def _customer(dice: random.Random) -> str:
    roll = dice.random()
    if roll < 0.03:
        return "NULL"
    if roll < 0.03 + len(BUSY_CUSTOMERS) / 300:
        return str(dice.choice(BUSY_CUSTOMERS))
    return str(BUSY_CUSTOMERS.stop + int(CUSTOMERS * dice.random()))


def ticket_rows(count: int, *, seed: int = 1) -> Iterator[tuple[str, list[str]]]:
    """For each ticket its row of values, and the rows of its tags, as SQL."""
    dice = random.Random(seed)  # noqa: S311
    write = Writer(dice)
    priorities, sources, categories = (share.stream(dice, 100_003) for share in (PRIORITY, SOURCE, CATEGORY))
    tags, news, olds = (share.stream(dice, 70_001) for share in (TAG, NEW_STATUS, OLD_STATUS))
    step = DESK_AGE_SECONDS / count
    for number in range(1, count + 1):
        roll = dice.random()
        created = FIRST_DAY + timedelta(seconds=(number + roll) * step, microseconds=int(roll * 1e6))
        changed = created + timedelta(seconds=dice.expovariate(1 / (4 * 86_400)))
        status = (news if number > count * (1 - NEW_SHARE) else olds)[dice.randrange(70_001)]
        assignee = "NULL" if status == "open" or roll < 0.02 else str(AGENTS[int(200 * dice.random() ** 1.5)])
        own_tags = {tags[dice.randrange(70_001)] for _ in range(int(roll * 10) - 6)}
        listed = ", ".join(f'"{tag}"' for tag in sorted(map(str, own_tags)))
        resolved = _time(changed) if status in ("resolved", "closed") else "NULL"
        answered = (
            "NULL" if assignee == "NULL" else _time(created + timedelta(seconds=number * 7_919 % 86_400))
        )
        yield (
            f"({number},'SEED-{number:08}',{_customer(dice)},{assignee},'{write.words(3, 8)}',"
            f"'{write.description()}','{status}',{_text(priorities[dice.randrange(100_003)])},"
            f"{_text(categories[dice.randrange(100_003)])},{_text(sources[dice.randrange(100_003)])},{resolved},"
            f"{_time(changed) if status == 'closed' else 'NULL'},'[{listed}]','{{}}',{_time(created)},"
            f"{_time(changed)},{_time(changed) if dice.random() < 0.005 else 'NULL'},{answered},0)",
            [f"({number},'{tag}')" for tag in own_tags],
        )


ANALYZED = "support_tickets, ticket_tags, ticket_messages, counted_tickets, desk_counts, wider_counts"
TICKET_COLUMNS = (
    "id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, "
    "resolved_at, closed_at, tags, metadata, created_at, updated_at, deleted_at, first_response_at, uncounted"
)


def fill(count: int, *, messages: int, progress: Progress) -> None:
    """Fills empty tables; needs a connection."""
    database.execute_sql("SET SESSION foreign_key_checks = 0, unique_checks = 0")
    rows = ticket_rows(count)
    for start in range(0, count, ROWS_A_STATEMENT):
        batch = [next(rows) for _ in range(min(ROWS_A_STATEMENT, count - start))]
        _insert("support_tickets", TICKET_COLUMNS, [ticket for ticket, _ in batch])
        _insert("ticket_tags", "ticket_id, tag", [tag for _, tags in batch for tag in tags])
        progress(len(batch))
    if messages:
        _fill_messages(count, messages, progress)
    _insert(
        "agents",
        "user_id, name, active, available, capacity, categories, created_at, updated_at",
        [f"({a},'Agent {a}',1,1,20,'[]',{_time(FIRST_DAY)},{_time(FIRST_DAY)})" for a in AGENTS],
    )
    database.execute_sql("SET SESSION foreign_key_checks = 1, unique_checks = 1")


def _fill_messages(tickets: int, a_ticket: int, progress: Progress) -> None:
    dice = random.Random(2)  # noqa: S311
    write = Writer(dice)
    batch_size = max(1, ROWS_A_STATEMENT // a_ticket)
    for start in range(1, tickets + 1, batch_size):
        numbers = range(start, min(start + batch_size, tickets + 1))
        rows = []
        for ticket in numbers:
            for turn in range(a_ticket):
                at = _time(FIRST_DAY + timedelta(seconds=ticket * 60 + turn))
                by_agent = turn % 2
                author = LAST_AGENT if by_agent else ticket
                role = "agent" if by_agent else "customer"
                rows.append(
                    f"({ticket},{author},'{role}','','','{write.words(10, 40)}',{turn % 5 == 3:d},{at},{at})"
                )
        _insert(
            "ticket_messages",
            "ticket_id, user_id, author_role, author_name, author_email, content, is_internal, created_at, "
            "updated_at",
            rows,
        )
        progress(len(numbers) * a_ticket)


def _insert(table: str, columns: str, rows: Sequence[str]) -> None:
    if rows:
        database.execute_sql(f"INSERT INTO {table} ({columns}) VALUES {','.join(rows)}")  # noqa: S608


COUNTED = (
    "INSERT INTO counted_tickets (ticket_id, status, priority, category, source, assigned_to, rating, "
    "escalated, reopened, created_at, resolved_at, closed_at, first_response_micros, resolution_micros) "
    "SELECT id, status, priority, category, source, assigned_to, satisfaction_rating, "
    "escalated_at IS NOT NULL, reopen_count > 0, created_at, resolved_at, closed_at, "
    "GREATEST(0, TIMESTAMPDIFF(MICROSECOND, created_at, first_response_at)), "
    "GREATEST(0, TIMESTAMPDIFF(MICROSECOND, created_at, resolved_at)) "
    "FROM support_tickets WHERE deleted_at IS NULL"
)
SUMS: dict[str, tuple[str, str, str, str]] = {
    # Of each kind: the label, the instant, the time that is summed up, and which tickets.
    "opened": ("''", "created_at", "0", "TRUE"),
    "status": ("status", "created_at", "0", "TRUE"),
    "priority": ("priority", "created_at", "0", "TRUE"),
    "category": ("COALESCE(category, '')", "created_at", "0", "TRUE"),
    "source": ("source", "created_at", "0", "TRUE"),
    "first_response": ("''", "created_at", "first_response_micros", "first_response_micros IS NOT NULL"),
    "resolution": ("''", "created_at", "resolution_micros", "resolution_micros IS NOT NULL"),
    "closed": ("''", "closed_at", "0", "closed_at IS NOT NULL"),
    "resolved": ("''", "resolved_at", "0", "resolved_at IS NOT NULL"),
    "resolved_by": ("assigned_to", "resolved_at", "0", "assigned_to IS NOT NULL AND resolved_at IS NOT NULL"),
    "load": ("assigned_to", "NULL", "0", "assigned_to IS NOT NULL AND status NOT IN ('resolved', 'closed')"),
}


def count() -> None:
    """What the job `metrics` would have made of these tickets by now: they count as nothing else."""
    database.execute_sql(COUNTED)
    for kind, (label, instant, micros, condition) in SUMS.items():
        minutes = 15 if kind in PER_DAY else 24 * 60
        slot = f"TIMESTAMPDIFF(MINUTE, '1970-01-01', {instant}) DIV {minutes} * {minutes // 15}"
        database.execute_sql(
            "INSERT INTO desk_counts (kind, slot, label, tickets, micros) "  # noqa: S608
            f"SELECT '{kind}', COALESCE({slot}, 0) AS slot, {label} AS label, COUNT(*), SUM({micros}) "
            f"FROM counted_tickets WHERE {condition} GROUP BY slot, label"
        )
    with transaction():
        # The other sums are made of these, as after an upgrade.
        add_to_sums({TURN: (1, 0)})
        take_turn()


def set_indexes_aside() -> list[str]:
    """Drops what the lists of tickets read; returns the statements that bring it back."""
    primary = {"PRIMARY", "ticket_number"}
    indexes = [index for index in database.get_indexes("support_tickets") if index.name not in primary]
    database.execute_sql(
        "ALTER TABLE support_tickets " + ", ".join(f"DROP KEY {index.name}" for index in indexes)
    )
    keys = [f"ADD KEY {i.name} ({', '.join(i.columns)})" for i in indexes if i.name != "search"]
    return ["ALTER TABLE support_tickets " + ", ".join(keys)]


def add_full_text_index() -> None:
    """As the migration does it, for it is the migration that does it."""
    importlib.import_module("sav.models.migrations.0002_ticket_search").up(None, database.obj)


def seed(address: Address, *, tickets: int, messages: int) -> None:
    """Makes, migrates and fills the database that the address names by its path."""
    create_database(address, address.path)
    database.initialize(
        mysql_database(
            host=address.host,
            port=address.port,
            name=address.path,
            username=address.user,
            password=address.password,
            statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
        )
    )
    migrate()
    with connection():
        index_statements = set_indexes_aside()
        with click.progressbar(length=tickets * (1 + messages), label="rows") as bar:
            fill(tickets, messages=messages, progress=bar.update)
        with click.progressbar(length=4, label="indexes and sums") as bar:
            for statement in index_statements:
                database.execute_sql(statement)
            bar.update(1)
            add_full_text_index()
            bar.update(1)
            count()
            bar.update(1)
            database.execute_sql(f"ANALYZE TABLE {ANALYZED}").fetchall()
            bar.update(1)


@click.command()
@click.argument("address")
@click.option("--tickets", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--messages", type=click.IntRange(min=0), default=0, show_default=True, help="For each ticket.")
def main(address: str, tickets: int, messages: int) -> None:
    """Fill a new database, mysql://user:password@host:port/name, with tickets."""
    seed(Address.parse(address), tickets=tickets, messages=messages)


if __name__ == "__main__":
    main()
