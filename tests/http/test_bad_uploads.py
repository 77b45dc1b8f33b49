"""Whatever is wrong with an upload: a problem document that says so, and nothing is stored anywhere."""

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from falcon.testing import Result

from sav.domain.file_names import LONGEST_NAME, key_name, shown_name
from sav.http import forms
from sav.http.forms import OVERHEAD_BYTES, PIECE_BYTES, SEVERAL_FILES, UploadRoom, UploadsBusy
from sav.models.tables import Attachment
from tests.factories import files as kinds
from tests.factories.forms import BOUNDARY, PNG, TEXT, form, multipart, text_of
from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import MAXIMUM_FILE_BYTES, Api, Shelf

FORM_TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture
def files(api: Api) -> str:
    """The path of the files of a new ticket of customer 1."""
    return f"/tickets/{api.customer().opened()['id']}/attachments"


@contextmanager
def nothing_is_left(api: Api) -> Iterator[None]:
    """No row, no object, and no temporary file that is still open."""
    assert isinstance(api.desk.storage, Shelf)
    keys, temporary = api.desk.storage.keys, temporary_files()
    with nothing_changes():
        yield
    assert api.desk.storage.keys == keys
    gc.collect()
    assert temporary_files() == temporary
    assert api.desk.uploads._taken == 0


def temporary_files() -> list[str]:
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:
            continue
    directory = tempfile.gettempdir()
    return sorted(link for link in links if link.startswith(directory) and "pytest" not in link)


def send(api: Api, path: str, body: bytes, **headers: str) -> Result:
    return api.customer().post(path, body=body, headers={**FORM_TYPE, **headers})


WRONG_PARTS: dict[str, tuple[list[Any], list[tuple[str, str]]]] = {
    "no part": ([], [("file", "missing")]),
    "two files": ([("file", "a.png", PNG)] * 2, [("file", "too_many_files")]),
    "an empty file": ([("file", "a.png", b"")], [("file", "empty_file")]),
    "no file name": ([("file", None, PNG)], [("file", "not_a_file")]),
    "an unknown field": ([("file", "a.png", PNG), ("colour", None, b"red")], [("colour", "unknown_field")]),
    "the other route's field": ([("files", "a.png", PNG)], [("files", "unknown_field"), ("file", "missing")]),
    "a field without a sane name": (
        [("file", "a.png", PNG), ("<b>\tx", None, b"")],
        [("", "unknown_field")],
    ),
    "a message that is a word": (
        [("file", "a.png", PNG), ("message_id", None, b"last")],
        [("message_id", "invalid_value")],
    ),
    "a message with a sign": (
        [("file", "a.png", PNG), ("message_id", None, b"+1")],
        [("message_id", "invalid_value")],
    ),
    "a message beyond 64 bits": (
        [("file", "a.png", PNG), ("message_id", None, b"9999999999999999999")],
        [("message_id", "invalid_value")],
    ),
    "a very long message id": (
        [("file", "a.png", PNG), ("message_id", None, b"1" * 200_000)],
        [("message_id", "invalid_value")],
    ),
    "two messages": (
        [("file", "a.png", PNG), ("message_id", None, b"1"), ("message_id", None, b"2")],
        [("message_id", "given_twice")],
    ),
    "all at once": (
        [("message_id", None, b"x"), ("colour", None, b""), ("file", "a.png", b"")],
        [("message_id", "invalid_value"), ("colour", "unknown_field"), ("file", "empty_file")],
    ),
}


@pytest.mark.parametrize("parts", WRONG_PARTS)
def test_every_wrong_part_is_named(api: Api, files: str, parts: str) -> None:
    sent, wrong = WRONG_PARTS[parts]
    with nothing_is_left(api):
        answer = send(api, files, multipart(sent))
        document = problem(answer, 422, "invalid", {field for field, _ in wrong})  # type: ignore[arg-type]
    assert [(error["field"], error["code"]) for error in document["errors"]] == wrong


BODY = multipart([("file", "a.txt", TEXT)])
MALFORMED: dict[str, tuple[bytes, str]] = {
    "no boundary": (BODY, "multipart/form-data"),
    "an empty boundary": (BODY, 'multipart/form-data; boundary=""'),
    "a long boundary": (BODY, f"multipart/form-data; boundary={'x' * 201}"),
    "another boundary": (BODY, "multipart/form-data; boundary=another"),
    "no end": (BODY[: -len(BOUNDARY) - 6], FORM_TYPE["Content-Type"]),
    "cut in the file": (BODY[: BODY.index(TEXT) + 10], FORM_TYPE["Content-Type"]),
    "cut in the headers": (BODY[: BODY.index(b"filename")], FORM_TYPE["Content-Type"]),
    "nothing": (b"\r\n", FORM_TYPE["Content-Type"]),
    "headers without an end": (BODY.replace(b"\r\n\r\n", b"\r\n"), FORM_TYPE["Content-Type"]),
    "a name in no encoding": (BODY.replace(b"a.txt", b"\xff\xfe.txt"), FORM_TYPE["Content-Type"]),
    "half a character in its name": (
        BODY.replace(b'filename="a.txt"', b"filename*=utf-7''%2B2AA-.txt"),
        FORM_TYPE["Content-Type"],
    ),
    "an encoding of transfer": (
        BODY.replace(b"Content-Type:", b"Content-Transfer-Encoding: base64\r\nContent-Type:"),
        FORM_TYPE["Content-Type"],
    ),
    "too many parts": (multipart([("x", None, b"")] * 100), FORM_TYPE["Content-Type"]),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_form_that_is_malformed(api: Api, files: str, what: str) -> None:
    body, content_type = MALFORMED[what]
    with nothing_is_left(api):
        for path in (files, f"{files}/multiple"):
            problem(send(api, path, body, **{"Content-Type": content_type}), 400, "malformed_form")


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "", "multipart/mixed; boundary=x"]
)
def test_what_is_no_form(api: Api, files: str, content_type: str) -> None:
    with nothing_is_left(api):
        problem(send(api, files, BODY, **{"Content-Type": content_type}), 415, "form_expected")


def test_a_body_without_a_length(api: Api, files: str) -> None:
    with nothing_is_left(api):
        answer = api.customer().post(
            files,
            body=BODY,
            headers={**FORM_TYPE, "Transfer-Encoding": "chunked"},
            extras={"CONTENT_LENGTH": ""},
        )
        problem(answer, 411, "length_required")


def test_a_body_shorter_than_announced(api: Api, files: str) -> None:
    with nothing_is_left(api):
        answer = api.customer().post(
            files, body=BODY[:-20], headers=FORM_TYPE, extras={"CONTENT_LENGTH": str(len(BODY))}
        )
        problem(answer, 400, "malformed_form")


def test_a_file_of_one_byte_too_many(api: Api, files: str) -> None:
    large = text_of(MAXIMUM_FILE_BYTES + 1)
    with nothing_is_left(api):
        answer = api.customer().post(files, **form(("file", "a.txt", large)))
        problem(answer, 413, "file_too_large", ["file"])
        parts = [("files", "a.txt", TEXT), ("files", "b.txt", large), ("files", "c.txt", TEXT)]
        answer = api.customer().post(f"{files}/multiple", **form(*parts))
        problem(answer, 413, "file_too_large", ["files.1"])


def test_a_form_that_is_too_long_is_not_even_read(api: Api, files: str) -> None:
    longest = api.desk.uploads.longest(SEVERAL_FILES)
    with nothing_is_left(api), patch.object(forms, "_parsed", side_effect=AssertionError):
        for path, length in ((files, MAXIMUM_FILE_BYTES + OVERHEAD_BYTES), (f"{files}/multiple", longest)):
            announced = {"CONTENT_LENGTH": str(length + 1)}
            answer = api.customer().post(path, body=BODY, headers=FORM_TYPE, extras=announced)
            problem(answer, 413, "body_too_large")


def test_whoever_may_not_attach_is_told_before_anything_is_read(api: Api, files: str) -> None:
    with nothing_is_left(api), patch.object(forms, "_parsed", side_effect=AssertionError):
        problem(api.customer(2).post(files, body=BODY, headers=FORM_TYPE), 404, "not_found")
        problem(api.post(files, body=BODY, headers=FORM_TYPE), 401, "unauthorized")


REFUSED = {
    "page.html": b"<!doctype html><script>alert(1)</script>",
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "program.png": b"MZ\x90\x00\x03\x00\x00\x00" + b"\0" * 200 + b"This program cannot be run in DOS mode",
    "script.sh": b"#!/bin/sh\nrm -rf /\n",
    "binary.log": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_kind_that_is_not_taken(api: Api, files: str, name: str) -> None:
    with nothing_is_left(api):
        answer = api.customer().post(files, **form(("file", name, REFUSED[name])))
        assert answer.status_code == 415, answer.text
        assert answer.json["code"] in ("file_type_not_allowed", "file_unsafe")
        problem(answer, 415, answer.json["code"], ["file"])


def test_all_refused_files_are_named_and_none_is_stored(api: Api, files: str) -> None:
    parts = [("files", name, content) for name, content in REFUSED.items()]
    with nothing_is_left(api):
        answer = api.customer().post(f"{files}/multiple", **form(("files", "a.png", PNG), *parts))
        problem(
            answer, 415, "file_type_not_allowed", [f"files.{number}" for number in range(1, len(parts) + 1)]
        )


def test_the_content_says_what_a_file_is_and_not_its_name(api: Api, files: str) -> None:
    document = api.customer().post(files, **form(("file", "invoice.exe", kinds.pdf()))).json
    assert (document["file_type"], document["mime_type"]) == ("pdf", "application/pdf")
    url = api.customer().get(f"{files}/{document['id']}").json["file_url"]
    # It is saved as what it is.
    assert "name=invoice.exe.pdf" in url


def test_no_room_for_another_form(api: Api, files: str) -> None:
    with nothing_is_left(api), patch.object(api.desk.uploads, "_taken", forms.UPLOAD_BYTES_AT_ONCE):
        answer = send(api, files, BODY)
        problem(answer, 503, "uploads_busy")
        assert int(answer.headers["Retry-After"]) > 0
        api.desk.uploads._taken = 0


def test_the_room_is_shared_and_given_back() -> None:
    room = UploadRoom(maximum_file_bytes=10, bytes_at_once=100)
    with room.place(500), pytest.raises(UploadsBusy), room.place(1):
        pass
    with room.place(60), room.place(40), pytest.raises(UploadsBusy), room.place(1):
        pass
    with pytest.raises(KeyError), room.place(60):
        raise KeyError
    with room.place(1), room.place(99):
        pass


class SmallDisk(FileIO):
    """A file on a disk that has room for so many bytes."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "w+")
        self.room = room

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, 2 * PIECE_BYTES], ids=["none", "for all but the last bytes"])
def test_a_full_disk_of_temporary_files(api: Api, files: str, tmp_path: Path, room: int) -> None:
    body = multipart([("file", "a.txt", b"x" * (2 * PIECE_BYTES + 100))])
    disk = patch("tempfile.TemporaryFile", lambda **_: BufferedRandom(SmallDisk(tmp_path / "spool", room)))
    with nothing_is_left(api), disk:
        problem(send(api, files, body), 503, "uploads_busy")


# --- Names --------------------------------------------------------------------------------------------------

NAMES = {
    "../../etc/passwd": ("passwd", "passwd"),
    "..\\..\\windows\\win.ini": ("win.ini", "win.ini"),
    "/absolute/path.txt": ("path.txt", "path.txt"),
    "two\r\nSet-Cookie: x=1.txt": ("twoSet-Cookie: x=1.txt", "twoSet-Cookie_x_1.txt"),
    "nul\0.png\0.exe": ("nul.png.exe", "nul.png.exe"),
    "photo\u202egnp.exe": ("photognp.exe", "photognp.exe"),
    "\u200b\u2066bidi\u2069.txt": ("bidi.txt", "bidi.txt"),
    "  a   b\t.txt ": ("a b.txt", "a_b.txt"),
    "Été, reçu.pdf": ("Été, reçu.pdf", "Ete_recu.pdf"),
    "Счёт.pdf": ("Счёт.pdf", "file.pdf"),
    "发票": ("发票", "file"),
    "😀.png": ("😀.png", "file.png"),
    "": ("file", "file"),
    ".": ("file", "file"),
    "..": ("file", "file"),
    "...": ("file", "file"),
    ".htaccess": (".htaccess", "file.htaccess"),
    "-rf": ("-rf", "rf"),
    "a" * 300 + ".docx": ("a" * 250 + ".docx", "a" * 95 + ".docx"),
    "é" * 300 + ".txt": ("é" * 251 + ".txt", "e" * 96 + ".txt"),
    "a." + "b" * 300: (("a." + "b" * 300)[:255], ("a." + "b" * 300)[:100]),
    "CON.txt": ("CON.txt", "CON.txt"),
    "a/b\uff0fc.txt": ("b\uff0fc.txt", "b_c.txt"),
    '"quoted";x.txt': ('"quoted";x.txt', "quoted_x.txt"),
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_are_made_harmless(name: str) -> None:
    assert (shown_name(name), key_name(name)) == NAMES[name]
    assert len(shown_name(name)) <= LONGEST_NAME


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "photo\u202egnp.log", "é" * 150 + ".txt", "nul\0.txt", "a\\b.txt"], ids=ascii
)
def test_odd_names_arrive_and_lead_nowhere(api: Api, files: str, name: str) -> None:
    answer = api.customer().post(files, **form(("file", name, TEXT)))
    assert answer.status_code == 201, answer.text
    row = Attachment.get_by_id(answer.json["id"])
    assert row.file_path == f"{files.split('/', 1)[1].removesuffix('/attachments')}/{row.id}/{key_name(name)}"
    assert "\\" not in row.file_name
    assert "/" not in row.file_name
    assert row.file_path not in answer.text
    url = api.customer().get(f"{files}/{row.id}").json["file_url"]
    assert api.client.simulate_get(url.removeprefix("http://files.example")).content == TEXT
