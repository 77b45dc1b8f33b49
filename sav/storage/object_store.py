"""What every store of attachments can do, wherever it keeps them, and how a file is handed out.

Keys are paths of letters, digits and a few signs; what people call their files is never part of one
unchanged. A file that is handed out is always downloaded, never shown: what a browser would run as a page
of ours is given the type of plain text.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol
from urllib.parse import quote

LINK_LIFETIME = timedelta(hours=1)
"""How long a link to a file is good for."""
PLAIN_TEXT = "text/plain; charset=utf-8"
_TEXT_TYPES = ("application/json", "application/csv", "application/xml")


class StorageUnavailable(Exception):
    """The store of attachments could not be reached, or refuses us; the message says why, for logs."""


class NoPlaceForFiles(StorageUnavailable):
    """The store answers, and has no place for our files: its bucket is missing."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the store, and since when it is there."""

    key: str
    stored_at: datetime


class ObjectStore(Protocol):
    """Keeps files under keys. Every method but `signed_url` may raise `StorageUnavailable`."""

    def check(self) -> None:
        """Returns when files could be stored now; raises `StorageUnavailable` otherwise."""

    def make(self) -> None:
        """Makes the place for files; nothing where there is one."""

    def put(self, key: str, file: BinaryIO, *, length: int, mime_type: str) -> None:
        """Stores the next `length` bytes of a file, whole or not at all; never holds them in memory."""

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]]:
        """An object's bytes, a block at a time; one that is not there is `StorageUnavailable` too."""

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is removed already."""

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str, *, older_than: datetime) -> Iterator[StoredObject]:
        """The objects whose key begins like this and that were stored before a moment, a few at a time."""

    def remove_leftovers(self, *, older_than: datetime) -> None:
        """Removes what crashes have left in the store that is no object, and that no list shows."""

    def signed_url(
        self, key: str, *, file_name: str, mime_type: str, now: datetime, lifetime: timedelta = LINK_LIFETIME
    ) -> str:
        """A link to the file for whoever holds it; made without asking anybody."""


def content_disposition(file_name: str) -> str:
    """What makes a browser save a file under its own name (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def served_type(mime_type: str) -> str:
    """The type under which a file is handed out: text is plain text, whatever its kind."""
    if mime_type.startswith("text/") or mime_type.partition(";")[0] in _TEXT_TYPES:
        return PLAIN_TEXT
    return mime_type
