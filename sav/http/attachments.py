"""`/tickets/{ticket_id}/attachments`: a ticket's files."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sav.domain.permissions import sees_internal
from sav.http import documents, payloads
from sav.http.answer_caches import AnswerCache
from sav.http.desk import Desk
from sav.http.forms import ONE_FILE, SEVERAL_FILES, FileForm, received_form
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.tables import Attachment
from sav.operations.attach_files import NewFile, attach_files, require_attaching
from sav.operations.delete_attachment import delete_attachment
from sav.queries.attachments import (
    list_attachments,
    list_message_attachments,
    one_attachment,
    require_served,
)
from sav.queries.ticket_detail import visible_revision
from sav.storage.file_types import FILE_TYPES
from sav.storage.object_store import LINK_LIFETIME

T = TypeVar("T")


class Attachments(Resource):
    """The files of a ticket, and new ones."""

    @responder(
        Description(
            summary="List a ticket's files, oldest first",
            callers="authenticated",
            query=payloads.ListQuery,
            answer=documents.PageDocument[documents.AttachmentDocument],
        )
    )
    def on_get(self, call: Call) -> Reply:
        def listed() -> Reply:
            page = list_attachments(caller=call.caller, ticket_id=call.ids["ticket_id"], page=call.page)
            return call.page_reply(page, documents.attachment_document).ready()

        return _kept(self.desk.caches.file_lists, call, listed)

    @responder(
        Description(
            summary="Attach a file to a ticket, or to one of its messages",
            callers="authenticated",
            form=ONE_FILE,
            answer=documents.AttachmentDocument,
            status=201,
            repeatable=True,
            problems=(409,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        def created(attachments: Sequence[Attachment]) -> Reply:
            attachment = attachments[0]
            return Reply(
                document=documents.attachment_document(attachment, call.caller),
                status=201,
                location=f"{call.request.path}/{attachment.id}",
            )

        ticket_id = call.ids["ticket_id"]
        return created(attach_received(self.desk, call, ONE_FILE, created, ticket_id=ticket_id))


class SeveralAttachments(Resource):
    """`/tickets/{ticket_id}/attachments/multiple`"""

    @responder(
        Description(
            summary="Attach up to ten files, all or none",
            callers="authenticated",
            form=SEVERAL_FILES,
            answer=documents.AttachmentsDocument,
            status=201,
            repeatable=True,
            problems=(409,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        def created(attachments: Sequence[Attachment]) -> Reply:
            return Reply(
                document={
                    "data": [
                        documents.attachment_document(attachment, call.caller) for attachment in attachments
                    ]
                },
                status=201,
                location=f"/tickets/{call.ids['ticket_id']}/attachments",
            )

        ticket_id = call.ids["ticket_id"]
        return created(attach_received(self.desk, call, SEVERAL_FILES, created, ticket_id=ticket_id))


def attach_received(
    desk: Desk,
    call: Call,
    form: FileForm,
    created: Callable[[Sequence[Attachment]], Reply],
    *,
    ticket_id: int,
) -> Sequence[Attachment]:
    """Receives the request's files, and attaches them to the ticket."""
    # Whoever may attach nothing need not send it first.
    require_attaching(occasion=call.occasion, ticket_id=ticket_id, was_asked_before=call.is_repeatable)
    with received_form(call.request, form, desk.uploads) as received:
        return attach_files(
            occasion=call.occasion,
            ticket_id=ticket_id,
            files=[
                NewFile(field=file.field, name=file.name, content=file.content, size=file.size)
                for file in received.files
            ],
            message_id=received.message_id,
            store=desk.storage,
            arrival=desk.arrival,
            first_answer=call.first_answer(created, content=received.fingerprint),
        )


class MessageAttachments(Resource):
    """`/tickets/{ticket_id}/attachments/message/{message_id}`"""

    @responder(
        Description(
            summary="List the files that hang on a message",
            callers="authenticated",
            query=payloads.ListQuery,
            answer=documents.PageDocument[documents.AttachmentDocument],
        )
    )
    def on_get(self, call: Call) -> Reply:
        def listed() -> Reply:
            page = list_message_attachments(caller=call.caller, page=call.page, **call.ids)
            return call.page_reply(page, documents.attachment_document).ready()

        return _kept(self.desk.caches.file_lists, call, listed)


class OneAttachment(Resource):
    """One file."""

    @responder(
        Description(
            summary="Read what is known of a file, with a link to it",
            callers="authenticated",
            answer=documents.LinkedAttachmentDocument,
        )
    )
    def on_get(self, call: Call) -> Reply:
        attachment = _one(self.desk, call)
        document = documents.attachment_document(attachment, call.caller)
        is_served = attachment.state == "available"
        return Reply(
            document={**document, "file_url": _link(self.desk, call, attachment) if is_served else None}
        )

    @responder(
        Description(
            summary="Delete a file; whoever attached it, or an admin",
            callers="authenticated",
            answer=documents.Done,
            problems=(403,),
        )
    )
    def on_delete(self, call: Call) -> Reply:
        delete_attachment(occasion=call.occasion, **call.ids)
        return Reply(document={"message": "The attachment was deleted."})


class AttachmentDownload(Resource):
    """`/tickets/{ticket_id}/attachments/{attachment_id}/download`"""

    @responder(
        Description(
            summary="Go to a file, by a link that is good for an hour",
            callers="authenticated",
            query=payloads.DownloadQuery,
            answer=documents.DownloadDocument,
            other_answers=(302,),
            problems=(409,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        return download_reply(self.desk, call, _one(self.desk, call))


def _one(desk: Desk, call: Call) -> Attachment:
    return _kept(desk.caches.files, call, lambda: one_attachment(caller=call.caller, **call.ids))


def _kept(cache: AnswerCache[T], call: Call, read: Callable[[], T]) -> T:
    """What is known of a ticket's files, to all who see the same of the ticket."""
    ids, caller = call.ids, call.caller
    return cache.answer(
        (*sorted(ids.items()), sees_internal(caller), call.request.query_string),
        # Asked each time, for it also says whether the caller sees the ticket at all.
        state=lambda: visible_revision(caller, ids["ticket_id"]),
        make=read,
    )


def download_reply(desk: Desk, call: Call, attachment: Attachment) -> Reply:
    """The way to a file that the caller is known to see; raises `AttachmentQuarantined`."""
    require_served(attachment)
    url = _link(desk, call, attachment)
    document = {"url": url, "expires_at": documents.rfc3339(call.now + LINK_LIFETIME)}
    if call.query.redirect:
        return Reply(document=document, status=302, location=url)
    return Reply(document=document)


def _link(desk: Desk, call: Call, attachment: Attachment) -> str:
    kind = FILE_TYPES.get(attachment.file_type)
    return desk.storage.signed_url(
        attachment.file_path,
        # Whatever it was called, it is saved as what it is.
        file_name=kind.name_to_serve(attachment.file_name) if kind else attachment.file_name,
        mime_type=attachment.mime_type,
        now=call.now,
    )
