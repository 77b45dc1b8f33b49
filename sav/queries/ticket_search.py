"""Full-text search over subject and description, from what people type.

Each word of it begins a word of the text. That can be found out in two ways, which find the same: from the
texts themselves, quick when few rows are looked at or most of them fit; and from the full-text index, quick
when the word is rare: for every ticket that has it, a page of the table is read, mostly from the disk. For
a word that a third of a million tickets hold it takes many seconds. Which one is taken is decided in
`ticket_inbox`; here is how either is said.

MySQL, MariaDB and SQLite find the same but for this: servers take ß for ss and œ for oe, and on SQLite
accents make a difference in scripts other than Latin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import and_
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
_BEGINNING = r"(?<![\p{L}\p{N}_])"
# What one typed letter stands for in a text, besides itself.
_LETTERS = [chr(code) for start, end in ((0x61, 0x250), (0x1E00, 0x1F00)) for code in range(start, end)]
# Two letters that a text may hold as one.
_PAIRS = {"oe": "œ", "ss": "ß"}


def folded(text: str) -> str:
    """A text without capitals and accents, as the servers' collation compares Latin letters."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("œ", "oe"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _letters_by_folded() -> dict[str, str]:
    classes: dict[str, str] = {}
    for letter in _LETTERS:
        plain = folded(letter)
        if len(plain) == 1 and letter.islower():
            classes[plain] = classes.get(plain, "") + letter
    return classes


_CLASSES = {
    plain: f"[{letters}]" if len(letters) > 1 else letters for plain, letters in _letters_by_folded().items()
}
_CLASSES |= {sign: sign for sign in "0123456789_"}


@dataclass(frozen=True)
class Search:
    """What somebody typed: its words, without operators and punctuation."""

    text: str

    @cached_property
    def words(self) -> list[str]:
        """The words that are looked for, each once, however often and with whatever accents it was typed."""
        words = [folded(word) if self._is_latin(word) else word for word in self._typed]
        return list(dict.fromkeys(words))

    @cached_property
    def _typed(self) -> list[str]:
        return _WORD.findall(unicodedata.normalize("NFC", self.text))[:MOST_WORDS]

    @cached_property
    def indexed(self) -> list[str]:
        """The words that the full-text index knows."""
        return [word for word in self.words if SHORTEST_INDEXED <= len(word) <= LONGEST_INDEXED]

    @property
    def is_readable(self) -> bool:
        """Whether all of it can be found out from the texts; the index alone knows foreign scripts."""
        return all(self._is_latin(word) for word in self.words)

    @staticmethod
    def _is_latin(word: str) -> bool:
        return all(letter in _CLASSES for letter in folded(word))

    def by_reading(self, words: Sequence[str] | None = None) -> Any:
        """A condition on the texts; on these words of it, or on all."""
        if not self.words:
            # Nothing but signs: looked for as they stand.
            return _contains(self.text.strip())
        return reduce(and_, [self.word_by_reading(word) for word in (self.words if words is None else words)])

    def word_by_reading(self, word: str) -> Any:
        if not self._is_latin(word):
            return _contains(word) if word not in self.indexed else self._by_index_alone([word])
        pattern = _BEGINNING + _pattern(word)
        return Ticket.subject.iregexp(pattern) | Ticket.description.iregexp(pattern)

    def by_index(self, words: Sequence[str] | None = None) -> Any:
        """A condition: the full-text index serves these words, or all it knows; the rest is read."""
        chosen = self.indexed if words is None else words
        if is_sqlite():
            return _sqlite_matches(self._typed) if self._typed else self.by_reading()
        if not chosen:
            return self.by_reading()
        rest = [self.word_by_reading(word) for word in self.words if word not in chosen]
        return reduce(and_, [self._by_index_alone(chosen), *rest])

    def _by_index_alone(self, words: Sequence[str]) -> Any:
        if is_sqlite():
            return _sqlite_matches(words)
        expression = " ".join(f"+{word}*" for word in words)
        return peewee.SQL("MATCH (subject, description) AGAINST (%s IN BOOLEAN MODE)", [expression])


def _pattern(word: str) -> str:
    parts, rest = [], word
    while rest:
        pair, first = rest[:2], rest[0]
        if pair in _PAIRS:
            parts.append(f"(?:{_PAIRS[pair]}|{_CLASSES[first]}{_CLASSES[pair[1]]})")
        else:
            parts.append(_CLASSES[first])
        rest = rest[2:] if pair in _PAIRS else rest[1:]
    return "".join(parts)


def _sqlite_matches(words: Sequence[str]) -> Any:
    expression = " AND ".join(f'"{word}"*' for word in words)
    found = peewee.SQL("(SELECT rowid FROM ticket_search WHERE ticket_search MATCH ?)", [expression])
    return peewee.Expression(Ticket.id, peewee.OP.IN, found)


def _contains(text: str) -> Any:
    return Ticket.subject.contains(text) | Ticket.description.contains(text)
