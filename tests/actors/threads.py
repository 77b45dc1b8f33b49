"""Threads with a database connection each, which start together and whose errors are not lost."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sav.models.database import connection

R = TypeVar("R")
TIMEOUT_SECONDS = 60


def at_the_same_time(*tasks: Callable[[], R]) -> Sequence[R]:
    """Runs each task in a thread of its own and returns what they returned, in order."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], R]) -> R:
        with connection():
            barrier.wait(TIMEOUT_SECONDS)
            return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result(TIMEOUT_SECONDS) for future in [pool.submit(run, task) for task in tasks]]
