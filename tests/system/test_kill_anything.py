"""kill -9, at any moment, of any process: what was acknowledged is there, and the world is told of it."""

import os
import random
import time

from tests.system.conftest import Site
from tests.system.fleet import PROCESSES, Admin, ProcessName
from tests.system.writers import Writers, assert_all_events_are_out, assert_nothing_is_lost_or_doubled

SEED = int(os.environ.get("SAV_TEST_SEED", "20261122"))
ROUNDS = 2
LONGEST_LIFE_SECONDS = 1.5
LONGEST_DEATH_SECONDS = 0.5
# A publisher that was killed holds its lease for 30 seconds.
EVENTS_TIMEOUT_SECONDS = 60.0


def test_nothing_is_lost_when_processes_are_killed(site: Site, admin: Admin) -> None:
    chance = random.Random(SEED)
    with Writers(site) as writers:
        for name in order_of_death(chance):
            # Never killed before it has worked again.
            writers.wait_for_tickets(2)
            time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
            site.fleet.kill9(name)
            time.sleep(chance.uniform(0, LONGEST_DEATH_SECONDS))
            site.fleet.start(name)
        writers.wait_for_tickets(2)

    assert writers.unanswered, "no request was hit"
    assert_nothing_is_lost_or_doubled(writers, admin)
    assert_all_events_are_out(
        site.listener, admin, writers.ticket_ids, timeout_seconds=EVENTS_TIMEOUT_SECONDS
    )


def order_of_death(chance: random.Random) -> list[ProcessName]:
    """Each process once a round, in an order of its own."""
    return [name for _ in range(ROUNDS) for name in chance.sample(PROCESSES, len(PROCESSES))]
