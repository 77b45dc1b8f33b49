"""What happens behind the answers: events on the exchange, effects, and writes without a broker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.bench.blocks import Block, Measure, Sample, Tidy, web_block
from benchmarks.bench.bounds import (
    EVENT_TIMEOUT_SECONDS,
    FEW_CONNECTIONS,
    START_SECONDS,
    WARM_UP_SECONDS,
    Profile,
)
from benchmarks.bench.broker import Heard, Queues, listening
from benchmarks.bench.competitors import COLD, WORKER_PROCESSES, WORKER_THREADS, fleet, service
from benchmarks.bench.figures import percentile
from benchmarks.bench.ground import Ground, reading
from benchmarks.bench.load import Load
from benchmarks.bench.processes import PROGRAMS, Running, output_of, running
from benchmarks.bench.workloads import Requests
from sav.domain.effects import ASSIGN_TICKETS, NOTIFY, PUBLISH_EVENT
from sav.domain.subscriptions import SUBSCRIPTIONS
from tests.servers.addresses import Address
from tests.servers.ports import free_port

CALIBRATION_SHARE = 1 / 3
"""Of the time at half load: so long everything goes as fast as it can, to find what half of that is."""
COUNTED_FROM, COUNTED_TO = 0.9, 0.1
"""Work is timed from the moment when this share of it is left, to the moment when only that is.

(Of effects, whose number is known at the end: from when the lesser share is done until the larger is.)
"""
COUNT_POLL_SECONDS = 0.05
EVENT_EFFECTS = (PUBLISH_EVENT, NOTIFY)
"""What every created ticket owes, and every assignment again."""
PER_SECOND_GUESS = 300
"""For the time that is shown up front."""


def latency_block(tidy: Tidy, requests: Requests, profile: Profile) -> Block:
    """From the write to the event on the exchange, at half of what all processes together can keep up."""
    name = "commit to exchange"
    server = service(tidy.ground, tidy.address, **COLD)

    def run(_: int) -> Iterator[Sample]:
        tidy()
        with (
            server.started(tidy.ground) as http,
            fleet(tidy.ground, tidy.address, "worker", "scheduler") as others,
            listening(tidy.ground) as listener,
        ):
            processes = {"http": http, **others}
            # The workers are ready when the first event is out.
            Load(server.port, requests, connections=1, answers=1).run()
            listener.wait_for(1)
            _wait_until_idle(tidy.address)
            seconds = profile.pipeline_seconds * CALIBRATION_SHARE
            began = time.perf_counter()
            outcome = Load(
                server.port, requests, connections=FEW_CONNECTIONS, seconds=seconds, warm_up=0.0
            ).run()
            # With all that these tickets owe: what is left over would be in the way of the next ones.
            _wait_until_idle(tidy.address)
            capacity = outcome.answers / (time.perf_counter() - began)
            yield {"block": name, "what": "capacity", "connections": FEW_CONNECTIONS, "per_second": capacity}
            before = len(listener.heard())
            used = {kind: process.cpu_seconds() for kind, process in processes.items()}
            outcome = Load(
                server.port,
                requests,
                connections=FEW_CONNECTIONS,
                seconds=profile.pipeline_seconds,
                rate=capacity / 2,
            ).run()
            _wait_until_idle(tidy.address)
            events = listener.wait_for(before + outcome.answers)[before:]
            cpu = {
                f"{kind}_cpu_ms": 1e3 * (process.cpu_seconds() - used[kind]) / max(1, outcome.answers)
                for kind, process in processes.items()
            }
            yield {
                "block": name,
                "what": "half load",
                "connections": FEW_CONNECTIONS,
                **_latencies(events),
                "errors": outcome.errors + max(0, outcome.answers - len(events)),
                **cpu,
            }

    seconds = 2 * START_SECONDS + profile.pipeline_seconds * (1 + 2 * CALIBRATION_SHARE)
    return Block(name=name, seconds=seconds, run=run, rounds=profile.few_rounds)


def _latencies(events: Sequence[Heard]) -> dict[str, float]:
    delays = [1e3 * (event.arrived_at - event.happened_at) for event in events]
    span = events[-1].arrived_at - events[0].arrived_at
    return {
        "per_second": len(events) / span if span else 0.0,
        **{f"p{p}_ms": percentile(delays, p / 100) for p in (50, 95, 99)},
    }


def effects_block(
    tidy: Tidy,
    requests: Requests,
    profile: Profile,
    *,
    name: str = "worker throughput",
    processes: int = WORKER_PROCESSES,
) -> Block:
    """How fast the workers do what many written tickets owe."""
    server = service(tidy.ground, tidy.address, **COLD)

    def run(_: int) -> Iterator[Sample]:
        tidy()
        since = _last_event(tidy.address)
        with server.started(tidy.ground):
            Load(server.port, requests, connections=FEW_CONNECTIONS, answers=profile.effects).run()
            at_rest = _seen(tidy.address, since, cpu_seconds=0.0)
            with fleet(tidy.ground, tidy.address, "worker", WORKER_PROCESSES=str(processes)) as others:
                figures = _all_done(tidy.address, others["worker"], since, at_rest)
        yield {"block": name, "what": "effects", "connections": processes * WORKER_THREADS, **figures}

    work = profile.effects * (1 + len(EVENT_EFFECTS)) / PER_SECOND_GUESS
    return Block(name=name, seconds=2 * START_SECONDS + work, run=run, rounds=profile.few_rounds)


def actor_block(ground: Ground, profile: Profile) -> Block:
    """Dramatiq's own limit: as many messages that do nothing, on the same broker, workers and threads."""
    name = "dramatiq no-op"
    queue = f"{ground.prefix}_noop"
    messages = profile.effects * len(EVENT_EFFECTS)
    environment = {"PROBE_BROKER": ground.broker.url, "PROBE_QUEUE": queue}

    def run(_: int) -> Iterator[Sample]:
        python = str(PROGRAMS / "python")
        with Queues(ground) as queues:
            queues.delete(queue)
            output_of(
                [python, "-m", "benchmarks.probes.noop_actor", str(messages)],
                environment=environment,
                timeout=120,
            )
            command = [
                *(python, "-m", "dramatiq", "benchmarks.probes.noop_actor"),
                f"--processes={WORKER_PROCESSES}",
                f"--threads={WORKER_THREADS}",
            ]
            with running(command, environment=environment, log=ground.log(name)) as worker:
                figures = _drained(lambda: queues.count(queue), worker)
            queues.delete(queue)
        yield {"block": name, "what": "messages", "connections": WORKER_PROCESSES * WORKER_THREADS, **figures}

    return Block(
        name=name, seconds=START_SECONDS + messages / PER_SECOND_GUESS / 3, run=run, rounds=profile.few_rounds
    )


def _drained(left: Callable[[], int], worker: Running) -> dict[str, float]:
    """Watches work become less: how much a second, and what of the processors each piece took."""
    total = left()
    give_up_at = time.monotonic() + 4 * EVENT_TIMEOUT_SECONDS
    while (here := left()) > COUNTED_FROM * total:
        _rest(give_up_at, here)
    first, started, cpu = here, time.perf_counter(), worker.cpu_seconds()
    while (here := left()) > COUNTED_TO * total:
        _rest(give_up_at, here)
    done = first - here
    return {
        "per_second": done / (time.perf_counter() - started),
        "cpu_ms": 1e3 * (worker.cpu_seconds() - cpu) / max(1, done),
    }


def _all_done(address: Address, worker: Running, since: int, at_rest: _Seen) -> dict[str, float]:
    """The same for effects, of which those that are done owe others: what is counted is what was done."""
    seen = [at_rest]
    give_up_at = time.monotonic() + 4 * EVENT_TIMEOUT_SECONDS
    while seen[-1].left:
        _rest(give_up_at, seen[-1].left)
        seen.append(_seen(address, since, cpu_seconds=worker.cpu_seconds()))
    total = seen[-1].done
    first, last = (
        next(place for place, each in enumerate(seen) if each.done >= share * total)
        for share in (COUNTED_TO, COUNTED_FROM)
    )
    # Little work may all be done between two looks, or before the first: it is timed from the look before.
    first, last = seen[min(first, last - 1)], seen[last]
    done = last.done - first.done
    return {
        "per_second": done / (last.at - first.at),
        "cpu_ms": 1e3 * (last.cpu_seconds - first.cpu_seconds) / max(1, done),
    }


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """How many effects were done by then, and what was left."""

    at: float
    cpu_seconds: float
    done: int
    left: int


def _seen(address: Address, since: int, *, cpu_seconds: float) -> _Seen:
    # In this order: what is done meanwhile counts as done a moment later.
    left = _left(address)
    owed = _owed_since(address, since)
    events_left = sum(left[effect] for effect in EVENT_EFFECTS)
    return _Seen(at=time.perf_counter(), cpu_seconds=cpu_seconds, done=owed - events_left, left=left.total())


def _left(address: Address) -> Counter[str]:
    """What is owed of the effects that these blocks wait for."""
    with reading(address) as cursor:
        cursor.execute(
            "SELECT effect, COUNT(*) FROM due_effects WHERE effect IN %s GROUP BY effect",
            ((*EVENT_EFFECTS, ASSIGN_TICKETS),),
        )
        return Counter(dict(cursor.fetchall()))


def _last_event(address: Address) -> int:
    with reading(address) as cursor:
        cursor.execute("SELECT COALESCE(MAX(id), 0) FROM ticket_events")
        return int(cursor.fetchone()[0])


def _owed_since(address: Address, event_id: int) -> int:
    """How many events and notices the facts after this one have owed: those of an assignment, too.

    The assignment itself counts as none: what it comes to are its event and its notice.
    """
    with reading(address) as cursor:
        cursor.execute("SELECT name, COUNT(*) FROM ticket_events WHERE id > %s GROUP BY name", (event_id,))
        return sum(
            count * len(set(SUBSCRIPTIONS[name]).intersection(EVENT_EFFECTS))
            for name, count in cursor.fetchall()
        )


def _wait_until_idle(address: Address) -> None:
    give_up_at = time.monotonic() + 4 * EVENT_TIMEOUT_SECONDS
    while left := _left(address).total():
        _rest(give_up_at, left)


def _rest(give_up_at: float, left: int) -> None:
    if time.monotonic() > give_up_at:
        raise TimeoutError(f"{left} pieces of work are left over")
    time.sleep(COUNT_POLL_SECONDS)


def outage_blocks(tidy: Tidy, requests: Requests, profile: Profile) -> list[Block]:
    """The same writes, with the broker there, and with nobody where it should be."""
    seconds = profile.pipeline_seconds / 2
    create = Measure(what="create", requests=requests, seconds=seconds, warm_up=2 * WARM_UP_SECONDS)
    down = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": str(free_port())}
    return [
        web_block(
            name,
            tidy.ground,
            service(tidy.ground, tidy.address, **COLD, **broker),
            [create],
            tidy=tidy,
            rounds=profile.few_rounds,
        )
        for name, broker in (("broker up", {}), ("broker down", down))
    ]


MEMORY_STEPS = 10


def memory_block(tidy: Tidy, requests: Requests, profile: Profile) -> Block:
    """What each web process holds after more and more requests of all kinds, with its caches on."""
    name = "memory"
    server = service(tidy.ground, tidy.address)

    def run(_: int) -> Iterator[Sample]:
        tidy()
        part = profile.memory_requests // MEMORY_STEPS
        with server.started(tidy.ground) as process:
            for step in range(1, MEMORY_STEPS + 1):
                Load(
                    server.port, requests, connections=FEW_CONNECTIONS, answers=part, start_at=step * 37
                ).run()
                sizes = sorted(process.resident_mib())
                yield {"block": name, "what": f"{step * part} requests", "largest_mib": sizes[-1]}

    return Block(
        name=name, seconds=START_SECONDS + profile.memory_requests / (4 * PER_SECOND_GUESS), run=run, rounds=1
    )
