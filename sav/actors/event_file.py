"""Where events go without a broker: one line each in a file, on disk before the effect counts as done."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from sav.actors.envelope import Outgoing, envelope
from sav.domain.privacy import Subject, erased_data


class EventFile:
    """A file of JSON lines, for the threads of one process."""

    is_known_to_be_down = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, events: Sequence[Outgoing]) -> list[None]:
        """Returns once the lines are on disk; raises `OSError`."""
        lines = b"".join(envelope(event.publication) + b"\n" for event in events)
        with self._lock:
            is_new = not self._path.exists()
            with open(self._path, "a+b") as file:
                file.write(_line_break_if_torn(file.tell(), self._path) + lines)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_directory(self._path.parent)
        return [None] * len(events)

    def erase(self, ticket_ids: frozenset[int], subject: Subject, go_on: Callable[[], None]) -> int:
        """Takes persons out of the lines about these tickets; returns how many. Raises `OSError`."""
        with self._lock:
            if not self._path.exists():
                return 0
            erased = 0
            # Always the same name, so that what a crash leaves is written over.
            fresh = self._path.with_name(f"{self._path.name}.new")
            with open(self._path, "rb") as old, open(fresh, "wb") as new:
                for line in old:
                    go_on()
                    kept = _without_person(line, ticket_ids, subject)
                    erased += kept != line
                    new.write(kept)
                new.flush()
                os.fsync(new.fileno())
            os.replace(fresh, self._path)
            _sync_directory(self._path.parent)
        return erased

    def release(self) -> None:
        """Nothing is held open."""


def _without_person(line: bytes, ticket_ids: frozenset[int], subject: Subject) -> bytes:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        # Torn by a crash; its event stands again on the next line.
        return b""
    if event["data"]["ticket_id"] not in ticket_ids:
        return line
    # Whoever acted is not in it: a reason that was given may always be their own words.
    data = erased_data(event["event"], event["data"], actor_role="", subject=subject)
    return orjson.dumps({**event, "data": data, "request_id": None}) + b"\n"


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
