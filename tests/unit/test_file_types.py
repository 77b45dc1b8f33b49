"""What a file is, and what is refused: by content, over a table of friendly and hostile files."""

import io
import json
import random
import struct
import zipfile
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sav.storage import texts
from sav.storage.file_refusals import FileTypeNotAllowed, FileUnsafe
from sav.storage.file_types import CHUNK_BYTES, FILE_TYPES, FileType, recognise
from tests.factories import files

MARK_16 = b"\xff\xfe"
LOG = b"2026-01-15T10:30:00Z \x1b[31mERROR\x1b[0m upstream said <html><body>502</body></html>\n"

FRIENDLY: dict[str, tuple[bytes, str, str]] = {
    # what it shows: (content, name, kind)
    "a png": (files.png(), "photo.png", "png"),
    "a png named .exe": (files.png(), "photo.exe", "png"),
    "a png without a name": (files.png(), "", "png"),
    "a png with padding behind it": (files.png() + bytes(9000), "p.png", "png"),
    "a png cut off": (files.png()[:40], "p.png", "png"),
    "a png that speaks of svg and xml": (files.png() + b"<?xpacket?><x:xmpmeta> <svg>", "p.png", "png"),
    "a jpeg": (files.jpeg(), "photo.jpg", "jpeg"),
    "a jpeg and a film, as phones make them": (files.jpeg() + b"\0\0\0\x18ftypmp42" * 9, "p.jpg", "jpeg"),
    "a gif": (files.gif(), "a.gif", "gif"),
    "a gif 61 points wide, the code of an equals sign": (files.gif(size=b"=\0\x20\0"), "a.gif", "gif"),
    "a webp": (files.webp(), "a.webp", "webp"),
    "a pdf": (files.pdf(), "invoice.pdf", "pdf"),
    "a pdf that speaks of html": (files.pdf() + b"4 0 obj (<html>) endobj" * 99 + b"\n%%EOF", "a.pdf", "pdf"),
    "a docx": (files.ooxml("docx"), "letter.docx", "docx"),
    "an xlsx": (files.ooxml("xlsx"), "table.xlsx", "xlsx"),
    "a pptx": (files.ooxml("pptx"), "talk.pptx", "pptx"),
    "a docx named .zip": (files.ooxml("docx"), "letter.zip", "docx"),
    "a pptx with the table of its chart": (
        files.ooxml("pptx", parts={"ppt/embeddings/Sheet1.xlsx": files.ooxml("xlsx")}), "talk.pptx", "pptx",
    ),
    "a docx whose main part has another name": (
        files.archive({
            "[Content_Types].xml": files.content_types(
                f'<Override PartName="/word/document2.xml" ContentType="{files.OOXML_MAIN["docx"][1]}"/>'
            ),
            "word/document2.xml": "<d/>",
        }), "a.docx", "docx",
    ),
    "a docx that declares little": (
        files.archive({"[Content_Types].xml": "<Types/>", "word/document.xml": "<d/>"}), "a.docx", "docx",
    ),
    "a table of equal cells, a hundred times smaller packed": (
        files.ooxml("xlsx", parts={"xl/worksheets/sheet1.xml": b"<c><v>0</v></c><c><v>1</v></c>" * 30_000}),
        "a.xlsx", "xlsx",
    ),
    "an odt": (files.odf("odt"), "letter.odt", "odt"),
    "an ods": (files.odf("ods"), "table.ods", "ods"),
    "a doc": (files.compound("WordDocument", "1Table", "\x05SummaryInformation"), "old.doc", "doc"),
    "an xls": (files.compound("Workbook", "\x05SummaryInformation"), "old.xls", "xls"),
    "an xls of 1995": (files.compound("Book"), "old.xls", "xls"),
    "a doc with a table in it": (files.compound("WordDocument", nested=("Workbook",)), "old.doc", "doc"),
    "a doc whose directory lies behind ten million bytes": (
        files.compound("WordDocument", sectors=20_000), "old.doc", "doc",
    ),
    "a text": (b"My parcel never came.\r\n", "note.txt", "txt"),
    "a text of one letter": (b"x", "x.txt", "txt"),
    "a text without a name": (b"hello", "", "txt"),
    "a text in French": ("Le colis n'est pas arrivé, ça dure\n".encode(), "n.txt", "txt"),
    "a text in old French": ("Le colis n'est pas arrivé, ça dure\n".encode("cp1252"), "n.txt", "txt"),
    "a text in DOS French": ("Le colis n'est pas arrivé, ça dure\n".encode("cp850"), "n.txt", "txt"),
    "a text in Japanese": ("荷物が届きません。\n".encode("shift_jis"), "n.txt", "txt"),
    "a text with a mark": ("\ufeffçà".encode(), "n.txt", "txt"),
    "a text in UTF-16": ("The parcel, été".encode("utf-16"), "n.txt", "txt"),
    "a text in UTF-16, the other way round": (b"\xfe\xff" + "The parcel".encode("utf-16-be"), "n.txt", "txt"),
    "a text of another kind": (b"# Heading\n", "readme.md", "txt"),
    "a text that asks 1 < 2": (b"< 2 is 1\n", "n.txt", "txt"),
    "a log": (LOG * 9, "app.log", "log"),
    "a log in upper case": (LOG, "APP.LOG", "log"),
    "a log of syslog": (b"<134>Jan 15 10:30:00 host app: started\n", "sys.log", "log"),
    "a log with a bell here and there": (b"done\a" + b"x" * 200, "a.log", "log"),
    "a csv": (b"id;name\n1;Ada\n", "list.csv", "csv"),
    "json": (b' {"a": [1, 2]}\n', "a.json", "json"),
    "json with a mark": (b'\xef\xbb\xbf{"a": "<html>"}', "a.json", "json"),
    "much json": (b"[" + b"1," * 60_000 + b"1]\n", "a.json", "json"),
    "json that is none": (b"{not json}", "a.json", "txt"),
    "json without an end": (b"[" + b"1," * 60_000, "a.json", "txt"),
    "json as deep as a well": (b"[" * 60_000, "a.json", "txt"),
    "a text that is json, but does not say so": (b"{}", "a.txt", "txt"),
    "a text that a scanner takes for a virus": (files.EICAR, "eicar.txt", "txt"),
}  # fmt: skip

NOT_ALLOWED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty.txt"),
    "a Windows program named .png": (b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff" + bytes(64), "photo.png"),
    "a Linux program": (b"\x7fELF\x02\x01\x01\0" + bytes(64), "a.txt"),
    "a Mac program": (b"\xcf\xfa\xed\xfe\x07\0\0\x01" + bytes(64), "a.log"),
    "a Java class": (b"\xca\xfe\xba\xbe\0\0\0\x34", "a.csv"),
    "a script": (b"#!/bin/sh\nrm -rf /\n", "a.txt"),
    "a script behind a mark": ("\ufeff#!/usr/bin/env python\n".encode(), "a.txt"),
    "a batch file": (b"@echo off\r\ndel *.*\r\n", "run.bat"),
    "a PowerShell script": (b"Remove-Item *\r\n", "run.PS1"),
    "a script for the browser": (b"alert(1)", "a.js"),
    "a text named .exe": (b"hello", "hello.exe"),
    "a text named .html": (b"hello <script>alert(1)</script>", "a.html"),
    "html": (b"<!DOCTYPE html><html></html>", "a.html"),
    "html named .txt": (b"<html><script>alert(1)</script></html>", "a.txt"),
    "html named .png": (b"<html></html>", "a.png"),
    "html in mixed case": (b"<hTmL>", "a.txt"),
    "html behind blanks": (b" \t\r\n\f" * 20_000 + b"<html>", "a.txt"),
    "html behind controls": (b" \x01" * 3 + b"<html>" + b" " * 200, "a.txt"),
    "html behind a mark": (b"\xef\xbb\xbf<html>", "a.txt"),
    "html behind a mark without width": ("\u200b\u2060\u00a0<html>".encode(), "a.txt"),
    "html behind a comment": (b"<!-- only words --><html>", "a.txt"),
    "html in UTF-16": ("<html>".encode("utf-16"), "a.txt"),
    "html in UTF-16, the other way round": (b"\xfe\xff" + "  <html>".encode("utf-16-be"), "a.txt"),
    "html in UTF-16 without a mark": ("<html><p>hello</p>".encode("utf-16-le"), "a.txt"),
    "html in UTF-32": ("<html>".encode("utf-32"), "a.txt"),
    "html in seven bits": (b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-", "a.txt"),
    "html in seven bits behind its mark": (b"+/v8-+ADw-html+AD4-", "a.txt"),
    "a piece of html": (b"<p onclick=alert(1)>hello</p>", "a.txt"),
    "an end tag": (b"</title><script>alert(1)</script>", "a.txt"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "a.svg"),
    "svg named .png": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "a.png"),
    "svg behind a comment": (b"<!-- hi --><svg/>", "a.txt"),
    "xml": (b'<?xml version="1.0"?><a/>', "a.xml"),
    "xml named .csv": (b"<a>1;2</a>", "a.csv"),
    "php": (b"<?php system($_GET[0]);", "a.log"),
    "rich text": (b"{\\rtf1 hello}", "a.txt"),
    "PostScript": (b"%!PS-Adobe-3.0\n", "a.txt"),
    "a broken Unicode text": (MARK_16 + b"\x00\xd8a", "a.txt"),
    "controls": (bytes(range(1, 32)) * 9, "a.txt"),
    "one NUL at the end of a long text": (b"hello\n" * 50_000 + b"\0", "a.log"),
    "a bitmap": (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "a.bmp"),
    "an archive": (files.archive({"a.txt": "hello"}), "a.zip"),
    "an archive named .docx": (files.archive({"a.txt": "hello"}), "a.docx"),
    "an archive without parts": (files.archive({}), "a.zip"),
    "a Java archive": (files.archive({"META-INF/x": "", "a.txt": ""}), "a.jar"),
    "a gzip": (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "a.gz"),
    "a RAR": (b"Rar!\x1a\x07\x01\0", "a.rar"),
    "a document template": (
        files.archive({"[Content_Types].xml": files.content_types(""), "customXml/a.xml": ""}), "a.dotx",
    ),
    "an OpenDocument drawing": (
        files.archive({"mimetype": "application/vnd.oasis.opendocument.graphics"}), "a.odg",
    ),
    "a docx and an odt at once": (
        files.ooxml("docx", parts={"mimetype": files.ODF_TYPE["odt"]}), "a.docx",
    ),
    "a docx and an xlsx at once": (
        files.ooxml("docx", types=f'<Override ContentType="{files.OOXML_MAIN["xlsx"][1]}"/>'), "a.docx",
    ),
    "an old presentation": (files.compound("PowerPoint Document"), "a.ppt"),
    "an installer": (files.compound("\u4840\u3f7f"), "a.doc"),
    "a doc and an xls at once": (files.compound("WordDocument", "Workbook"), "a.doc"),
    "a doc hidden in something else": (files.compound("Other", nested=("WordDocument",)), "a.doc"),
}  # fmt: skip

MACRO = '<Override PartName="/word/x.bin" ContentType="application/vnd.ms-office.vbaProject"/>'
MACRO_MAIN = '<Default Extension="x" ContentType="application/vnd.ms-word.document.MacroEnabled.main+xml"/>'
ENTITIES = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><Types>&c;</Types>'


def patched(content: bytes, at: int, number: int, *, size: int = 4) -> bytes:
    return content[:at] + number.to_bytes(size, "little") + content[at + size :]


def encrypted_flag(content: bytes) -> bytes:
    return patched(content, content.index(b"PK\x01\x02") + 8, 1, size=2)


def with_link(content: bytes) -> bytes:
    at = content.index(b"PK\x01\x02")
    return patched(patched(content, at + 5, 3, size=1), at + 38, 0o120777 << 16)


def end_of(content: bytes) -> int:
    return content.rindex(b"PK\x05\x06")


def twice_the_same_name() -> bytes:
    content = files.ooxml("docx", parts={"word/documenT.xml": "<evil/>"})
    assert content.count(b"documenT") == 2
    return content


RANDOM = random.Random(1).randbytes(100_000)
DOCX = files.ooxml("docx")
DOC = files.compound("WordDocument")
UNSAFE: dict[str, tuple[bytes, str]] = {
    "a picture and an archive": (files.jpeg() + files.archive({"a.class": "x"}), "a.jpg"),
    "a gif and a Java archive": (files.gif() + files.archive({"META-INF/MANIFEST.MF": "x"}), "a.gif"),
    "a picture and a RAR": (files.png() + b"Rar!\x1a\x07\x01\0" + bytes(99), "a.png"),
    "a picture and a program": (files.png() + b"MZ\x90\0\0!This program cannot be run in DOS mode.", "a.png"),
    "a gif and a page": (files.gif() + b"<script>alert(1)</script>", "a.gif"),
    "a gif whose head is a page": (b"GIF89a<script>alert(1)</script>", "a.gif"),
    "a gif that is a script": (files.gif(size=b"/*\x01\0") + b"*/=1;alert(1)", "a.gif"),
    "a gif that is an assignment": (b"GIF89a=1;alert(1);//" + bytes(9), "a.gif"),
    "a png with a page in its notes": (files.png() + bytes(70_000) + b"<HTML >", "a.png"),
    "a png with a page across a block's border": (
        files.png().ljust(CHUNK_BYTES - 3, b"\0") + b"<script>", "a.png",
    ),
    "a png with php in its notes": (files.png() + b"<?php eval($x);", "a.png"),
    "a jpeg with a drawing that runs": (files.jpeg() + b"<svg onload=alert(1)>", "a.jpg"),
    "a picture and a pdf": (files.gif() + files.pdf(), "a.gif"),
    "a pdf and an archive": (files.pdf() + files.archive({"a.txt": "x"}), "a.pdf"),
    "a pdf around a page": (files.pdf(comment=b"%<script>alert(1)</script>\n"), "a.pdf"),
    "a pdf before a page": (files.pdf() + b"<html><script>alert(1)</script>", "a.pdf"),
    "a pdf behind something": (b"hello\n" + files.pdf().replace(b"\xe2\xe3\xcf\xd3", b""), "a.pdf"),
    "a docx with macros": (files.ooxml("docx", parts={"word/vbaProject.bin": "x"}), "a.docx"),
    "a docx with macros under another name": (files.ooxml("docx", types=MACRO), "a.docx"),
    "a docm": (files.ooxml("docx", types=MACRO_MAIN), "a.docx"),
    "an xlsx with old macros": (files.ooxml("xlsx", parts={"xl/macrosheets/sheet1.xml": "x"}), "a.xlsx"),
    "a docx with a program": (files.ooxml("docx", parts={"word/media/Setup.EXE": "MZ"}), "a.docx"),
    "a docx with an object": (files.ooxml("docx", parts={"word/embeddings/oleObject1.bin": "x"}), "a.docx"),
    "a docx with a docm inside": (files.ooxml("docx", parts={"word/embeddings/a.docm": "x"}), "a.docx"),
    "a docx that is a Java archive": (files.ooxml("docx", parts={"META-INF/MANIFEST.MF": "x"}), "a.docx"),
    "an odt with macros": (files.odf("odt", parts={"Basic/Standard/Module1.xml": "x"}), "a.odt"),
    "an ods with scripts": (files.odf("ods", parts={"Scripts/python/x.txt": "x"}), "a.ods"),
    "an odt with an object": (
        files.odf("odt", manifest='<m:a m:media-type="application/vnd.sun.star.oleobject"/>'), "a.odt",
    ),
    "a bomb": (files.ooxml("docx", parts={"word/media/a.png": bytes(20_000_000)}), "a.docx"),
    "a bomb that lies about its size": (
        patched(DOCX, DOCX.index(b"PK\x01\x02") + 24, 2**31), "a.docx",
    ),
    "a bomb of many parts": (
        files.ooxml("docx", parts={f"word/{number}": "" for number in range(5_001)}), "a.docx",
    ),
    "parts that overlap": (patched(DOCX, DOCX.index(b"PK\x01\x02") + 20, 2**20), "a.docx"),
    "a long list of parts": (
        files.archive({"[Content_Types].xml": "<Types>" + " " * 1_100_000 + "</Types>",
                       "word/document.xml": "<d/>", "word/media/a.png": RANDOM}), "a.docx",
    ),
    "a part that climbs": (files.ooxml("docx", parts={"word/../../etc/passwd": "x"}), "a.docx"),
    "a part from the root": (files.ooxml("docx", parts={"/etc/passwd": "x"}), "a.docx"),
    "a part on another disk": (files.ooxml("docx", parts={"C:/autoexec": "x"}), "a.docx"),
    "a part with backslashes": (files.ooxml("docx", parts={"word\\..\\x": "x"}), "a.docx"),
    "a part that is a link": (with_link(DOCX), "a.docx"),
    "two parts of one name": (twice_the_same_name(), "a.docx"),
    "an encrypted part": (encrypted_flag(DOCX), "a.docx"),
    "parts packed in a rare way": (
        files.archive({"[Content_Types].xml": "<Types/>", "word/document.xml": "<d/>"},
                      compression=zipfile.ZIP_LZMA), "a.docx",
    ),
    "entities that grow": (
        files.archive({"[Content_Types].xml": ENTITIES, "word/document.xml": "<d/>"}), "a.docx",
    ),
    "a list of parts that is no xml": (
        files.archive({"[Content_Types].xml": "<Types", "word/document.xml": "<d/>"}), "a.docx",
    ),
    "half a docx": (DOCX[: len(DOCX) // 2], "a.docx"),
    "a docx without its last byte": (DOCX[:-1], "a.docx"),
    "a docx with something behind it": (DOCX + b"hello", "a.docx"),
    "a docx with something in the middle": (
        DOCX[: DOCX.index(b"PK\x01\x02")] + b"hello" + DOCX[DOCX.index(b"PK\x01\x02") :], "a.docx",
    ),
    "a docx on several disks": (patched(DOCX, end_of(DOCX) + 4, 1, size=2), "a.docx"),
    "a docx that counts 65,535 parts": (
        patched(patched(DOCX, end_of(DOCX) + 8, 0xFFFF, size=2), end_of(DOCX) + 10, 0xFFFF, size=2), "a.docx",
    ),
    "a doc with macros": (files.compound("WordDocument", "Macros"), "a.doc"),
    "an xls with macros deep inside": (files.compound("Workbook", nested=("VBA",)), "a.xls"),
    "a doc with a packed file": (files.compound("WordDocument", nested=("\x01Ole10Native",)), "a.doc"),
    "a docx under a password": (files.compound("EncryptedPackage", "EncryptionInfo"), "a.docx"),
    "the head of a doc": (DOC[:8] + bytes(504), "a.doc"),
    "a doc cut off": (DOC[:512], "a.doc"),
    "a doc of its head's eight bytes": (DOC[:8], "a.doc"),
    "a doc whose directory chases its tail": (patched(DOC, 1024, 0), "a.doc"),
    "a doc whose siblings chase their tails": (patched(DOC, 512 + 128 + 72, 1), "a.doc"),
    "a doc whose directory is nowhere": (patched(DOC, 48, 0x00FFFFFF), "a.doc"),
    "a doc whose tables are nowhere": (patched(DOC, 76, 0x00FFFFFF), "a.doc"),
    "a doc of a thousand tables of tables": (patched(patched(DOC, 48, 0x00FFFF00), 72, 2**20), "a.doc"),
    "a doc with too many parts": (files.compound(*(f"s{number}" for number in range(8_200))), "a.doc"),
    "a doc with sectors of two bytes": (patched(DOC, 30, 1, size=2), "a.doc"),
    "a doc that begins with no root": (patched(DOC, 512 + 66, 2, size=1), "a.doc"),
}  # fmt: skip


def kind_of(content: bytes, name: str = "") -> FileType:
    return recognise(io.BytesIO(content), file_name=name)


@pytest.mark.parametrize(("content", "name", "kind"), FRIENDLY.values(), ids=FRIENDLY)
def test_takes(content: bytes, name: str, kind: str) -> None:
    found = kind_of(content, name)
    assert found.file_type == kind
    assert found is FILE_TYPES[kind]


@pytest.mark.parametrize(("content", "name"), NOT_ALLOWED.values(), ids=NOT_ALLOWED)
def test_does_not_take(content: bytes, name: str) -> None:
    with pytest.raises(FileTypeNotAllowed) as refusal:
        kind_of(content, name)
    assert refusal.value.code == "file_type_not_allowed"


@pytest.mark.parametrize(("content", "name"), UNSAFE.values(), ids=UNSAFE)
def test_refuses_as_unsafe(content: bytes, name: str) -> None:
    with pytest.raises(FileUnsafe):
        kind_of(content, name)


def test_a_name_is_served_with_what_the_file_is() -> None:
    png, jpeg, text = FILE_TYPES["png"], FILE_TYPES["jpeg"], FILE_TYPES["txt"]
    assert png.name_to_serve("photo.exe") == "photo.exe.png"
    assert png.name_to_serve("photo.PNG") == "photo.PNG"
    assert png.name_to_serve("photo") == "photo.png"
    assert jpeg.name_to_serve("photo.jpeg") == "photo.jpeg"
    assert text.name_to_serve("readme.md") == "readme.md.txt"


def test_only_the_kinds_of_the_contract_are_known() -> None:
    assert " ".join(FILE_TYPES) == "png jpeg gif webp pdf docx xlsx pptx odt ods doc xls txt log csv json"


class CountedFile(io.BytesIO):
    """Remembers the longest read and what was read in all."""

    longest = total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.longest = max(self.longest, len(content))
        self.total += len(content)
        return content


TEN_MEGABYTES = 10 * 1024 * 1024
LARGE = {
    "text": b"x" * TEN_MEGABYTES,
    "blanks": b" " * TEN_MEGABYTES,
    "latin": b"\xe9" * TEN_MEGABYTES,
    "png": files.png().ljust(TEN_MEGABYTES, b"\0"),
    "pdf": files.pdf().ljust(TEN_MEGABYTES, b"\0"),
    "json": b"[" + b" " * TEN_MEGABYTES + b"]",
    "docx": files.archive(
        {"[Content_Types].xml": "<Types/>", "word/document.xml": b"x" * TEN_MEGABYTES}, compression=0
    ),
    "doc": files.compound("WordDocument", sectors=TEN_MEGABYTES // 512),
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_reads_in_small_pieces_and_goes_back_to_the_beginning(content: bytes) -> None:
    file = CountedFile(content)
    recognise(file, file_name="a.json")
    assert file.longest <= 2 * CHUNK_BYTES
    assert file.total <= 4 * len(content)
    assert file.tell() == 0


def test_goes_back_to_the_beginning_after_a_refusal_too() -> None:
    file = io.BytesIO(b"<html>")
    with pytest.raises(FileTypeNotAllowed):
        recognise(file, file_name="a.txt")
    assert file.tell() == 0


SEEDS = [
    content
    for content, *_ in (*FRIENDLY.values(), *NOT_ALLOWED.values(), *UNSAFE.values())
    if len(content) < 4096
]
NAMES = st.sampled_from(
    ["", "a.txt", "a.json", "a.csv", "a.log", "a.docx", "a.exe", "a" * 300, "\0.png", ".json"]
)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """Files of the tables with some bytes changed, cut out, or another file's put in between."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        until = at + draw(st.integers(0, 8))
        content[at:until] = draw(
            st.binary(max_size=8)
            | st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xfe"])
            | st.sampled_from(SEEDS)
        )
    return bytes(content)


@settings(max_examples=300, deadline=None)
@given(content=damaged_files() | st.binary(max_size=600) | st.text(max_size=200).map(str.encode), name=NAMES)
def test_whatever_comes_is_taken_or_refused_in_its_own_words(content: bytes, name: str) -> None:
    file = CountedFile(content)
    try:
        found = recognise(file, file_name=name)
    except FileTypeNotAllowed:
        pass
    else:
        assert_what_was_promised(content, name, found)
    assert file.tell() == 0
    assert file.total <= 40 * len(content) + 8192


def assert_what_was_promised(content: bytes, name: str, found: FileType) -> None:
    """What holds for every file that is taken, said in another way than the code says it."""
    assert FILE_TYPES[found.file_type] is found
    assert found.name_to_serve(name).lower().endswith(found.extensions)
    match found.file_type:
        case "png" | "jpeg" | "gif" | "webp" | "pdf":
            assert not zipfile.is_zipfile(io.BytesIO(content))
        case "docx" | "xlsx" | "pptx" | "odt" | "ods":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                assert "vbaProject.bin" not in "".join(archive.namelist())
                assert sum(entry.file_size for entry in archive.infolist()) <= 256 * 1024 * 1024
        case "doc" | "xls":
            assert content.startswith(struct.pack(">Q", 0xD0CF11E0A1B11AE1))
        case kind:
            assert not content.lstrip().lower().startswith((b"<html", b"<svg", b"<?xml", b"<script", b"#!"))
            if not content.startswith((MARK_16, b"\xfe\xff")):
                assert b"\0" not in content
            if kind == "json" and len(content) <= texts.PARSED_JSON_BYTES:
                json.loads(content)


@pytest.mark.parametrize("opened", [io.BytesIO])
def test_a_file_that_was_read_already_is_recognised_all_the_same(opened: type[BinaryIO]) -> None:
    file = io.BytesIO(files.png())
    file.read()
    assert recognise(file, file_name="a.png").file_type == "png"
