"""Imports many tickets, is killed in the middle, goes on, and counts.

    python -m benchmarks.imports --rows 100000

The database server is the one that the tests would use (`SAV_TEST_MYSQL`, or the default port). Each ticket
has one message. Exit code 1 when a ticket or a message is missing or there twice, or anybody was told.
"""

import json
import secrets
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from tests.plugins.servers import server_database_settings
from tests.servers import belongings
from tests.servers.find import at_default_port, at_environment
from tests.servers.kinds import DATABASE
from tests.system.fleet import own_account
from tests.system.foreign import Tables
from tests.system.running_service import PROGRAMS, RunningCommand, clean_environment

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
LOOK_EVERY_SECONDS = 1.0
SHOWN_EVERY_SECONDS = 10.0


@click.command(help=__doc__)
@click.option("--rows", default=100_000, show_default=True, help="Tickets to import.")
@click.option("--kill-at", default=0.5, show_default=True, help="The share of them after which it is killed.")
def main(rows: int, kill_at: float) -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = _Imports(stack, directory, rows)
        killed_at, first = run.once(until=int(rows * kill_at))
        click.echo(f"killed after {first:.1f} s, with {killed_at} tickets")
        _, second = run.once(until=None)
        click.echo(f"the rest took {second:.1f} s: {rows / (first + second):.0f} tickets/s in all")
        _, again = run.once(until=None)
        click.echo(f"a third time, with all of it there: {again:.1f} s")
        expected = {
            "support_tickets": rows,
            "ticket_messages": rows,
            "imported_tickets": rows,
            # Each ticket has the fact that it was imported, and nothing that is to be done because of it.
            "ticket_events": rows,
            "due_effects": 0,
            "mail_deliveries": 0,
        }
        found = {table: run.count(table) for table in expected}
    click.echo(f"{found}" if found == expected else f"{found} instead of {expected}")
    sys.exit(found != expected)


class _Imports:
    def __init__(self, stack: ExitStack, directory: Path, rows: int) -> None:
        name = f"sav_imports_{secrets.token_hex(4)}"
        address = (at_environment(DATABASE) or at_default_port(DATABASE)).address
        belongings.create_database(address, name)
        stack.callback(belongings.drop_database, address, name)
        database = stack.enter_context(own_account(server_database_settings(address, name), name=name))
        self._environment = clean_environment(**database, APP_ENV="test", SAV_DATA_DIR=str(directory))
        self._directory = directory
        self._file = directory / "old.jsonl"
        self._tables = Tables(database)
        with self._file.open("w") as file:
            file.writelines(_record(number) for number in range(rows))
        self._run("migrate").exit_code(timeout_seconds=600)

    def once(self, *, until: int | None) -> tuple[int, float]:
        """Runs it to its end, or kills it at so many tickets; how many there are, and the seconds."""
        started = shown = time.monotonic()
        process = self._run("import-tickets", str(self._file), "--origin", "former")
        while process.running and (until is None or self.count("support_tickets") < until):
            time.sleep(LOOK_EVERY_SECONDS)
            if time.monotonic() - shown > SHOWN_EVERY_SECONDS:
                shown = time.monotonic()
                click.echo(f"{self.count('support_tickets')} …", err=True)
        if until is not None:
            process.signal(signal.SIGKILL)
        code = process.exit_code(timeout_seconds=60)
        if code != (0 if until is None else -signal.SIGKILL):
            raise click.ClickException(f"the import ended with {code}: {process.output[-2000:]}")
        return self.count("support_tickets"), time.monotonic() - started

    def count(self, table: str) -> int:
        return self._tables.number(f"SELECT COUNT(*) FROM {table}")  # noqa: S608

    def _run(self, *arguments: str) -> RunningCommand:
        log = self._directory / f"{arguments[0]}.log"
        return RunningCommand(str(PROGRAMS / "sav"), *arguments, environment=self._environment, log=log)


def _record(number: int) -> str:
    opened = BEGINNING + timedelta(minutes=number * 5)
    closed = opened + timedelta(days=1)
    record = {
        "external_id": str(number),
        "subject": f"Colis {number} perdu",
        "description": "Jamais arrivé, malgré deux relances. " * 4,
        "status": "closed",
        "user_id": 1 + number % 5000,
        "created_at": opened.isoformat(),
        "resolved_at": closed.isoformat(),
        "closed_at": closed.isoformat(),
        "messages": [
            {
                "author": "customer",
                "content": "Où est-il ?",
                "created_at": (opened + timedelta(hours=1)).isoformat(),
            }
        ],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
