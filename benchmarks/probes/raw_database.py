"""The database alone: what the driver and the server can do with as many connections as the service has.

    python -m benchmarks.probes.raw_database mysql://…/desk create --processes 2 --threads 4 --seconds 2

Prints one line of JSON: operations per second, and their times in milliseconds.
"""

import json
import multiprocessing
import random
import threading
import time

import click

from benchmarks.bench.figures import percentile
from benchmarks.probes.statements import LIST, TICKET, Connection, connect, open_ticket, rows

BUSY_CUSTOMERS = (1, 2, 3, 4, 5)
DESCRIPTION = "The parcel has not arrived, and the tracking has said the same for a week now. " * 3


def create(connection: Connection, dice: random.Random, _: int) -> None:
    open_ticket(connection, user_id=dice.randrange(10**6), subject="A parcel", description=DESCRIPTION)


def listing(connection: Connection, dice: random.Random, _: int) -> None:
    rows(connection, LIST, dice.choice(BUSY_CUSTOMERS))


def primary_key(connection: Connection, dice: random.Random, tickets: int) -> None:
    rows(connection, TICKET.replace("AND user_id = %s ", ""), dice.randint(1, tickets))


OPERATIONS = {"create": create, "list": listing, "primary_key": primary_key}


def work(address: str, what: str, threads: int, seconds: float, tickets: int, seed: int) -> list[float]:
    """The times of all operations of one process, in seconds."""
    times: list[float] = []
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        connection, dice = connect(address), random.Random(seed + number)  # noqa: S311
        own: list[float] = []
        barrier.wait()
        ends_at = time.perf_counter() + seconds
        while (started := time.perf_counter()) < ends_at:
            OPERATIONS[what](connection, dice, tickets)
            own.append(time.perf_counter() - started)
        connection.close()
        times.extend(own)

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return times


@click.command()
@click.argument("address")
@click.argument("what", type=click.Choice(list(OPERATIONS)))
@click.option("--processes", default=2)
@click.option("--threads", default=4, help="In each process, each with a connection of its own.")
@click.option("--seconds", default=1.5)
@click.option("--tickets", default=10_000, help="How many the table has.")
def main(address: str, what: str, processes: int, threads: int, seconds: float, tickets: int) -> None:
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        parts = pool.starmap(
            work, [(address, what, threads, seconds, tickets, 100 * n) for n in range(processes)]
        )
    times = [value for part in parts for value in part]
    figures = {f"p{p}_ms": 1e3 * percentile(times, p / 100) for p in (50, 95, 99)}
    click.echo(json.dumps({"per_second": len(times) / seconds, "errors": 0, **figures}))


if __name__ == "__main__":
    main()
