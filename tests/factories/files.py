"""Small real files of every kind, and their evil twins."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""What every virus scanner takes for a virus, and nobody has to fear."""

_OOXML = "application/vnd.openxmlformats-officedocument"
OOXML_MAIN = {
    "docx": ("word/document.xml", f"{_OOXML}.wordprocessingml.document.main+xml"),
    "xlsx": ("xl/workbook.xml", f"{_OOXML}.spreadsheetml.sheet.main+xml"),
    "pptx": ("ppt/presentation.xml", f"{_OOXML}.presentationml.presentation.main+xml"),
}
ODF_TYPE = {
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
}
_FREE, _END, _TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def png(*, width: int = 2, height: int = 2) -> bytes:
    """A red square."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\0\0" * width) * height
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_png_chunk, chunks))


def _png_chunk(chunk: tuple[bytes, bytes]) -> bytes:
    name, data = chunk
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def gif(*, size: bytes = b"\x01\0\x01\0") -> bytes:
    """One white point."""
    return b"GIF89a" + size + b"\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


def jpeg() -> bytes:
    """The segments of a picture, without much of a picture."""
    return (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0\x43\0" + b"\x10" * 64 + b"\xff\xd9"
    )


def webp() -> bytes:
    data = b"WEBPVP8L" + struct.pack("<I", 13) + b"/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
    return b"RIFF" + struct.pack("<I", len(data)) + data


def pdf(*, comment: bytes = b"") -> bytes:
    """One empty page."""
    return (
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + comment + b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )


def archive(parts: Mapping[str, bytes | str], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive of these parts, in this order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as opened:
        for name, content in parts.items():
            opened.writestr(name, content)
    return file.getvalue()


def ooxml(kind: str, *, parts: Mapping[str, bytes | str] | None = None, types: str = "") -> bytes:
    """A docx, xlsx or pptx; `types` are further lines of its list of parts."""
    part, content_type = OOXML_MAIN[kind]
    listed = f'<Override PartName="/{part}" ContentType="{content_type}"/>{types}'
    return archive(
        {
            "[Content_Types].xml": content_types(listed),
            "_rels/.rels": "<Relationships/>",
            part: "<document/>",
            **(parts or {}),
        }
    )


def content_types(lines: str) -> str:
    namespace = "http://schemas.openxmlformats.org/package/2006/content-types"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Types xmlns="{namespace}">{lines}</Types>'


def odf(kind: str, *, parts: Mapping[str, bytes | str] | None = None, manifest: str = "") -> bytes:
    """An odt or ods; `manifest` are further lines of its manifest, after a DTD as old ones name it."""
    dtd = '<!DOCTYPE manifest:manifest PUBLIC "-//OpenOffice.org//DTD Manifest 1.0//EN" "Manifest.dtd">'
    return archive(
        {
            "mimetype": ODF_TYPE[kind],
            "content.xml": "<office/>",
            "META-INF/manifest.xml": f"{dtd}<m:manifest xmlns:m='urn:m'>{manifest}</m:manifest>",
            **(parts or {}),
        }
    )


def compound(*names: str, nested: tuple[str, ...] = (), sectors: int = 0) -> bytes:
    """A compound file with these streams beside its root, and `nested` ones in a storage of their own.

    `sectors` further ones are filled before the directory, so that its chain is in a late table.
    """
    entries = _compound_entries(names, nested)
    directory = b"".join(entries)
    directory += b"\0" * (-len(directory) % 512)
    first = sectors
    chain = [*range(first + 1, first + len(directory) // 512), _END]
    tables = -(-(sectors + len(chain)) // 126)
    further = max(0, -(-(tables - 109) // 127))
    numbers = [_END] * sectors + chain + [_TABLE] * tables + [0xFFFFFFFC] * further
    numbers += [_FREE] * (tables * 128 - len(numbers))
    where = [sectors + len(chain) + index for index in range(tables)]
    rest = where[109:]
    first_further = sectors + len(chain) + tables if further else _END
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H6x", 62, 3, 0xFFFE, 9, 6)
    header += struct.pack("<9I", 0, tables, first, 0, 4096, _END, 0, first_further, further)
    header += struct.pack("<109I", *(where + [_FREE] * 109)[:109])
    return (
        header
        + bytes(sectors * 512)
        + directory
        + struct.pack(f"<{len(numbers)}I", *numbers)
        + _further(rest, further, first_further)
    )


def _further(tables: list[int], count: int, first: int) -> bytes:
    sectors = []
    for index in range(count):
        numbers = (tables[index * 127 : index * 127 + 127] + [_FREE] * 127)[:127]
        sectors.append(struct.pack("<128I", *numbers, first + index + 1 if index + 1 < count else _END))
    return b"".join(sectors)


def _compound_entries(names: tuple[str, ...], nested: tuple[str, ...]) -> list[bytes]:
    # Siblings in a row: each the right one of the one before.
    beside = [*names, "Storage"] if nested else list(names)
    entries = [compound_entry("Root Entry", kind=5, child=1 if beside else _FREE)]
    for number, name in enumerate(beside, start=1):
        is_storage = bool(nested) and number == len(beside)
        entries.append(
            compound_entry(
                name,
                kind=1 if is_storage else 2,
                right=number + 1 if number < len(beside) else _FREE,
                child=number + 1 if is_storage else _FREE,
            )
        )
    for number, name in enumerate(nested, start=len(entries)):
        last = number == len(beside) + len(nested)
        entries.append(compound_entry(name, kind=2, right=_FREE if last else number + 1))
    return entries


def compound_entry(name: str, *, kind: int, right: int = _FREE, child: int = _FREE) -> bytes:
    """One entry of a compound file's directory."""
    encoded = name.encode("utf-16-le")
    length = len(encoded) + 2
    return struct.pack("<64sHBBIII36xIQ", encoded, length, kind, 1, _FREE, right, child, _END, 0)
