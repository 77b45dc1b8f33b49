"""Whether a file is text, the whole of it, and which kind.

Text is UTF-8, UTF-16 with its mark, or some eight-bit encoding as old logs have. Content cannot tell a log
from a table, so here, and only here, the name chooses. For the same reason a name that makes a text a program
(`run.bat`, `page.html`) is believed, and refused.
"""

import codecs
import json
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from sav.storage.file_refusals import FileTypeNotAllowed, FileUnsafe

CHUNK_BYTES = 64 * 1024
OPENING_CHARACTERS = 1024
"""How much of a text's beginning, blanks left out, is looked at for what it pretends not to be."""
LARGEST_CONTROL_SHARE = 0.05
"""More control characters than this are no text; logs have some, for colours and bells."""
PARSED_JSON_BYTES = 64 * 1024
"""Up to this size JSON is parsed; beyond it only its first and last bracket are looked at."""

TEXT_KINDS = {".log": "log", ".csv": "csv", ".json": "json"}
_PROGRAM_OR_PAGE = re.compile(
    r"\.(?:bat|cmd|com|cpl|desktop|exe|hta|html?|inf|jar|jse?|jsp|lnk|mht|mhtml|mjs|msi|phar|php\d?|phtml|pif|pl"
    r"|ps1|psm1|py|rb|reg|scf|scr|sct|sh|shtml|svgz?|swf|url|vb|vbe|vbs|ws|ws[cfh]|xht|xhtml|xml|xslt?)"
)

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = [chr(code) for code in (*range(1, 0x20), 0x7F) if chr(code) not in "\b\t\n\v\f\r\x1b"]
# What a reader may skip before it looks: white space, controls, marks of byte order, what has no width.
_BLANKS = (
    "".join(map(chr, range(0x21)))
    + "".join(map(chr, range(0x7F, 0xA1)))
    + "\u1680\u180e\u2028\u2029\u202f\u205f\u2060\u3000\ufeff\ufffe"
    + "".join(map(chr, range(0x2000, 0x2010)))
)
# A syslog line begins with a number in such brackets: that is none.
_MARKUP = re.compile(r"<[A-Za-z!?/%]")
_LATE_PDF = re.compile(r"%PDF-\d")
_OTHER_DOCUMENTS = ("{\\rtf", "%!PS")


def recognise_text(file: BinaryIO, *, file_name: str) -> str:
    """`txt`, `log`, `csv` or `json`; raises `FileTypeNotAllowed` for what is no text, or more than text."""
    encoding = _encoding(file)
    opening = _read_through(file, encoding)
    _refuse_other_documents(opening)
    extension = os.path.splitext(file_name)[1].lower()
    if _PROGRAM_OR_PAGE.fullmatch(extension):
        raise FileTypeNotAllowed(f"A text named {extension} is a page or a program.")
    kind = TEXT_KINDS.get(extension, "txt")
    if kind == "json" and not _is_json(file):
        return "txt"
    return kind


def _encoding(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(4)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    try:
        for _ in _characters(file, "utf-8"):
            pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _read_through(file: BinaryIO, encoding: str) -> str:
    """Reads all of it; returns what it begins with, blanks left out."""
    opening, characters, controls = "", 0, 0
    try:
        for text in _characters(file, encoding):
            if "\0" in text:
                raise FileTypeNotAllowed("The file is no text, and nothing else that is taken.")
            characters += len(text)
            controls += sum(map(text.count, _CONTROLS))
            if len(opening) < OPENING_CHARACTERS:
                opening = (opening + text).lstrip(_BLANKS)[:OPENING_CHARACTERS]
    except UnicodeDecodeError as error:
        raise FileTypeNotAllowed("The file has the mark of a Unicode text, but is none.") from error
    if controls > characters * LARGEST_CONTROL_SHARE:
        raise FileTypeNotAllowed("The file is no text, and nothing else that is taken.")
    return opening


def _characters(file: BinaryIO, encoding: str) -> Iterator[str]:
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    while chunk := file.read(CHUNK_BYTES):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _refuse_other_documents(opening: str) -> None:
    # Seven-bit Unicode writes `<` as letters; some readers still guess it.
    seven_bit = opening.encode("utf-8").decode("utf-7", errors="ignore").lstrip(_BLANKS)
    if _MARKUP.match(opening) or _MARKUP.match(seven_bit):
        raise FileTypeNotAllowed("HTML, SVG and XML are not taken.")
    if opening.startswith("#!"):
        raise FileTypeNotAllowed("Scripts are not taken.")
    if opening.startswith(_OTHER_DOCUMENTS):
        raise FileTypeNotAllowed
    if _LATE_PDF.search(opening):
        raise FileUnsafe("A PDF begins with its signature; before this one there is something else.")


def _is_json(file: BinaryIO) -> bool:
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if length <= PARSED_JSON_BYTES:
        try:
            json.loads(file.read(PARSED_JSON_BYTES))
        except (ValueError, RecursionError):
            return False
        return True
    first = file.read(CHUNK_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    file.seek(length - CHUNK_BYTES)
    last = file.read(CHUNK_BYTES).rstrip()[-1:]
    return first + last in (b"{}", b"[]")
