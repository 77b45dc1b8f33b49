"""Puts everything about a person into one archive, and the archive into the store.

It grows in a file without a name and is never in memory as a whole; what was begun and broken off is begun
again. Left out is what the desk keeps from every customer: internal notes, their files, and what the log of
changes says of them.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Any, BinaryIO

import orjson
import structlog

from sav.domain.effects import BUILD_EXPORT
from sav.domain.file_names import key_name
from sav.domain.privacy import Subject
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Attachment, ExportPerson, PrivacyRequest
from sav.operations.effect_claims import Claim, finish_effect, hold_claim, keep_lease
from sav.operations.export_rows import EXPORTED, person_files
from sav.operations.privacy_requests import is_unfinished, locked_request
from sav.storage.object_store import ObjectStore

EXPORT_PREFIX = "exports/"
"""Where archives are, apart from attachments."""
EXPORT_TYPE = "application/zip"
EXPORT_DAYS = 7.0
LARGEST_EXPORT_BYTES = 3 * 1024**3 // 2
"""What a worker's temporary directory and one request to an S3 store can bring; a larger archive fails."""
LONGEST_EXPORT_SECONDS = 12 * 60.0
"""An archive that takes longer fails; the actor itself would be broken off later, and begin anew for ever."""
LEASE_KEPT_EVERY_SECONDS = 5.0
NOTES = (
    "Left out: internal notes of the staff and files on them, the desk's change log beyond what other "
    "services were told, what others have read, what mails about other people's tickets were about, and what "
    "the person did as staff in other people's tickets, beyond that they have written, attached or read "
    "something, and when: which tickets are in their hands, or have been, belongs to those. Also left out: "
    "answers that are kept for a day, the ids of requests, dead letters, and the hashed counters of rate "
    "limits. docs/privacy.md lists every place.",
)
log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Somebody else is making this export by now."""


class ExportGivenUp(Exception):
    """The archive is larger, or takes longer, than an archive may; the text is the request's `failure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """What an export needs from outside."""

    store: ObjectStore
    clock: Callable[[], datetime]
    kept_for: timedelta = timedelta(days=EXPORT_DAYS)
    service_name: str = "sav-service"


@dataclass(slots=True)
class _Lease:
    """Says every few seconds that somebody is at work; raises `ExportGivenUp` when it takes too long."""

    claim: Claim
    clock: Callable[[], datetime]
    _next: float = field(default=0.0)
    _end: float = field(default_factory=lambda: time.monotonic() + LONGEST_EXPORT_SECONDS)

    def keep(self) -> None:
        if time.monotonic() >= self._end:
            raise ExportGivenUp("too_slow")
        if time.monotonic() >= self._next:
            if not keep_lease(self.claim, now=self.clock()):
                raise LeaseLost
            self._next = time.monotonic() + LEASE_KEPT_EVERY_SECONDS


def build_export(claim: Claim, *, exporter: Exporter) -> None:
    """Makes the archive that a request asks for; raises `StorageUnavailable`."""
    request = _begin(claim, exporter.clock())
    if request.state != "finished" and request.object_key is not None:
        # What somebody who died has brought, or was just bringing.
        exporter.store.delete(request.object_key)
    if not is_unfinished(request):
        _let_go(claim, request.id)
        return
    try:
        _make(claim, request, exporter)
    except ExportGivenUp as why:
        failed = {"state": "failed", "failure": str(why), "object_key": None}
        _end(claim, request.id, failed, exporter.clock())


def _make(claim: Claim, request: PrivacyRequest, exporter: Exporter) -> None:
    lease = _Lease(claim, exporter.clock)
    with tempfile.TemporaryFile() as file:
        counts = _write_archive(file, Subject.from_document(request.subject), exporter, lease, request.id)
        size = file.seek(0, io.SEEK_END)
        key = f"{EXPORT_PREFIX}{request.id}/{secrets.token_hex(16)}.zip"
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        if not _announce(claim, request.id, key):
            raise LeaseLost
        exporter.store.put(key, _Kept(file, lease), length=size, mime_type=EXPORT_TYPE)  # type: ignore[arg-type]
    now = exporter.clock()
    made = {
        "state": "finished",
        "counts": counts,
        "object_key": key,
        "object_size": size,
        "object_sha256": sha256,
        "expires_at": now + exporter.kept_for,
    }
    if _end(claim, request.id, made, now):
        log.info("export made", action=BUILD_EXPORT, export_id=request.id, bytes=size)
    else:
        # Its person was erased meanwhile, or somebody else has made it.
        exporter.store.delete(key)
        _let_go(claim, request.id)


class _Kept:
    """A file that says, while it is read, that somebody is at work."""

    def __init__(self, file: BinaryIO, lease: _Lease) -> None:
        self._file = file
        self._lease = lease

    def read(self, size: int = -1) -> bytes:
        self._lease.keep()
        return self._file.read(size)


@retry_deadlocks
def _begin(claim: Claim, now: datetime) -> PrivacyRequest:
    with transaction():
        request: PrivacyRequest = locked_request(claim.sequence)
        if not is_unfinished(request):
            return request
        request.state = "running"
        request.started_at = request.started_at or now
        request.step, request.updated_at = "build", now
        request.save(only=request.dirty_fields)
    return request


@retry_deadlocks
def _announce(claim: Claim, request_id: int, key: str) -> bool:
    """Notes where the archive will be, before it is: whoever erases its person knows of it from then on."""
    with transaction():
        request: PrivacyRequest = locked_request(request_id)
        if not hold_claim(claim) or not is_unfinished(request):
            return False
        PrivacyRequest.update(object_key=key).where(PrivacyRequest.id == request_id).execute()
    return True


@retry_deadlocks
def _let_go(claim: Claim, request_id: int) -> None:
    """Forgets an archive that is not wanted any more, and that is gone; not while it is somebody else's."""
    with transaction():
        request: PrivacyRequest = locked_request(request_id)
        if is_unfinished(request) or not finish_effect(claim):
            return
        if request.state == "expired":
            PrivacyRequest.update(object_key=None).where(PrivacyRequest.id == request_id).execute()
            ExportPerson.delete().where(ExportPerson.export_id == request_id).execute()


@retry_deadlocks
def _end(claim: Claim, request_id: int, values: Mapping[str, Any], now: datetime) -> bool:
    """Notes how it ended; False when it has ended otherwise, or is somebody else's."""
    with transaction():
        request: PrivacyRequest = locked_request(request_id)
        if not finish_effect(claim) or not is_unfinished(request):
            return False
        done = {"subject": None, "active_key": None, "step": "done", "finished_at": now, "updated_at": now}
        PrivacyRequest.update(**values, **done).where(PrivacyRequest.id == request_id).execute()
        if values["state"] != "finished":
            ExportPerson.delete().where(ExportPerson.export_id == request_id).execute()
    return True


def _write_archive(
    file: IO[bytes], subject: Subject, exporter: Exporter, lease: _Lease, export_id: int
) -> dict[str, int]:
    manifest: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in EXPORTED.items():
            manifest[f"{name}.json"] = _write_rows(archive, f"{name}.json", rows(subject), lease)
        files = 0
        for attachment in person_files(subject):
            name = _archive_name(attachment)
            manifest[name] = _write_file(archive, name, attachment, exporter.store, lease)
            files += 1
        _write_manifest(archive, manifest, exporter, export_id)
    counts = {name: manifest[f"{name}.json"]["rows"] for name in EXPORTED}
    return {**counts, "files": files}


def _archive_name(attachment: Attachment) -> str:
    return f"attachments/{attachment.ticket_id}/{attachment.id}-{key_name(attachment.file_name)}"


def _write_rows(
    archive: zipfile.ZipFile, name: str, rows: Iterator[Mapping[str, Any]], lease: _Lease
) -> dict[str, Any]:
    count = 0
    with _Entry(archive, name) as entry:
        entry.write(b"[")
        for count, row in enumerate(rows, start=1):
            lease.keep()
            entry.write((b",\n" if count > 1 else b"\n") + orjson.dumps(row))
        entry.write(b"\n]\n")
    return {"rows": count, **entry.described}


def _write_file(
    archive: zipfile.ZipFile, name: str, attachment: Attachment, store: ObjectStore, lease: _Lease
) -> dict[str, Any]:
    lease.keep()
    if not store.exists(attachment.file_path):
        # The daily sweep takes its row away, too; a person shall not wait for it.
        return {"missing": True}
    with store.open(attachment.file_path) as blocks, _Entry(archive, name) as entry:
        for block in blocks:
            lease.keep()
            entry.write(block)
    return entry.described


def _write_manifest(
    archive: zipfile.ZipFile, manifest: Mapping[str, Any], exporter: Exporter, export_id: int
) -> None:
    about = {
        "service": exporter.service_name,
        "export_id": export_id,
        "made_at": exporter.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "notes": NOTES,
        "files": manifest,
    }
    archive.writestr("manifest.json", orjson.dumps(about, option=orjson.OPT_INDENT_2))


class _Entry:
    """One file of an archive, with its size and its SHA-256."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> _Entry:
        self._target = self._archive.open(self._name, "w", force_zip64=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._target.close()

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        self._hash.update(piece)
        self._target.write(piece)
        if self._archive.fp is not None and self._archive.fp.tell() > LARGEST_EXPORT_BYTES:
            raise ExportGivenUp("too_large")

    @property
    def described(self) -> dict[str, Any]:
        return {"bytes": self._size, "sha256": self._hash.hexdigest()}
