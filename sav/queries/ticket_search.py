"""Full-text search over subject and description, from what people type.

MySQL, MariaDB and SQLite find the same but for this: words of one or two letters are found anywhere on a
server, and at the beginning of words only by SQLite; and a server takes ß for ss and the like, where SQLite
looks through the accents of Latin letters alone.
"""

import re
from typing import Any

import peewee

from sav.models.database import is_sqlite
from sav.models.tables import Ticket

MOST_WORDS = 10
"""Words of a search beyond these are ignored."""
SHORTEST_INDEXED = 3
LONGEST_INDEXED = 84
"""InnoDB indexes words of 3 to 84 characters; others are looked for in the texts themselves."""

_WORD = re.compile(r"\w+")


def matches(text: str) -> Any:
    """A condition on `Ticket`: each word of `text` begins a word of the subject or the description.

    Operators and punctuation have no meaning; a text without any word is looked for as it stands.
    """
    words = _WORD.findall(text)[:MOST_WORDS]
    if not words:
        return _contains(text.strip())
    if is_sqlite():
        return _sqlite_matches(words)
    indexed = [word for word in words if SHORTEST_INDEXED <= len(word) <= LONGEST_INDEXED]
    condition = _server_matches(indexed) if indexed else None
    for word in words:
        if word not in indexed:
            condition = _contains(word) if condition is None else condition & _contains(word)
    return condition


def _server_matches(words: list[str]) -> Any:
    expression = " ".join(f"+{word}*" for word in words)
    return peewee.SQL("MATCH (subject, description) AGAINST (%s IN BOOLEAN MODE)", [expression])


def _sqlite_matches(words: list[str]) -> Any:
    expression = " AND ".join(f'"{word}"*' for word in words)
    found = peewee.SQL("(SELECT rowid FROM ticket_search WHERE ticket_search MATCH ?)", [expression])
    return peewee.Expression(Ticket.id, peewee.OP.IN, found)


def _contains(text: str) -> Any:
    return Ticket.subject.contains(text) | Ticket.description.contains(text)
