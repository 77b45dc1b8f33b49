"""Whether the time of an answer tells a guesser anything: wrong token, unknown ticket, customer's ticket.

    python -m benchmarks.guess_timing --rounds 3000

Runs the HTTP tier in this process on the database that the `DB_*` variables name (which it migrates, and
leaves a ticket of each kind in), asks the kinds of question in shuffled order, and compares their times: the
difference of the medians, and how often one kind's answer took longer than another's (0.5: never a hint),
with what chance alone would make of it. Exits with 1 when a kind can be told from another.
"""

import argparse
import itertools
import math
import random
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from falcon.testing import create_environ

from sav.bootstrap import http_application, initialise_database
from sav.domain.access_tokens import TOKEN_BYTES, access_token, hash_of_token
from sav.domain.errors import NotFound
from sav.models.database import connection
from sav.models.migrate import migrate
from sav.models.tables import Ticket
from sav.queries.guest_ticket import guest_with_token
from sav.settings import load_settings
from sav.telemetry.logs import configure_logs

TOLERANCE = 0.03
"""How far from 0.5 the chance may be that one answer takes longer than the other: with 0.53, a guesser needs
some thousand questions about one ticket to be sure of anything, and the limits allow 30 a minute."""
LIMITS = (
    "PUBLIC_REQUESTS_PER_MINUTE",
    "PUBLIC_REQUESTS_PER_MINUTE_OVERALL",
    "PUBLIC_WRONG_GUESSES_PER_MINUTE",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3000, help="questions of each kind")
    rounds = parser.parse_args().rounds
    # Guesses without a limit, and without a line in the log for each.
    settings = load_settings(**dict.fromkeys(LIMITS, 1_000_000_000))
    configure_logs("production", "benchmark", "error")
    initialise_database(settings)
    migrate()
    with connection():
        app, asked = http_application(settings), questions()
        print(f"the whole request, {rounds} of each kind")
        found = report(measure(partial(ask_tier, app), asked, rounds))
        print(f"\nthe look-up alone, {3 * rounds} of each kind")
        found += report(measure(ask_query, asked, 3 * rounds))
    print("\ntold apart" if found else "\nnothing can be told apart")
    sys.exit(1 if found else 0)


def questions() -> dict[str, str]:
    """A reference for each kind of question: by id and by number."""
    guests, customers = _ticket(user_id=None), _ticket(user_id=1)
    return {
        "wrong token, by id": str(guests.id),
        "unknown ticket, by id": str(guests.id + 10_000_000),
        "customer's ticket, by id": str(customers.id),
        "wrong token, by number": guests.ticket_number,
        "unknown ticket, by number": f"{guests.ticket_number[:-8]}ZZZZZZZZ",
        "customer's ticket, by number": customers.ticket_number,
    }


def _ticket(*, user_id: int | None) -> Ticket:
    token = secrets.token_bytes(TOKEN_BYTES)
    now = datetime.now(UTC)
    return Ticket.create(
        ticket_number=f"TICKET-20260329-001-{token[:4].hex().upper()}",
        user_id=user_id, subject="Lost parcel", description="It never came. " * 500, status="open",
        priority="normal", source="web", tags=[], metadata={}, created_at=now, updated_at=now,
        contact_email=None if user_id else "ana@example.com",
        access_token_hash=None if user_id else hash_of_token(access_token(token)),
    )  # fmt: skip


def measure(ask: Callable[[str], float], asked: dict[str, str], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {kind: [] for kind in asked}
    for _ in range(rounds):
        for kind in random.sample(list(asked), len(asked)):
            times[kind].append(ask(asked[kind]))
    # What a process does for the first time takes longer.
    return {kind: taken[len(taken) // 20 :] for kind, taken in times.items()}


def ask_tier(app: Any, reference: str) -> float:
    token = access_token(secrets.token_bytes(TOKEN_BYTES))
    environ = create_environ(
        f"/public/tickets/{reference}/messages",
        method="POST",
        headers={"X-Ticket-Token": token, "Content-Type": "application/json"},
        body='{"content": "x"}',
    )
    heard: list[str] = []
    started = time.perf_counter()
    for _ in app(environ, lambda status, _: heard.append(status)):
        pass
    taken = time.perf_counter() - started
    assert heard[0].startswith("404"), heard  # noqa: S101
    return taken


def ask_query(reference: str) -> float:
    token = access_token(secrets.token_bytes(TOKEN_BYTES))
    started = time.perf_counter()
    with suppress(NotFound):
        guest_with_token(reference=reference, token=token)
    return time.perf_counter() - started


def report(times: dict[str, list[float]]) -> int:
    told_apart = 0
    for kind, taken in times.items():
        print(f"{kind:30} median {statistics.median(taken) * 1000:.3f} ms")
    for one, other in pairs(list(times)):
        difference = statistics.median(times[one]) - statistics.median(times[other])
        longer, noise = chance_of_longer(times[one], times[other])
        is_hint = abs(longer - 0.5) > max(TOLERANCE, 3 * noise)
        told_apart += is_hint
        print(
            f"{one} / {other}: {difference * 1e6:+.0f} us, longer in {longer:.3f} of pairs "
            f"(chance alone: 0.5 ± {2 * noise:.3f}){'  A HINT' if is_hint else ''}"
        )
    return told_apart


def pairs(kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kinds that differ in what the guesser cannot see; id or number they choose themselves."""
    for one, other in itertools.combinations(kinds, 2):
        if one.rpartition(", ")[2] == other.rpartition(", ")[2]:
            yield one, other


def chance_of_longer(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Mann-Whitney's U as a share of all pairs, and its standard deviation were there no difference."""
    ranked = sorted([(taken, 1) for taken in one] + [(taken, 0) for taken in other])
    ranks = sum(rank for rank, (_, is_one) in enumerate(ranked, 1) if is_one)
    n, m = len(one), len(other)
    wins = ranks - n * (n + 1) / 2
    return wins / (n * m), math.sqrt((n + m + 1) / (12 * n * m))


if __name__ == "__main__":
    main()
