"""How long, how often and how much: every bound of a run, by name."""

from dataclasses import dataclass

MILLION, HUNDRED_THOUSAND, TEN_THOUSAND, TINY = "1m", "100k", "10k", "tiny"
TICKETS = {TINY: 200, TEN_THOUSAND: 10_000, HUNDRED_THOUSAND: 100_000, MILLION: 1_000_000}
"""How many tickets a size means."""
MESSAGES = {TINY: 3, TEN_THOUSAND: 10, HUNDRED_THOUSAND: 0, MILLION: 0}
"""How many messages each of these tickets is seeded with."""

NOISE = 0.15
"""Differences below this share count as none."""
FEWEST_ROUNDS = 5
"""Medians of fewer rounds than this are shown, and never called met."""

FEW_CONNECTIONS, MANY_CONNECTIONS, ONE_CONNECTION = 8, 32, 1
WARM_UP_SECONDS = 0.3
"""Answers in this time after the start of a measurement are not counted."""
ANSWER_TIMEOUT_SECONDS = 60.0
"""A competitor that answers nothing for so long ends the block."""
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
START_SECONDS = 3.0
"""What starting and ending a server is reckoned with in the time that is shown up front."""

DIFFERENT_REQUESTS = 2_000
"""So many different requests of a kind are made ready, spread over the whole table."""
HOT_REQUESTS = 200
"""The same for warm caches: so many that are asked for again and again."""

EVENT_TIMEOUT_SECONDS = 30.0
"""How long the last event of a block is waited for."""
FLAT_GROWTH = 0.05
"""Memory that grows by less than this share over the second half of the requests is called flat."""
SMALL_PROCESS_MIB = 200
SLOW_ANSWERS = 1
"""How many answers are waited for where each takes seconds."""
SLOW_ROUNDS = 1
"""In so many rounds."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How thorough a run is."""

    rounds: int = 9
    few_rounds: int = 5
    """Of blocks that take long."""
    seconds: float = 1.2
    """Of each measurement over HTTP, or of a probe, in each round."""
    read_seconds: float = 0.8
    """Of each of the many kinds of lists and searches."""
    pipeline_seconds: float = 6.0
    """At half load, and with the broker up and down."""
    effects: int = 2_000
    """So many tickets' effects, and no-op messages, are worked off."""
    memory_requests: int = 100_000
    """Sent to one running service."""


QUICK = Profile(
    rounds=1, seconds=0.2, read_seconds=0.1, pipeline_seconds=0.5, effects=40, memory_requests=300
)
