"""Office documents that are ZIP archives, recognised by their parts; macros, programs and bombs are refused.

Only the archive's directory and two small parts are ever read, all within bounds that are checked first.
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO
from xml.parsers import expat

from sav.storage.file_refusals import FileTypeNotAllowed, FileUnsafe

MAX_DIRECTORY_BYTES = 1024 * 1024
MAX_ENTRIES = 5_000
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_RATIO = 200
"""Tables of equal cells shrink to a hundredth; bombs to a thousandth."""
RATIO_MATTERS_FROM_BYTES = 1024 * 1024
MAX_PART_BYTES = 1024 * 1024
"""The longest part that is unpacked: the list of parts and their types."""

_PROGRAM = re.compile(
    r"\.(?:bat|class|cmd|com|cpl|dex|dll|exe|hta|jar|jse?|lnk|msi|pif|ps1|py|reg|scf|scr|sh|so|swf|sys|vb|vbe|vbs"
    r"|ws[fh]|do[ct]m|xl[st]m|xlsb|xlam|pp[ast]m|potm)"
)
# The types of parts, in lower case, that hold what may run. Embedded objects are programs' own files.
FORBIDDEN_TYPES = ("macroenabled", "vbaproject", "vbadata", "activex", "macrosheet", "vnd.sun.star.oleobject")
FORBIDDEN_PARTS = ("vbaproject.bin", "vbadata.xml", "meta-inf/manifest.mf")
FORBIDDEN_FOLDERS = ("basic/", "scripts/", "xl/macrosheets/", "dialogs/")

_OOXML_TYPES = {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml": "pptx",
}
_OOXML_PARTS = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx", "ppt/presentation.xml": "pptx"}
_ODF_TYPES = {
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
}
_OOXML_LIST, _ODF_TYPE, _ODF_LIST = "[Content_Types].xml", "mimetype", "META-INF/manifest.xml"

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_MAX_COMMENT_BYTES = 0xFFFF
_IS_ENCRYPTED = 0x1
_UNIX = 3
# What `zipfile` raises for archives that are not what they say.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    IndexError, OverflowError,
)  # fmt: skip


def recognise_archive(file: BinaryIO) -> str:
    """`docx`, `xlsx`, `pptx`, `odt` or `ods`; raises `FileTypeNotAllowed` for every other archive."""
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            _check_entries(archive.infolist(), length=file.seek(0, os.SEEK_END))
            return _recognise(archive)
    except _DAMAGE as error:
        raise FileUnsafe("The archive inside this document is damaged.") from error


def _check_directory(file: BinaryIO) -> None:
    """Before anything reads the directory: how long it is, and that the archive is nothing but an archive."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _END.size - _MAX_COMMENT_BYTES))
    tail = file.read(_END.size + _MAX_COMMENT_BYTES)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise FileUnsafe("The archive inside this document is damaged.")
    _, disk, first_disk, here, entries, size, offset, comment = _END.unpack_from(tail, at)
    if disk or first_disk or here != entries or at + _END.size + comment != len(tail):
        raise FileUnsafe("The archive inside this document is damaged.")
    if offset + size != length - len(tail) + at:
        raise FileUnsafe("There is something between the parts of this document's archive.")
    if entries > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise FileUnsafe("The document has too many parts.")


def _check_entries(entries: list[zipfile.ZipInfo], *, length: int) -> None:
    packed = sum(entry.compress_size for entry in entries)
    unpacked = sum(entry.file_size for entry in entries)
    if packed > length:
        raise FileUnsafe("The parts of the document overlap.")
    if unpacked > MAX_UNPACKED_BYTES or unpacked > max(RATIO_MATTERS_FROM_BYTES, packed * MAX_RATIO):
        raise FileUnsafe("The document is too large when it is unpacked.")
    names = [entry.filename.lower() for entry in entries]
    if len(set(names)) != len(names):
        raise FileUnsafe("Two parts of the document have the same name.")
    for entry in entries:
        _check_entry(entry)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if _leads_elsewhere(entry.orig_filename) or _is_link(entry):
        raise FileUnsafe("A part of the document has a name that leads elsewhere.")
    if entry.flag_bits & _IS_ENCRYPTED:
        raise FileUnsafe("The document's archive is encrypted.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileUnsafe("The document is packed in a way that no office program uses.")
    if _may_run(entry.filename.lower()):
        raise FileUnsafe("The document holds macros, a program or an embedded object.")


def _leads_elsewhere(name: str) -> bool:
    return (
        name.startswith("/")
        or ".." in name.split("/")
        or not name.isprintable()
        or any(c in name for c in "\\:\0")
    )


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return entry.create_system == _UNIX and stat.S_ISLNK(entry.external_attr >> 16)


def _may_run(name: str) -> bool:
    folder, part = os.path.split(name)
    return (
        name.startswith(FORBIDDEN_FOLDERS)
        or name.endswith(FORBIDDEN_PARTS)
        or _PROGRAM.fullmatch(os.path.splitext(part)[1]) is not None
        or (folder.endswith("embeddings") and part.endswith(".bin"))
    )


def _recognise(archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if (_OOXML_LIST in names) == (_ODF_TYPE in names):
        raise FileTypeNotAllowed("Archives are not taken; send the files by themselves.")
    return _recognise_ooxml(archive, names) if _OOXML_LIST in names else _recognise_odf(archive, names)


def _recognise_ooxml(archive: zipfile.ZipFile, names: list[str]) -> str:
    declared = _declared_types(_read_part(archive, _OOXML_LIST), attribute="ContentType")
    _refuse_forbidden(declared)
    kinds = {_OOXML_TYPES[name] for name in declared & _OOXML_TYPES.keys()}
    return _only(kinds or {_OOXML_PARTS[name] for name in _OOXML_PARTS.keys() & set(names)})


def _recognise_odf(archive: zipfile.ZipFile, names: list[str]) -> str:
    if _ODF_LIST in names:
        _refuse_forbidden(_declared_types(_read_part(archive, _ODF_LIST), attribute="media-type"))
    mime_type = _read_part(archive, _ODF_TYPE).decode("ascii", errors="replace").strip()
    return _only({_ODF_TYPES[mime_type]} if mime_type in _ODF_TYPES else set())


def _only(kinds: Iterable[str]) -> str:
    found = list(kinds)
    if len(found) != 1:
        raise FileTypeNotAllowed("Of archives, only docx, xlsx, pptx, odt and ods are taken.")
    return found[0]


def _refuse_forbidden(declared: Iterable[str]) -> None:
    if any(forbidden in name for name in declared for forbidden in FORBIDDEN_TYPES):
        raise FileUnsafe("The document holds macros, a program or an embedded object.")


def _read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        content = part.read(MAX_PART_BYTES + 1)
    if len(content) > MAX_PART_BYTES:
        raise FileUnsafe("The document has too many parts.")
    return content


def _declared_types(xml: bytes, *, attribute: str) -> frozenset[str]:
    """The values of an attribute, in lower case, whatever the prefix that names it."""
    found: set[str] = set()

    def element(_: str, attributes: dict[str, str]) -> None:
        found.update(v.strip().lower() for k, v in attributes.items() if k.rpartition(":")[2] == attribute)

    def document_type(_: str, __: str | None, ___: str | None, has_definitions: int) -> None:
        # Old manifests name their DTD, which nobody fetches; entities of their own are another matter.
        if has_definitions:
            raise FileUnsafe("A part of the document defines entities.")

    parser = expat.ParserCreate()
    parser.StartElementHandler = element
    parser.StartDoctypeDeclHandler = document_type
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise FileUnsafe("The list of the document's parts is damaged.") from error
    return frozenset(found)
