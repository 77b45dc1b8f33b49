"""Where the processes of one `sav http` or `sav worker` add up what they count.

Imports nothing of `prometheus_client`, which looks at the variable once, when it is first imported.
"""

import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "sav-metrics-"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
"""Memory where there is such a thing: a full disk under a mapped file ends a process without a word."""


def share_counts_between_processes() -> Path:
    """Makes a new, empty directory for this process and its children; removes those of the dead.

    A kept directory would count what an earlier start has done, under process ids that come again.
    """
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    for leftover in place.glob(f"{PREFIX}*"):
        if not _is_alive(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
    os.environ[VARIABLE] = str(directory)
    return directory


def _is_alive(directory: Path) -> bool:
    process = directory.name.removeprefix(PREFIX).partition("-")[0]
    # Its own id may be an old one's, come again.
    return process.isdigit() and int(process) != os.getpid() and Path(f"/proc/{process}").exists()
