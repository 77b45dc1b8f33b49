"""Bounded lists: a page by number while it is near, by keyset cursor at any depth."""

from __future__ import annotations

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson
import peewee

from sav.domain.errors import SavError

T = TypeVar("T")
DEEPEST_NUMBERED_ROW = 10_000
"""Pages by number skip over rows one by one; past this row only a cursor goes on."""


class InvalidCursor(SavError):
    """This cursor is not one that this list, in this order, has given out."""

    code = "invalid_cursor"


class PageTooDeep(SavError):
    """Pages by number end at the 10,000th row; go on with `cursor` from `meta.next_cursor`."""

    code = "page_too_deep"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list: after a cursor, or the page of a number (from 1)."""

    per_page: int = 25
    cursor: str | None = None
    page: int = 1
    include_total: bool = False

    def __post_init__(self) -> None:
        if self.cursor is None and self.page * self.per_page > DEEPEST_NUMBERED_ROW:
            raise PageTooDeep

    @property
    def offset(self) -> int:
        return 0 if self.cursor else (self.page - 1) * self.per_page


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One part of a list, and how to ask for the next one."""

    rows: Sequence[T]
    per_page: int
    next_cursor: str | None
    total: int | None = None


def encode_cursor(order: str, key: Any, row_id: int) -> str:
    """A cursor that stands behind the row with this sort key and id, in this order."""
    if isinstance(key, datetime):
        key = key.isoformat()
    position = orjson.dumps([order, key, row_id])
    # The checksum finds typing errors, not forgeries: a cursor opens nothing that the caller may not see.
    return urlsafe_b64encode(_checksum(position) + position).decode().rstrip("=")


def _checksum(position: bytes) -> bytes:
    return zlib.crc32(position).to_bytes(4, "big")


def decode_cursor(cursor: str, *, order: str, of_type: type) -> tuple[Any, int]:
    """The sort key and the id that a cursor stands behind; raises `InvalidCursor`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        content = urlsafe_b64decode(padded.encode())
        given_order, key, row_id = orjson.loads(content[4:])
        if of_type is datetime:
            key = datetime.fromisoformat(key)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidCursor from error
    sane = given_order == order and type(key) is of_type and type(row_id) is int
    if not sane or not 0 < row_id < 2**63 or (of_type is int and not -(2**63) <= key < 2**63):
        raise InvalidCursor
    # There is one way to write a position; whatever differs from it was not given out here.
    if encode_cursor(order, key, row_id) != cursor or (of_type is datetime and key.tzinfo is not UTC):
        raise InvalidCursor
    return key, row_id


def page_by_key(query: peewee.ModelSelect[Any], field: peewee.Field, page: PageRequest) -> Page[Any]:
    """One page of rows in the rising order of a unique integer column; raises `InvalidCursor`."""
    total = query.count() if page.include_total else None
    if page.cursor:
        key, _ = decode_cursor(page.cursor, order=field.name, of_type=int)
        query = query.where(field > key)
    # One row more than asked for tells whether there is a next page.
    rows = list(query.order_by(field).limit(page.per_page + 1).offset(page.offset))
    more, rows = len(rows) > page.per_page, rows[: page.per_page]
    last = getattr(rows[-1], field.name) if more else 0
    return Page(rows, page.per_page, encode_cursor(field.name, last, last) if more else None, total)
