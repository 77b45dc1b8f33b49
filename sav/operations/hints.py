"""After a commit, somebody may want to know at once that effects are due.

A hint is a courtesy: it may be lost, repeated or refused without harm, because the relay finds every due
effect in the database anyway. So whoever listens must neither block nor raise.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sav.domain.effects import DONE_TOGETHER

HINTS_A_BUNDLE = 100
"""How many tickets one bundle names at most: a worker is done with them long before its lease ends."""


@dataclass(frozen=True, slots=True)
class Hint:
    """This ticket owes this effect now."""

    effect: str
    ticket_id: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """These tickets owe this effect now: hints that travel, and are followed, together."""

    effect: str
    ticket_ids: tuple[int, ...]

    def hints(self) -> list[Hint]:
        return [Hint(self.effect, ticket_id) for ticket_id in self.ticket_ids]


def bundle_size(effect: str) -> int:
    """How many tickets are told of together that owe this effect."""
    return HINTS_A_BUNDLE if effect in DONE_TOGETHER else 1


def cut(effect: str, ticket_ids: Iterable[int]) -> list[Bundle]:
    """The bundles in which these tickets are told of, in their order."""
    size, every = bundle_size(effect), tuple(ticket_ids)
    return [Bundle(effect, every[start : start + size]) for start in range(0, len(every), size)]


def bundles(hints: Iterable[Hint]) -> list[Bundle]:
    """Hints of the same effect together, each once, in their order."""
    tickets: dict[str, dict[int, None]] = {}
    for hint in hints:
        tickets.setdefault(hint.effect, {})[hint.ticket_id] = None
    return [bundle for effect, ticket_ids in tickets.items() for bundle in cut(effect, ticket_ids)]


_listeners: list[Callable[[Hint], None]] = []


def listen(listener: Callable[[Hint], None]) -> None:
    """Replaces who is told; the composition root says it once."""
    _listeners[:] = [listener]


def give(hints: set[Hint]) -> None:
    for listener in _listeners:
        for hint in hints:
            listener(hint)
