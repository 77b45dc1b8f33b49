"""What a statement found, read from the server's bytes in one pass.

The driver reads a row value by value through several calls for each, and describes the same columns anew for
each statement; for a list of 25 tickets that was as much work as everything else of the request together.
What comes out is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any

from pymysql.connections import TEXT_TYPES, MySQLResult
from pymysql.constants import FIELD_TYPE, SERVER_STATUS
from pymysql.converters import conversions, through
from pymysql.protocol import FieldDescriptorPacket

KINDS_OF_ROWS_KEPT = 1_000
"""Of so many statements at most it is remembered how their columns are read."""

# How long a value is says its first byte, or that it is NULL, or how many bytes after it say so.
_NULL = 251
_LENGTH_BYTES = {252: 2, 253: 3, 254: 8}
_BINARY = 63
_STATUS = Struct("<HH")
# A row may begin with the same byte, for the length of a value that is longer than all of this.
_END = 0xFE
_LONGEST_END = 8


def _instant(text: str | bytes) -> datetime:
    """A DATETIME as the server writes it: what PyMySQL's own conversion does by a regular expression."""
    return datetime.fromisoformat((text if isinstance(text, str) else text.decode()) + "Z")


CONVERSIONS: dict[Any, Callable[..., Any]] = {**conversions, FIELD_TYPE.DATETIME: _instant}
"""The driver's, both ways, but for instants: those that are read have their zone."""

_FROM_BYTES: dict[Any, Callable[[bytes], Any]] = {int: int, float: float, _instant: _instant}
"""What reads bytes as well as text."""


@dataclass(frozen=True, slots=True)
class _Columns:
    fields: list[Any]
    description: tuple[Any, ...]
    readers: tuple[Callable[[bytes], Any], ...]


class Rows(MySQLResult):
    """PyMySQL's result, for connections that use `CONVERSIONS` and UTF-8."""

    def _read_result_packet(self, first_packet: Any) -> None:
        self.field_count = first_packet.read_length_encoded_integer()
        self._get_descriptions()
        wire: Any = self.connection
        rows = []
        while not self._is_end(data := wire.payload()):
            rows.append(self._row(data))
        self.connection = None
        self.affected_rows, self.rows = len(rows), tuple(rows)

    def _get_descriptions(self) -> None:
        wire: Any = self.connection
        columns = _columns(tuple([wire.payload() for _ in range(self.field_count)]))
        if not self._is_end(wire.payload()):
            raise AssertionError("the columns of an answer have no end")
        self.fields = columns.fields
        self.description = columns.description
        self._readers = columns.readers

    def _is_end(self, data: bytes) -> bool:
        if data[0] != _END or len(data) > _LONGEST_END:
            return False
        self.warning_count, status = _STATUS.unpack_from(data, 1)
        self.has_next = bool(status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)
        return True

    def _read_row_from_packet(self, packet: Any) -> tuple[Any, ...]:
        return self._row(packet.get_all_data())

    def _row(self, data: bytes) -> tuple[Any, ...]:
        row: list[Any] = []
        at = 0
        for read in self._readers:
            # Most values are short, and a call for each would be half of the work.
            length = data[at]
            at += 1
            if length == _NULL:
                row.append(None)
                continue
            if length > _NULL:
                length, at = _number(data, at - 1)
            end = at + length
            row.append(read(data[at:end]))
            at = end
        if at != len(data):
            raise AssertionError("a row has other columns than were described")
        return tuple(row)

    def _read_ok_packet(self, packet: Any) -> None:
        data: bytes = packet.get_all_data()
        self.affected_rows, at = _number(data, 1)
        self.insert_id, at = _number(data, at)
        self.server_status, self.warning_count = _STATUS.unpack_from(data, at)
        self.has_next = bool(self.server_status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of any length, and where it ends."""
    first = data[at]
    if first < _NULL:
        return first, at + 1
    end = at + 1 + _LENGTH_BYTES[first]
    return int.from_bytes(data[at + 1 : end], "little"), end


@lru_cache(KINDS_OF_ROWS_KEPT)
def _columns(packets: Sequence[bytes]) -> _Columns:
    fields: list[Any] = [FieldDescriptorPacket(packet, "utf8") for packet in packets]
    return _Columns(
        fields=fields,
        description=tuple(field.description() for field in fields),
        readers=tuple(_reader(field) for field in fields),
    )


def _reader(field: Any) -> Callable[[bytes], Any]:
    convert = CONVERSIONS.get(field.type_code)
    if convert in _FROM_BYTES:
        return _FROM_BYTES[convert]
    is_binary = field.charsetnr == _BINARY and field.type_code != FIELD_TYPE.JSON
    if field.type_code in TEXT_TYPES and is_binary:
        return bytes
    if convert is None or convert is through:
        return bytes.decode
    return lambda data: convert(data.decode())
