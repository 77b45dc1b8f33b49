"""Old office documents (doc, xls): compound files, little file systems of their own.

Only the directory is read, sector by sector along its chain. The format lets a file claim tables of any size
and chains without end; every step here is bounded, which a library for whole files would not promise.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sav.storage.file_refusals import FileTypeNotAllowed, FileUnsafe

MAX_DIRECTORY_ENTRIES = 8_192

# What says which program wrote a document: a stream beside the root.
_KINDS = {"WordDocument": "doc", "Workbook": "xls", "Book": "xls"}
# In lower case, wherever they are: macros, and files of any kind packed into the document.
_FORBIDDEN = frozenset({"macros", "vba", "_vba_project", "_vba_project_cur", "\x01ole10native"})
_ENCRYPTED = frozenset({"encryptedpackage", "encryptioninfo"})

# Order of bytes, size of sectors; the directory's first sector; the first sector of further tables; tables.
_HEADER = struct.Struct("<28xHH16xI16xI4x109I")
# Name, its length in bytes, kind, left and right sibling, first child.
_ENTRY = struct.Struct("<64sHBxIII48x")
_NUMBER = struct.Struct("<I")
_LITTLE_ENDIAN = 0xFFFE
_SECTOR_SHIFTS = (9, 12)
_LAST_SECTOR = 0xFFFFFFFA
_END_OF_CHAIN = 0xFFFFFFFE
_NOBODY = 0xFFFFFFFF
_EMPTY, _ROOT = 0, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    kind: int
    siblings: tuple[int, int]
    child: int


def recognise_compound(file: BinaryIO) -> str:
    """`doc` or `xls`; raises `FileTypeNotAllowed` for every other compound file."""
    try:
        entries = _Sectors(file).directory()
    except (struct.error, UnicodeDecodeError) as error:
        raise _damaged() from error
    names = {entry.name.lower() for entry in entries.values()}
    if names & _ENCRYPTED:
        raise FileUnsafe("The document is encrypted as a whole, and cannot be looked into.")
    if names & _FORBIDDEN:
        raise FileUnsafe("The document holds macros, a program or an embedded object.")
    kinds = {_KINDS[name] for name in _names_beside_root(entries) if name in _KINDS}
    if len(kinds) != 1:
        raise FileTypeNotAllowed("Of compound files, only doc and xls are taken.")
    return kinds.pop()


def _damaged() -> FileUnsafe:
    return FileUnsafe("The directory inside this document is damaged.")


def _names_beside_root(entries: dict[int, _Entry]) -> Iterator[str]:
    root = entries.get(0)
    if root is None or root.kind != _ROOT:
        raise _damaged()
    waiting, seen = [root.child], set[int]()
    while waiting:
        number = waiting.pop()
        if number == _NOBODY:
            continue
        if number in seen or number not in entries:
            raise _damaged()
        seen.add(number)
        yield entries[number].name
        waiting.extend(entries[number].siblings)


class _Sectors:
    """A file's sectors, and the tables that chain them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = file.seek(0, os.SEEK_END)
        file.seek(0)
        order, shift, self._first, self._further, *tables = _HEADER.unpack(file.read(_HEADER.size))
        if order != _LITTLE_ENDIAN or shift not in _SECTOR_SHIFTS:
            raise _damaged()
        self._bytes = 1 << shift
        self._tables: list[int] = tables

    def directory(self) -> dict[int, _Entry]:
        """The entries in use, by their number."""
        entries: dict[int, _Entry] = {}
        a_sector = self._bytes // _ENTRY.size
        for position, sector in enumerate(self._chain(self._first)):
            if position * a_sector >= MAX_DIRECTORY_ENTRIES:
                raise FileUnsafe("The document has too many parts.")
            for index, fields in enumerate(_ENTRY.iter_unpack(self._read(sector))):
                name, length, kind, left, right, child = fields
                if kind != _EMPTY:
                    text = name[: max(0, min(length, len(name)) - 2)].decode("utf-16-le")
                    entries[position * a_sector + index] = _Entry(
                        name=text, kind=kind, siblings=(left, right), child=child
                    )
        return entries

    def _chain(self, sector: int) -> Iterator[int]:
        seen = set[int]()
        while sector != _END_OF_CHAIN:
            if sector in seen:
                raise _damaged()
            seen.add(sector)
            yield sector
            sector = self._after(sector)

    def _after(self, sector: int) -> int:
        table, index = divmod(sector, self._bytes // _NUMBER.size)
        return self._number(self._table(table), index)

    def _table(self, table: int) -> int:
        """The sector of a table: the header knows the first ones, sectors of their own the others."""
        while table >= len(self._tables):
            if len(self._tables) * self._bytes > self._length:
                raise _damaged()
            *more, self._further = struct.unpack(
                f"<{self._bytes // _NUMBER.size}I", self._read(self._further)
            )
            self._tables += more
        return self._tables[table]

    def _number(self, sector: int, index: int) -> int:
        numbers = self._read(sector)
        number: int = _NUMBER.unpack_from(numbers, index * _NUMBER.size)[0]
        return number

    def _read(self, sector: int) -> bytes:
        # The header fills the first sector, even where that is larger than the header.
        if sector >= _LAST_SECTOR or (sector + 1) * self._bytes >= self._length:
            raise _damaged()
        self._file.seek((sector + 1) * self._bytes)
        content = self._file.read(self._bytes)
        # Some programs leave out what is empty at the end of the last sector.
        return content.ljust(self._bytes, b"\0")
