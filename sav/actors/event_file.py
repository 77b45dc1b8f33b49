"""Where events go without a broker: one line each in a file, on disk before the effect counts as done."""

import os
import threading
from pathlib import Path

from sav.actors.envelope import envelope
from sav.operations.due_effects import Publication


class EventFile:
    """A file of JSON lines, for the threads of one process."""

    is_known_to_be_down = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, publication: Publication) -> None:
        """Returns once the line is on disk; raises `OSError`."""
        with self._lock:
            is_new = not self._path.exists()
            with open(self._path, "a+b") as file:
                file.write(_line_break_if_torn(file.tell(), self._path) + envelope(publication) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_directory(self._path.parent)

    def release(self) -> None:
        """Nothing is held open."""


def _line_break_if_torn(size: int, path: Path) -> bytes:
    """What ends a line that a crash or a full disk has cut off; its event is written again as a whole."""
    if size == 0:
        return b""
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return b"" if file.read(1) == b"\n" else b"\n"


def _sync_directory(directory: Path) -> None:
    """Makes the name of a new file durable, too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
