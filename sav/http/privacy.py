"""`/privacy`: what is known of a person, as an archive, and its erasure; for admins.

Both take their time: the answer is that it is asked for, and where to look how far it has come.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from sav.domain.caller import Caller
from sav.domain.privacy import RequestKind
from sav.http import documents, payloads, privacy_documents
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.tables import PrivacyRequest
from sav.operations.build_export import EXPORT_TYPE
from sav.operations.privacy_requests import request_privacy
from sav.queries.privacy_requests import erasure_progress, export_archive, list_requests, one_request

ARCHIVE_LINK_LIFETIME = timedelta(minutes=5)
"""How long a link to an archive is good for: all of a person is behind it."""

log = structlog.get_logger(__name__)

Render = Callable[[PrivacyRequest, Caller], documents.Document]


def _asked(call: Call, kind: RequestKind, path: str, render: Render) -> Reply:
    def accepted(request: PrivacyRequest) -> Reply:
        return Reply(document=render(request, call.caller), status=202, location=f"{path}/{request.id}")

    return accepted(
        request_privacy(
            kind=kind,
            occasion=call.occasion,
            user_id=call.body.user_id,
            email=call.body.email,
            source="admin",
            first_answer=call.first_answer(accepted),
        )
    )


class Exports(Resource):
    """Exports of persons' data."""

    @responder(
        Description(
            summary="List the exports of persons' data; for admins",
            callers="admin",
            query=payloads.ListQuery,
            answer=documents.PageDocument[privacy_documents.ExportDocument],
        )
    )
    def on_get(self, call: Call) -> Reply:
        return call.page_reply(
            list_requests(kind="export", page=call.page), privacy_documents.export_document
        )

    @responder(
        Description(
            summary="Ask for an export of everything about a person; for admins",
            callers="admin",
            body=payloads.PersonBody,
            answer=privacy_documents.ExportDocument,
            status=202,
            repeatable=True,
        )
    )
    def on_post(self, call: Call) -> Reply:
        return _asked(call, "export", "/privacy/exports", privacy_documents.export_document)


class OneExport(Resource):
    """One export."""

    @responder(
        Description(
            summary="Read how far an export has come; for admins",
            callers="admin",
            answer=privacy_documents.ExportDocument,
        )
    )
    def on_get(self, call: Call) -> Reply:
        export = one_request(kind="export", request_id=call.ids["export_id"])
        return Reply(document=privacy_documents.export_document(export, call.caller))


class ExportDownload(Resource):
    """`/privacy/exports/{export_id}/download`"""

    @responder(
        Description(
            summary="Go to the archive of an export, by a link that is good for five minutes; for admins",
            callers="admin",
            query=payloads.DownloadQuery,
            answer=documents.DownloadDocument,
            other_answers=(302,),
            problems=(409,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        export = export_archive(request_id=call.ids["export_id"])
        url = self.desk.storage.signed_url(
            export.object_key or "",
            file_name=f"export-{export.id}.zip",
            mime_type=EXPORT_TYPE,
            now=call.now,
            lifetime=ARCHIVE_LINK_LIFETIME,
        )
        # Whoever has the link has the archive: who got it stays in the log.
        log.info(
            "archive given out",
            action="download_export",
            export_id=export.id,
            user_id=call.caller.user_id,
        )
        document = {"url": url, "expires_at": documents.rfc3339(call.now + ARCHIVE_LINK_LIFETIME)}
        if call.query.redirect:
            return Reply(document=document, status=302, location=url)
        return Reply(document=document)


class Erasures(Resource):
    """Erasures of persons' data."""

    @responder(
        Description(
            summary="List the erasures of persons' data; for admins",
            callers="admin",
            query=payloads.ListQuery,
            answer=documents.PageDocument[privacy_documents.ErasureDocument],
        )
    )
    def on_get(self, call: Call) -> Reply:
        return call.page_reply(
            list_requests(kind="erasure", page=call.page), privacy_documents.erasure_document
        )

    @responder(
        Description(
            summary="Erase everything about a person, for ever; for admins",
            callers="admin",
            body=payloads.PersonBody,
            answer=privacy_documents.ErasureDocument,
            status=202,
            repeatable=True,
        )
    )
    def on_post(self, call: Call) -> Reply:
        return _asked(call, "erasure", "/privacy/erasures", privacy_documents.erasure_document)


class OneErasure(Resource):
    """One erasure."""

    @responder(
        Description(
            summary="Read how far an erasure has come, and its receipt; for admins",
            callers="admin",
            answer=privacy_documents.ErasureProgressDocument,
        )
    )
    def on_get(self, call: Call) -> Reply:
        erasure = one_request(kind="erasure", request_id=call.ids["erasure_id"])
        done, found = erasure_progress(erasure.id)
        return Reply(document=privacy_documents.erasure_progress_document(erasure, call.caller, done, found))
