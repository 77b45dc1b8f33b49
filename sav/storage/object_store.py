"""What every store of attachments can do, wherever it keeps them."""

from typing import Protocol


class StorageUnavailable(Exception):
    """The store of attachments could not be reached, or refuses us; the message says why, for logs."""


class ObjectStore(Protocol):
    """Keeps files under keys."""

    def check(self) -> None:
        """Returns when files could be stored now; raises `StorageUnavailable` otherwise."""
