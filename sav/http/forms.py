"""Forms with files (multipart/form-data), read as they come: never whole in memory, never without bounds.

Nothing of a form is kept under a name: its files are anonymous temporary files, which are gone with the
request, or with the process.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

import falcon
import orjson
from falcon.media.multipart import BodyPart, MultipartForm, MultipartParseError, MultipartParseOptions

from sav.domain.errors import FieldError, Invalid, SavError
from sav.http.request_body import PIECE_BYTES, HungUp, RequestBody
from sav.http.requests import LARGEST_ID, BadBody, BodyTooLarge, UnsupportedBody

FILES_A_REQUEST = 10
OVERHEAD_BYTES = 64 * 1024
"""How much longer than its files a form may be: boundaries, names, other fields."""
MEMORY_A_FILE_BYTES = 64 * 1024
"""A longer file is on the disk while it is received."""
UPLOAD_BYTES_AT_ONCE = 512 * 1024 * 1024
"""How many bytes all forms may have that one process receives at the same time: its part of the disk."""
GRACE_SECONDS = 30
SLOWEST_BYTES_A_SECOND = 128 * 1024
"""A form must arrive within the grace and what it takes at this rate: slower ones would hold our threads."""
LONGEST_FIELD_BYTES = 100
LONGEST_BOUNDARY = 200

_ID = re.compile(rb"[1-9][0-9]{0,18}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.]{1,100}")


class BadForm(BadBody):
    """The form is malformed, cut short, or not delimited by its boundary."""

    code = "malformed_form"


class NotAForm(UnsupportedBody):
    """Files are sent as a form, with the content type multipart/form-data."""

    code = "form_expected"


class FileTooLarge(BodyTooLarge):
    """The file is larger than this service takes."""

    code = "file_too_large"


class LengthRequired(SavError):
    """A form with files needs a Content-Length; a chunked body has none."""

    code = "length_required"


class UploadsBusy(SavError):
    """Too many files are being received at the moment; try again shortly."""

    code = "uploads_busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    """What a form may hold: files in these fields, so many, and perhaps a `message_id`."""

    fields: tuple[str, ...]
    maximum_files: int


ONE_FILE = FileForm(fields=("file",), maximum_files=1)
SEVERAL_FILES = FileForm(fields=("files", "file"), maximum_files=FILES_A_REQUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFile:
    """A file of a form. `field` is its place, for whoever must be told that it is wrong."""

    field: str
    name: str
    content: BinaryIO
    size: int
    sha256: str


@dataclass(slots=True)
class ReceivedForm:
    """What a form held; its files last as long as `received_form`."""

    files: list[ReceivedFile] = field(default_factory=list)
    message_id: int | None = None

    @property
    def fingerprint(self) -> bytes:
        """What two forms have in common that say the same; boundaries and temporary names differ."""
        files = [[file.field, file.name, file.sha256] for file in self.files]
        return orjson.dumps({"files": files, "message_id": self.message_id})


class UploadRoom:
    """How much of the disk the forms of one process may take while they are received."""

    def __init__(self, *, maximum_file_bytes: int, bytes_at_once: int = UPLOAD_BYTES_AT_ONCE) -> None:
        self.maximum_file_bytes = maximum_file_bytes
        self._bytes_at_once = bytes_at_once
        self._taken = 0
        self._lock = threading.Lock()

    def longest(self, form: FileForm) -> int:
        """How long such a form may be at most."""
        return form.maximum_files * self.maximum_file_bytes + OVERHEAD_BYTES

    @contextmanager
    def place(self, length: int) -> Iterator[None]:
        """Room for a form of this length; raises `UploadsBusy` when others leave none."""
        with self._lock:
            # Somebody who is alone is always let in, however little room there is.
            if self._taken and self._taken + length > self._bytes_at_once:
                raise UploadsBusy
            self._taken += length
        try:
            yield
        finally:
            with self._lock:
                self._taken -= length


@contextmanager
def received_form(req: falcon.Request, form: FileForm, room: UploadRoom) -> Iterator[ReceivedForm]:
    """Receives a form; raises `Invalid` with every wrong part, or another error of this module."""
    if (req.content_type or "").partition(";")[0].strip().lower() != falcon.MEDIA_MULTIPART:
        raise NotAForm
    length = req.content_length
    if length is None:
        raise LengthRequired
    if length > room.longest(form):
        raise BodyTooLarge
    with room.place(length), ExitStack() as stack:
        body = _Body(req, seconds=GRACE_SECONDS + length / SLOWEST_BYTES_A_SECOND)
        yield _Reading(form, room.maximum_file_bytes, stack).read(_parsed(req, body, length))


class _Body(RequestBody):
    """A form that is cut short is a bad one."""

    def read(self, size: int) -> bytes:
        try:
            return super().read(size)
        except HungUp:
            raise BadForm from None


def _parsed(req: falcon.Request, body: _Body, length: int) -> MultipartForm:
    _, parameters = falcon.parse_header(req.content_type or "")
    boundary = parameters.get("boundary", "").rstrip()
    # RFC 2046 allows 70 characters; the clients that send more mean no harm.
    if not 1 <= len(boundary) <= LONGEST_BOUNDARY:
        raise BadForm
    return MultipartForm(cast(Any, body), boundary.encode(), length, MultipartParseOptions())


class _Reading:
    """One pass over a form, which collects what is wrong with it."""

    def __init__(self, form: FileForm, maximum_file_bytes: int, stack: ExitStack) -> None:
        self._form = form
        self._maximum_file_bytes = maximum_file_bytes
        self._stack = stack
        self._received = ReceivedForm()
        self._files_seen = 0
        self._errors: list[FieldError] = []

    def read(self, parts: MultipartForm) -> ReceivedForm:
        try:
            for part in parts:
                self._take(part)
        except (MultipartParseError, ValueError):
            # A ValueError is a name, or a header, in no encoding that we know.
            raise BadForm from None
        self._judge_count()
        if self._errors:
            raise Invalid(fields=self._errors)
        return self._received

    def _take(self, part: BodyPart) -> None:
        name = part.name or ""
        if name in self._form.fields:
            self._take_file(part, name)
        elif name == "message_id":
            self._take_message_id(part)
        else:
            shown = name if _FIELD_NAME.fullmatch(name) else ""
            self._wrong(shown, "unknown_field", "This field is not known.")

    def _take_file(self, part: BodyPart, name: str) -> None:
        place = name if self._form.maximum_files == 1 else f"{name}.{self._files_seen}"
        self._files_seen += 1
        if self._files_seen > self._form.maximum_files:
            return
        if part.filename is None:
            self._wrong(place, "not_a_file", "This must be a file, with a file name.")
            return
        # Some encodings, asked for by `filename*`, have halves of characters: such a name is in none of ours.
        part.filename.encode()
        file = self._spooled(part, place, part.filename)
        if file.size == 0:
            self._wrong(place, "empty_file", "The file is empty.")
        self._received.files.append(file)

    def _spooled(self, part: BodyPart, place: str, file_name: str) -> ReceivedFile:
        spool = SpooledTemporaryFile(max_size=MEMORY_A_FILE_BYTES)  # noqa: SIM115
        # Closed, and with that gone, when the form has served.
        self._stack.callback(_close, spool)
        size, digest = 0, hashlib.sha256()
        while piece := part.stream.read(PIECE_BYTES):
            size += len(piece)
            if size > self._maximum_file_bytes:
                message = f"A file may have up to {self._maximum_file_bytes} bytes."
                raise FileTooLarge(fields=[FieldError(place, FileTooLarge.code, message)])
            digest.update(piece)
            with _disk_may_be_full():
                spool.write(piece)
        # A file's last bytes reach the disk only now.
        with _disk_may_be_full():
            spool.flush()
        return ReceivedFile(
            field=place,
            name=file_name,
            content=cast(BinaryIO, spool),
            size=size,
            sha256=digest.hexdigest(),
        )

    def _take_message_id(self, part: BodyPart) -> None:
        text = part.stream.read(LONGEST_FIELD_BYTES)
        if self._received.message_id is not None:
            self._wrong("message_id", "given_twice", "This field can be given once.")
        elif part.filename is not None or not _ID.fullmatch(text) or int(text) > LARGEST_ID:
            self._wrong("message_id", "invalid_value", "This must be a message's id.")
        else:
            self._received.message_id = int(text)

    def _judge_count(self) -> None:
        field_name, most = self._form.fields[0], self._form.maximum_files
        if self._files_seen == 0:
            self._wrong(field_name, "missing", "A file is required.")
        elif self._files_seen > most:
            message = f"At most {most} file{'s' if most > 1 else ''} can be sent at once."
            self._wrong(field_name, "too_many_files", message)

    def _wrong(self, name: str, code: str, message: str) -> None:
        self._errors.append(FieldError(name, code, message))


@contextmanager
def _disk_may_be_full() -> Iterator[None]:
    """Says of a disk that takes no more temporary files that there is no room for uploads."""
    try:
        yield
    except OSError:
        raise UploadsBusy from None


def _close(spool: "SpooledTemporaryFile[bytes]") -> None:
    # To close is to flush once more; what a full disk does not take then is wanted by nobody.
    with suppress(OSError):
        spool.close()
