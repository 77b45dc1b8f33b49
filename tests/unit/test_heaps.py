"""How many heaps the threads of a process share."""

import os
import platform
import subprocess
import sys

import pytest

THREADS = 6
TAKE_MEMORY = """
import ctypes, threading
from sav.launch.heaps import share_heaps
{first}
barrier, kept = threading.Barrier({threads}), []
def take():
    barrier.wait()
    kept.append([bytearray(2_000 + n) for n in range(2_000)])
    barrier.wait()
threads = [threading.Thread(target=take) for _ in range({threads})]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def heaps(first: str, **environment: str) -> int:
    if platform.libc_ver()[0] != "glibc":
        # Nobody else tells how many there are; it must do no harm.
        subprocess.run(
            [sys.executable, "-c", "from sav.launch.heaps import share_heaps; share_heaps()"], check=True
        )
        return 2
    without = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    told = subprocess.run(
        [sys.executable, "-c", TAKE_MEMORY.format(first=first, threads=THREADS)],
        env=without | environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return told.count("<heap nr=")


@pytest.mark.parametrize(("setting", "most"), [({}, 2), ({"MALLOC_ARENA_MAX": "3"}, 3)])
def test_threads_share_few_heaps_or_as_many_as_the_operator_says(setting: dict[str, str], most: int) -> None:
    assert heaps("share_heaps()", **setting) <= most


def test_programs_that_are_started_share_them_too() -> None:
    again = (
        "share_heaps(); import os, subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {!r}]))"
    )
    inner = TAKE_MEMORY.format(first="", threads=THREADS)
    assert heaps(again.format(inner)) <= 2
