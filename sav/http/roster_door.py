"""A staff member who calls for the first time joins the roster."""

from threading import Lock

from cachetools import LRUCache

from sav.domain.occasion import Occasion
from sav.operations.roster import join_roster

REMEMBERED_AGENTS = 10_000
"""How many agents a process remembers to have seen, so that their next call asks nothing."""


class RosterDoor:
    """Lets agents in, once each."""

    def __init__(self, *, default_capacity: int) -> None:
        self._default_capacity = default_capacity
        self._seen: LRUCache[int, bool] = LRUCache(REMEMBERED_AGENTS)
        self._lock = Lock()

    def welcome(self, occasion: Occasion) -> None:
        """Adds an agent who is not on the roster yet; does nothing for anybody else."""
        user_id = occasion.caller.user_id
        if occasion.caller.role != "agent" or user_id is None:
            return
        with self._lock:
            if user_id in self._seen:
                return
        join_roster(occasion=occasion, capacity=self._default_capacity)
        with self._lock:
            self._seen[user_id] = True
