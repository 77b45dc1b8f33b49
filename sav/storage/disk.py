"""Attachments as files in a directory, for a service that runs on one machine.

Links to them lead to a route of our own HTTP tier. They are signed with a secret that lies beside the files:
like those of an S3 store they are good for a while, for one file, under one name and type, and for
nothing else.
"""

import hashlib
import hmac
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode

from sav.storage.object_store import LINK_LIFETIME, StorageUnavailable, StoredObject
from sav.storage.secret_file import kept_secret

LINK_PATH = "/files/"
SECRET_FILE = "link_secret"  # noqa: S105 - a file's name
DRAFTS = "drafts"
"""Where a file is written before it gets its name: what a crash leaves there is no object."""
COPY_BYTES = 64 * 1024

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class InvalidKey(ValueError):
    """No key that any of our objects could have; a mistake in the code."""


class LinkRefused(Exception):
    """The link was not signed here, was changed, or has expired."""


class NoSuchObject(Exception):
    """There is no file under this key."""


class DiskStore:
    """One directory of this machine, made when it is missing.

    `public_url` is the address of our own HTTP tier, for links.
    """

    def __init__(self, *, directory: Path, public_url: str) -> None:
        self._directory = directory
        self._objects = directory / "objects"
        self._drafts = directory / DRAFTS
        self._public_url = public_url

    def check(self) -> None:
        """Returns when a file could be written; raises `StorageUnavailable`."""
        self.make()
        # Written, because permissions say nothing about a full or read-only disk.
        with _said(self._directory), tempfile.TemporaryFile(dir=self._directory) as probe:
            probe.write(b"?")

    def make(self) -> None:
        with _said(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, file: BinaryIO, *, length: int, mime_type: str) -> None:
        """Writes a draft, makes it durable, and gives it its name in one step."""
        path = self._path(key)
        with _said(self._directory):
            self._drafts.mkdir(parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._drafts)
            try:
                with open(descriptor, "wb") as target:
                    _copy(file, target, length)
                    target.flush()
                    os.fsync(target.fileno())
                _give_name(draft, path)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(draft)
                raise
            # Without it, a crash of the machine may forget the name of a file that is there.
            _make_durable(path.parent, up_to=self._objects)

    @contextmanager
    def open(self, key: str) -> Iterator[Iterator[bytes]]:
        with _said(self._directory):
            file = self._path(key).open("rb")
        with file:
            yield self._blocks(file)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _said(self._directory):
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def exists(self, key: str) -> bool:
        with _said(self._directory):
            return self._path(key).is_file()

    def list(self, prefix: str, *, older_than: datetime) -> Iterator[StoredObject]:
        with _said(self._directory):
            for directory, _, names in os.walk(self._objects, onerror=_unless_gone):
                for name in names:
                    path = Path(directory, name)
                    key = path.relative_to(self._objects).as_posix()
                    stored_at = _stored_at(path)
                    if key.startswith(prefix) and stored_at is not None and stored_at < older_than:
                        yield StoredObject(key, stored_at)

    def remove_leftovers(self, *, older_than: datetime) -> None:
        with _said(self._directory):
            for path in self._drafts.glob("*"):
                begun_at = _stored_at(path)
                if begun_at is not None and begun_at < older_than:
                    path.unlink(missing_ok=True)

    def signed_url(
        self, key: str, *, file_name: str, mime_type: str, now: datetime, lifetime: timedelta = LINK_LIFETIME
    ) -> str:
        self._path(key)
        expires = int((now + lifetime).timestamp())
        query = urlencode(
            {
                "name": file_name,
                "type": mime_type,
                "expires": expires,
                "signature": self._signature(key, file_name, mime_type, str(expires)),
            }
        )
        return f"{self._public_url}{LINK_PATH}{quote(key)}?{query}"

    def open_link(
        self, key: str, *, file_name: str, mime_type: str, expires: str, signature: str, now: datetime
    ) -> BinaryIO:
        """The file that a link of `signed_url` leads to; raises `LinkRefused` or `NoSuchObject`."""
        expected = self._signature(key, file_name, mime_type, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise LinkRefused
        # Only now: what we have signed is a number.
        if now.timestamp() >= int(expires):
            raise LinkRefused
        with _said(self._directory):
            try:
                return open(self._path(key), "rb")
            except FileNotFoundError:
                raise NoSuchObject from None

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        with _said(self._directory):
            while block := file.read(COPY_BYTES):
                yield block

    def _signature(self, key: str, file_name: str, mime_type: str, expires: str) -> str:
        # As JSON, so that no two links have the same text to sign.
        text = json.dumps([key, file_name, mime_type, expires])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        self._directory.mkdir(parents=True, exist_ok=True)
        return kept_secret(self._directory / SECRET_FILE).encode()

    def _path(self, key: str) -> Path:
        # No part of a key begins with a dot, so none leads out of the directory.
        if not _KEY.fullmatch(key):
            raise InvalidKey
        return self._objects / key

    def _remove_empty(self, directory: Path) -> None:
        while directory != self._objects and directory.is_relative_to(self._objects):
            try:
                directory.rmdir()
            except OSError:
                # Not empty, or gone already.
                return
            directory = directory.parent


@contextmanager
def _said(directory: Path) -> Iterator[None]:
    """Says of every trouble with the disk that it is the store's."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{directory}: {error.strerror}") from error


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    left = length
    while left and (piece := source.read(min(left, COPY_BYTES))):
        target.write(piece)
        left -= len(piece)
    if left:
        raise StorageUnavailable("the file is shorter than was said")


def _give_name(draft: str, path: Path) -> None:
    for last in (False, False, True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft, path)
            return
        except FileNotFoundError:
            # Somebody deleted the only other file there, and the directory with it.
            if last:
                raise


def _make_durable(directory: Path, *, up_to: Path) -> None:
    for parent in (directory, *directory.parents):
        descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if parent == up_to:
            return


def _unless_gone(error: OSError) -> None:
    # A directory that cannot be read is not an empty one.
    if not isinstance(error, FileNotFoundError):
        raise error


def _stored_at(path: Path) -> datetime | None:
    """Since when a file is there; None for one that has just gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
