"""What a run stands on: a database server, a broker, and seeded databases, its own or lent to it."""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pymysql

from benchmarks.bench.bounds import MESSAGES, TICKETS
from benchmarks.bench.processes import PROGRAMS
from sav.models.database import connection, database, mysql_database
from sav.models.migrate import migrate, pending
from sav.operations.count_tickets import count_for_a_while
from tests.servers.addresses import Address
from tests.servers.belongings import drop_database, own_virtual_host
from tests.servers.find import NoServer, ServerFinder, WrongURL
from tests.servers.kinds import BROKER, DATABASE

RING = "ring"
"""The database of a size that is written to, beside the one that is only read and so keeps its size."""
SEED_TIMEOUT_SECONDS = 3600.0
MOST_COUNTED = 100_000
"""More tickets are not counted into the desk's numbers: it would take longer than the run."""
FULL_SHARE = 0.99
"""Of its tickets a seeded database may lack a few, which somebody has taken out."""
MEGABYTE = 1024 * 1024


class NoGround(Exception):
    """A server is missing, or a database is not what it should be; the text is for people."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where everything is. `databases` are named by size (`1m`), or by size and use (`10k_ring`)."""

    server: Address
    broker: Address
    directory: Path
    databases: Mapping[str, Address]
    prefix: str

    @property
    def exchange(self) -> str:
        return f"{self.prefix}_events"

    @property
    def queue(self) -> str:
        return f"{self.prefix}_inbox"

    @property
    def effects_queue(self) -> str:
        return f"{self.queue}.effects"

    def log(self, name: str) -> Path:
        """Where a competitor's output goes."""
        return self.directory / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.log"

    def address(self, size: str) -> Address:
        """The database of a size that may be written to, where there is one."""
        return self.databases.get(f"{size}_{RING}") or self.databases[size]


@contextmanager
def servers(directory: Path, run_id: str) -> Iterator[tuple[Address, Address]]:
    """The database server and a place on the broker, found or started as the tests do it."""
    with ExitStack() as stack:
        finder = ServerFinder(run_id=run_id, directory=directory, stack=stack, only_private=False)
        try:
            found = {kind: finder.find(kind) for kind in (DATABASE, BROKER)}
        except (NoServer, WrongURL) as missing:
            raise NoGround(str(missing)) from None
        for server in found.values():
            click.echo(server)
        yield found[DATABASE].address, stack.enter_context(own_virtual_host(found[BROKER], run_id))


@contextmanager
def ground(
    *, sizes: Mapping[str, bool], prefix: str, run_id: str, lent: Mapping[str, str], reuse: bool, keep: bool
) -> Iterator[Ground]:
    """Seeds what is missing. `sizes` says of each whether it is written to (else only read), or both."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sav-bench-")))
        directory.chmod(0o711)  # private servers run under other accounts
        server, broker = stack.enter_context(servers(directory, run_id))
        databases = {}
        for name in sizes:
            address = server.with_path(lent.get(name, f"{prefix}_{name}"))
            databases[name] = address
            if name in lent:
                require_seeded(address, name)
                continue
            if not keep:
                stack.callback(_drop, server, address.path)
            if not (reuse and exists(address) and is_full(address, name)):
                seed(address, name)
            require_seeded(address, name)
        yield Ground(server=server, broker=broker, directory=directory, databases=databases, prefix=prefix)


def size_of(name: str) -> str:
    return name.removesuffix(f"_{RING}")


def exists(address: Address) -> bool:
    try:
        connect(address).close()
    except pymysql.err.OperationalError:
        return False
    return True


def seed(address: Address, name: str) -> None:
    """A new database with the tickets of a size; up to a bound they are counted into the desk's numbers."""
    size = size_of(name)
    click.echo(f"seeding {address.path} with {TICKETS[size]:,} tickets")
    _drop(address, address.path)
    # In a process of its own: which database `sav.models` talks to is said once in each.
    subprocess.run(  # noqa: S603
        [
            str(PROGRAMS / "python"),
            "-m",
            "benchmarks.seed",
            address.url,
            f"--tickets={TICKETS[size]}",
            f"--messages={MESSAGES[size]}",
        ],
        check=True,
        timeout=SEED_TIMEOUT_SECONDS,
    )
    if TICKETS[size] <= MOST_COUNTED:
        initialise(address)
        with connection():
            while not count_for_a_while():
                pass


def require_seeded(address: Address, name: str) -> None:
    """Brings a database up to date that lacks a migration; raises `NoGround` when it is no seeded one."""
    if not exists(address):
        raise NoGround(f"there is no database {address.path} on {address}")
    initialise(address)
    with connection():
        missing = pending()
    if missing:
        click.echo(f"{address.path} lacks {', '.join(missing)}: migrating")
        migrate()
    if not is_full(address, name):
        raise NoGround(
            f"{address.path} does not have the {TICKETS[size_of(name)]:,} tickets of benchmarks.seed"
        )


def is_full(address: Address, name: str) -> bool:
    """Whether it has the tickets of its size, and the index that seeding makes last."""
    wanted = TICKETS[size_of(name)]
    with reading(address) as cursor:
        cursor.execute("SHOW TABLES LIKE 'support_tickets'")
        if not cursor.fetchall():
            return False
        cursor.execute("SHOW INDEX FROM support_tickets WHERE Key_name = 'search'")
        has_search = bool(cursor.fetchall())
        cursor.execute("SELECT COUNT(*) FROM support_tickets WHERE id <= %s", (wanted,))
        ((count,),) = cursor.fetchall()
    return has_search and bool(count >= FULL_SHARE * wanted)


def initialise(address: Address) -> None:
    """Says to `sav.models` which database this process talks to."""
    database.initialize(
        mysql_database(
            host=address.host,
            port=address.port,
            name=address.path,
            username=address.user,
            password=address.password,
            statement_timeout_seconds=int(SEED_TIMEOUT_SECONDS),
        )
    )


def connect(address: Address) -> "pymysql.connections.Connection[Any]":
    return pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.path or None,
        autocommit=True,
    )


@contextmanager
def reading(address: Address) -> Iterator[Any]:
    """A cursor on a connection of its own."""
    with connect(address) as opened, opened.cursor() as cursor:
        yield cursor


def database_settings(address: Address) -> dict[str, str]:
    return {
        "DB_CONNECTION": "mysql",
        "DB_HOST": address.host,
        "DB_PORT": str(address.port),
        "DB_DATABASE": address.path,
        "DB_USERNAME": address.user,
        "DB_PASSWORD": address.password,
    }


def server_facts(address: Address) -> dict[str, str]:
    """What of the server's settings decides about its speed."""
    with reading(address.with_path("")) as cursor:
        cursor.execute(
            "SELECT VERSION(), @@innodb_flush_log_at_trx_commit, @@innodb_buffer_pool_size, @@log_bin"
        )
        ((version, flush, pool, log),) = cursor.fetchall()
    return {
        "database": str(version),
        "innodb_flush_log_at_trx_commit": str(flush),
        "innodb_buffer_pool": f"{int(pool) // MEGABYTE} MiB",
        "binary_log": "on" if log else "off",
    }


def _drop(server: Address, name: str) -> None:
    with suppress(pymysql.MySQLError):
        drop_database(server, name)
