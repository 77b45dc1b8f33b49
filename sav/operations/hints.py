"""After a commit, somebody may want to know at once that effects are due.

A hint is a courtesy: it may be lost, repeated or refused without harm, because the relay finds every due
effect in the database anyway. So whoever listens must neither block nor raise.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hint:
    """This ticket owes this effect now."""

    effect: str
    ticket_id: int


_listeners: list[Callable[[Hint], None]] = []


def listen(listener: Callable[[Hint], None]) -> None:
    """Replaces who is told; the composition root says it once."""
    _listeners[:] = [listener]


def give(hints: set[Hint]) -> None:
    for listener in _listeners:
        for hint in hints:
            listener(hint)
