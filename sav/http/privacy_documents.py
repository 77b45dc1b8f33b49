"""Requests about a person's data as they go out, and their schema."""

from typing import Any

from pydantic import AwareDatetime

from sav.domain.caller import Caller
from sav.domain.privacy import RequestSource, RequestState
from sav.http.documents import Answer, Document, rfc3339
from sav.models.tables import PrivacyRequest


class PrivacyRequestDocument(Answer):
    """What was asked for about a person's data. Whom it is about is there as a keyed hash alone."""

    id: int
    state: RequestState
    source: RequestSource
    requested_by: int | None
    subject_hash: str
    counts: dict[str, int]
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class ExportDocument(PrivacyRequestDocument):
    """An export: its archive, once it is there, can be downloaded until it expires."""

    failure: str | None
    archive_bytes: int | None
    archive_sha256: str | None
    expires_at: AwareDatetime | None


class ReceiptDocument(Answer):
    """What was erased, signed (Ed25519 over the statement as JSON with sorted keys and without spaces)."""

    statement: dict[str, Any]
    algorithm: str
    public_key: str
    signature: str


class ErasureDocument(PrivacyRequestDocument):
    """An erasure: how far it has come, and at its end a receipt.

    No search finds an erased word; the full-text index itself keeps them until an operator makes it anew.
    """

    step: str
    receipt: ReceiptDocument | None


class ErasureProgressDocument(ErasureDocument):
    """An erasure, with how many of the person's tickets were found and are done while it is at work."""

    tickets_found: int
    tickets_done: int


def export_document(export: PrivacyRequest, caller: Caller) -> Document:
    return {
        **_privacy_request(export),
        "failure": export.failure,
        "archive_bytes": export.object_size,
        "archive_sha256": export.object_sha256,
        "expires_at": rfc3339(export.expires_at),
    }


def erasure_document(erasure: PrivacyRequest, caller: Caller) -> Document:
    return {**_privacy_request(erasure), "step": erasure.step, "receipt": erasure.receipt}


def erasure_progress_document(erasure: PrivacyRequest, caller: Caller, done: int, found: int) -> Document:
    return {**erasure_document(erasure, caller), "tickets_found": found, "tickets_done": done}


def _privacy_request(request: PrivacyRequest) -> Document:
    return {
        "id": request.id,
        "state": request.state,
        "source": request.source,
        "requested_by": request.requested_by,
        "subject_hash": request.subject_hash,
        "counts": request.counts,
        "created_at": rfc3339(request.created_at),
        "started_at": rfc3339(request.started_at),
        "finished_at": rfc3339(request.finished_at),
    }
