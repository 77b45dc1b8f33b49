"""`/files/...`: where the links of the disk store lead. An S3 store answers for its own.

Not for those who program against the API: it is the browser's end of a link that the API gave. Whoever
holds the link gets the file, as with S3, and nothing else.
"""

import re
from typing import BinaryIO, NamedTuple

import falcon

from sav.domain.errors import Forbidden, NotFound, SavError
from sav.http.desk import Desk
from sav.storage.disk import DiskStore, LinkRefused, NoSuchObject
from sav.storage.object_store import content_disposition, served_type

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_PARAMETERS = ("name", "type", "expires", "signature")


class InvalidLink(Forbidden):
    """This link is not valid, or no longer: get a new one where you got it."""

    code = "invalid_link"


class RangeNotSatisfiable(SavError):
    """The file has no such range of bytes."""

    code = "range_not_satisfiable"

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.size = size


class ByteRange(NamedTuple):
    """From the first byte to the last, both included."""

    first: int
    last: int


class SignedFiles:
    """`/files/{key}`"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        store = self._desk.storage
        if not isinstance(store, DiskStore):
            raise NotFound
        name, mime_type, expires, signature = _parameters(req)
        try:
            file = store.open_link(
                key,
                file_name=name,
                mime_type=mime_type,
                expires=expires,
                signature=signature,
                now=self._desk.clock(),
            )
        except LinkRefused:
            raise InvalidLink from None
        except NoSuchObject:
            raise NotFound from None
        try:
            _send(req, resp, file)
        except BaseException:
            file.close()
            raise
        resp.content_type = served_type(mime_type)
        resp.set_header("Content-Disposition", content_disposition(name))
        # Should a browser show it after all, then as a page that may do nothing.
        resp.set_header("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
        # As with S3, a page of the shop may show a picture of which it was given the link.
        resp.set_header("Cross-Origin-Resource-Policy", "cross-origin")


def _parameters(req: falcon.Request) -> list[str]:
    values = [req.params.get(name) for name in _PARAMETERS]
    if set(req.params) != set(_PARAMETERS) or not all(isinstance(value, str) for value in values):
        raise InvalidLink
    return [str(value) for value in values]


def _send(req: falcon.Request, resp: falcon.Response, file: BinaryIO) -> None:
    size = file.seek(0, 2)
    part = wanted_range(req.get_header("Range"), size=size)
    # Without a validator of ours, a condition on it cannot hold: the whole file is sent.
    if part is None or req.get_header("If-Range") is not None:
        resp.status, part = 200, ByteRange(0, size - 1)
    else:
        resp.status = 206
        resp.set_header("Content-Range", f"bytes {part.first}-{part.last}/{size}")
    resp.set_header("Accept-Ranges", "bytes")
    file.seek(part.first)
    length = part.last - part.first + 1
    resp.set_stream(_Part(file, length), length)


def wanted_range(header: str | None, *, size: int) -> ByteRange | None:
    """The one range that is asked for; None for the whole file. Raises `RangeNotSatisfiable`.

    What is no range of bytes, or several, may be ignored (RFC 9110), and is.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise RangeNotSatisfiable(size=size)
        return ByteRange(max(0, size - int(last)), size - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable(size=size)
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


class _Part:
    """The next bytes of a file, and no more."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def read(self, size: int | None = None, /) -> bytes:
        piece = self._file.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._file.close()
