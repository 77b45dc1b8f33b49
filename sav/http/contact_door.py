"""Whoever writes says in their token where they are written to."""

from threading import Lock

from cachetools import LRUCache

from sav.domain.occasion import Occasion
from sav.operations.contacts import remember_contact

REMEMBERED_CONTACTS = 10_000
"""How many addresses a process remembers to have seen, so that the next write asks nothing."""


class ContactDoor:
    """Learns addresses: once each, and again when one has changed."""

    def __init__(self) -> None:
        self._seen: LRUCache[int, tuple[str, str | None]] = LRUCache(REMEMBERED_CONTACTS)
        self._lock = Lock()

    def welcome(self, occasion: Occasion) -> None:
        """Notes the caller's address, when their token has one that this process does not know."""
        caller = occasion.caller
        if caller.user_id is None or not caller.email:
            return
        said = (caller.email, caller.name)
        with self._lock:
            if self._seen.get(caller.user_id) == said:
                return
        remember_contact(user_id=caller.user_id, email=caller.email, name=caller.name, now=occasion.now)
        with self._lock:
            self._seen[caller.user_id] = said
