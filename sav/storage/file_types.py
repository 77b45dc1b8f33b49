"""What a file is, by its content: names and headers are claims of whoever sends it.

Everybody's first look is at a file's head, so only that decides between the binary kinds. A damaged picture
or PDF is its sender's affair and is taken. A file that is *two* things (a picture with an archive or a page
behind it) is ours: whatever a second reader might take for something else is refused. What a PDF contains is
not judged: its scripts are hidden in compressed objects, so that a check would only look like one.

Libraries that recognise files stop at the head; the rest of this package begins there. So none is used, and
nothing has to be installed.
"""

import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sav.storage.compound_files import recognise_compound
from sav.storage.file_refusals import FileTypeNotAllowed, FileUnsafe
from sav.storage.office_archives import recognise_archive
from sav.storage.texts import recognise_text

CHUNK_BYTES = 64 * 1024
HEAD_BYTES = 1024
"""As far as readers of PDF look for its signature."""
TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FileType:
    """A kind of file that is taken; `extensions` are what names of its files end in, the usual one first."""

    file_type: str
    mime_type: str
    extensions: tuple[str, ...]

    def name_to_serve(self, file_name: str) -> str:
        """The name to save the file under: one that ends in what the file is, whatever it was called."""
        extension = os.path.splitext(file_name)[1].lower()
        return file_name if extension in self.extensions else file_name + self.extensions[0]


_OOXML = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"
FILE_TYPES: dict[str, FileType] = {
    file_type: FileType(file_type=file_type, mime_type=mime_type, extensions=extensions)
    for file_type, mime_type, extensions in (
        ("png", "image/png", (".png",)),
        ("jpeg", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif")),
        ("gif", "image/gif", (".gif",)),
        ("webp", "image/webp", (".webp",)),
        ("pdf", "application/pdf", (".pdf",)),
        ("docx", f"{_OOXML}.wordprocessingml.document", (".docx",)),
        ("xlsx", f"{_OOXML}.spreadsheetml.sheet", (".xlsx",)),
        ("pptx", f"{_OOXML}.presentationml.presentation", (".pptx",)),
        ("odt", f"{_ODF}.text", (".odt",)),
        ("ods", f"{_ODF}.spreadsheet", (".ods",)),
        ("doc", "application/msword", (".doc",)),
        ("xls", "application/vnd.ms-excel", (".xls",)),
        ("txt", "text/plain", (".txt",)),
        ("log", "text/plain", (".log",)),
        ("csv", "text/csv", (".csv",)),
        ("json", "application/json", (".json",)),
    )
}

_HEADS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("jpeg", re.compile(rb"\xff\xd8\xff[\xc0-\xff]")),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("pdf", re.compile(rb"%PDF-\d")),
    ("archive", re.compile(rb"PK\x03\x04")),
    ("compound", re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
)
_PICTURES = frozenset({"png", "jpeg", "gif", "webp"})
# Together they fit a script's first characters into a picture's size.
_GIF_THAT_IS_A_SCRIPT = re.compile(rb"GIF8[79]a(?:/[*/]|=[\t\n\r -~]{3})")
_PAGE = re.compile(
    rb"<(?:script|html|iframe|!doctype\s{1,16}html|\?php|svg\s{1,16}[a-z:]{1,32}\s?=)", re.IGNORECASE
)
_STOWAWAY = re.compile(rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|This program cannot be run in DOS mode")
_LONGEST_MATCH_BYTES = 64


def recognise(file: BinaryIO, *, file_name: str) -> FileType:
    """What a seekable file is; leaves it at its beginning.

    `file_name` only chooses between the kinds of text. Raises `FileTypeNotAllowed`, and `FileUnsafe` for what
    has an allowed kind but could do harm. Reads a few blocks at a time, whatever the file's size.
    """
    try:
        return FILE_TYPES[_recognise(file, file_name)]
    finally:
        file.seek(0)


def _recognise(file: BinaryIO, file_name: str) -> str:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise FileTypeNotAllowed("The file is empty.")
    kind = next((kind for kind, pattern in _HEADS if pattern.match(head)), "text")
    if kind == "archive":
        return recognise_archive(file)
    if kind == "compound":
        return recognise_compound(file)
    if kind == "text":
        return recognise_text(file, file_name=file_name)
    _refuse_second_meaning(file, kind, head)
    return kind


def _refuse_second_meaning(file: BinaryIO, kind: str, head: bytes) -> None:
    file.seek(0)
    if zipfile.is_zipfile(file):
        raise FileUnsafe("There is an archive behind the picture or the PDF.")
    if _contains(file, _STOWAWAY):
        raise FileUnsafe("There is an archive or a program inside the picture or the PDF.")
    if kind in _PICTURES:
        _refuse_picture_that_is_more(file, head)
    elif _PAGE.search(head.partition(b" obj")[0]) or _PAGE.search(_after_last_end(file)):
        # Inside its objects a PDF may speak of HTML as it likes.
        raise FileUnsafe("There is a page around the PDF.")


def _refuse_picture_that_is_more(file: BinaryIO, head: bytes) -> None:
    if b"%PDF-" in head:
        raise FileUnsafe("There is a PDF inside the picture.")
    if _GIF_THAT_IS_A_SCRIPT.match(head) or _contains(file, _PAGE):
        raise FileUnsafe("There is a page or a script inside the picture.")


def _contains(file: BinaryIO, pattern: re.Pattern[bytes]) -> bool:
    return any(pattern.search(window) for window in _windows(file))


def _windows(file: BinaryIO) -> Iterator[bytes]:
    """The file's blocks, each after the end of the one before it: nothing hides on the border."""
    file.seek(0)
    before = b""
    while chunk := file.read(CHUNK_BYTES):
        yield before + chunk
        before = (before + chunk)[-_LONGEST_MATCH_BYTES:]


def _after_last_end(file: BinaryIO) -> bytes:
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - TAIL_BYTES))
    return file.read(TAIL_BYTES).rpartition(b"%%EOF")[2]
