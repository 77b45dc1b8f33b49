"""Few heaps for many threads.

glibc gives each thread a heap of its own to take memory from, up to eight for each processor. Kept answers
come and go in all of them, and what one thread has given back is of no use to another: a web process held
twice the memory that its caches were allowed. The interpreter lets one thread compute at a time, so that
they hardly ever wait for a heap.
"""

import ctypes
import os
from contextlib import suppress

HEAPS = 2
_SETTING = "MALLOC_ARENA_MAX"
"""glibc's own name for it; whoever has set it knows better."""
_M_ARENA_MAX = -8


def share_heaps() -> None:
    """In this process, those that it forks and those that it starts; nothing where there is no glibc."""
    heaps = os.environ.setdefault(_SETTING, str(HEAPS))
    with suppress(AttributeError, OSError, ValueError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(heaps))
