"""What was asked for about persons' data, and how far it has come."""

from sav.domain.errors import NotFound
from sav.domain.privacy import ExportGone, ExportNotReady, RequestKind
from sav.models.tables import ErasureTicket, PrivacyRequest
from sav.queries.pages import Page, PageRequest, page_by_key


def list_requests(*, kind: RequestKind, page: PageRequest) -> Page[PrivacyRequest]:
    """One page of the requests of a kind, the oldest first."""
    return page_by_key(PrivacyRequest.select().where(PrivacyRequest.kind == kind), PrivacyRequest.id, page)


def one_request(*, kind: RequestKind, request_id: int | None) -> PrivacyRequest:
    """A request of this kind; raises `NotFound`."""
    request: PrivacyRequest | None = PrivacyRequest.get_or_none(
        PrivacyRequest.id == request_id, PrivacyRequest.kind == kind
    )
    if request is None:
        raise NotFound
    return request


def export_archive(*, request_id: int | None) -> PrivacyRequest:
    """An export whose archive is there; raises `NotFound`, `ExportNotReady` or `ExportGone`."""
    export = one_request(kind="export", request_id=request_id)
    if export.state in ("waiting", "running"):
        raise ExportNotReady
    if export.state != "finished" or export.object_key is None:
        raise ExportGone
    return export


def erasure_progress(erasure_id: int) -> tuple[int, int]:
    """How many of the tickets that were found are done, and how many there are, while it is at work."""
    mine = ErasureTicket.select().where(ErasureTicket.erasure_id == erasure_id)
    return mine.where(ErasureTicket.stage == "done").count(), mine.count()
