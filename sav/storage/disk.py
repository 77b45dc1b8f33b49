"""Attachments as files in a directory, for a service that runs in one process."""

import tempfile
from pathlib import Path

from sav.storage.object_store import StorageUnavailable


class DiskStore:
    """One directory of this machine; made when it is missing."""

    def __init__(self, *, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Returns when a file could be written; raises `StorageUnavailable`."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            # Written, because permissions say nothing about a full or read-only disk.
            with tempfile.TemporaryFile(dir=self._directory) as probe:
                probe.write(b"?")
        except OSError as error:
            raise StorageUnavailable(f"{self._directory}: {error.strerror}") from error
