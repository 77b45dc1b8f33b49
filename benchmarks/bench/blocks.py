"""The blocks of a round: a block starts its competitor, measures, and ends it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bench.bounds import (
    FEW_CONNECTIONS,
    ONE_CONNECTION,
    START_SECONDS,
    TICKETS,
    WARM_UP_SECONDS,
    Profile,
)
from benchmarks.bench.broker import Queues
from benchmarks.bench.competitors import WEB_PROCESSES, WebServer
from benchmarks.bench.ground import Ground, reading
from benchmarks.bench.load import Load
from benchmarks.bench.processes import PROGRAMS, Running, output_of
from benchmarks.bench.workloads import Requests
from tests.servers.addresses import Address

Sample = dict[str, Any]
"""One measurement of one round: `block`, `what`, `round`, and figures by name."""

WARMED_SECONDS = 1.0
"""How long warm caches are filled before anything counts."""
PROBE_START_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Block:
    """`run` is called once a round, with the round's number, in as many rounds as it takes part in."""

    name: str
    seconds: float
    """About how long a round of it takes."""
    run: Callable[[int], Iterator[Sample]]
    rounds: int | None = None
    """In at most so many rounds."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One kind of request, sent for a while."""

    what: str
    requests: Requests
    seconds: float
    connections: int = FEW_CONNECTIONS
    warm_up: float = WARM_UP_SECONDS
    answers: int | None = None
    """So many answers are waited for instead, however long they take."""

    def take(self, process: Running, port: int, round_number: int) -> dict[str, float]:
        before = process.cpu_seconds()
        outcome = Load(
            port,
            self.requests,
            connections=self.connections,
            seconds=None if self.answers else self.seconds,
            answers=self.answers,
            warm_up=self.warm_up,
            # Each round other requests come first, the same ones for every competitor.
            start_at=random.Random(round_number).randrange(len(self.requests)),  # noqa: S311
        ).run()
        used = process.cpu_seconds() - before
        return {**outcome.figures(), "cpu_ms": 1e3 * used / max(1, outcome.answers)}


def web_block(
    name: str,
    ground: Ground,
    server: WebServer,
    measures: Sequence[Measure],
    *,
    tidy: Callable[[], None] | None = None,
    rounds: int | None = None,
) -> Block:
    """A web server, and what is asked of it one after the other."""

    def run(number: int) -> Iterator[Sample]:
        if tidy:
            tidy()
        with server.started(ground) as process:
            for measure in measures:
                figures = measure.take(process, server.port, number)
                yield {"block": name, "what": measure.what, "connections": measure.connections, **figures}

    seconds = START_SECONDS + sum(measure.seconds + measure.warm_up for measure in measures)
    return Block(name=name, seconds=seconds, run=run, rounds=rounds)


def database_block(name: str, address: Address, size: str, profile: Profile) -> Block:
    """The raw probes: a transaction, a list and a read by primary key, without any HTTP."""

    def run(_: int) -> Iterator[Sample]:
        for what, processes, threads, seconds in (
            ("create", WEB_PROCESSES, FEW_CONNECTIONS // WEB_PROCESSES, profile.seconds),
            ("list", WEB_PROCESSES, FEW_CONNECTIONS // WEB_PROCESSES, profile.seconds),
            ("primary_key", 1, ONE_CONNECTION, profile.read_seconds),
        ):
            printed = output_of(
                [
                    str(PROGRAMS / "python"),
                    "-m",
                    "benchmarks.probes.raw_database",
                    address.url,
                    what,
                    f"--processes={processes}",
                    f"--threads={threads}",
                    f"--seconds={seconds}",
                    f"--tickets={TICKETS[size]}",
                ],
                environment={},
                timeout=60 + 2 * seconds,
            )
            yield {"block": name, "what": what, "connections": processes * threads, **json.loads(printed)}

    return Block(
        name=name, seconds=2 * profile.seconds + profile.read_seconds + 3 * PROBE_START_SECONDS, run=run
    )


@dataclass(frozen=True, kw_only=True)
class Tidy:
    """What a block of writes leaves behind, and no other block shall have to do with."""

    ground: Ground
    address: Address
    seeded: int
    """So many tickets stay as they are."""
    queues: Sequence[str] = field(default_factory=tuple)

    def __call__(self) -> None:
        with reading(self.address) as cursor:
            cursor.execute("TRUNCATE TABLE due_effects")
            # Else the next workers assign them before all others, and soon nobody has room for any.
            cursor.execute(
                "UPDATE support_tickets SET status = 'closed', closed_at = UTC_TIMESTAMP(6), uncounted = 1 "
                "WHERE id > %s AND status <> 'closed'",
                (self.seeded,),
            )
        with suppress(Exception), Queues(self.ground) as queues:
            queues.delete(self.ground.effects_queue, *self.queues)
