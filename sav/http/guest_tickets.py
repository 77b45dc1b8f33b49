"""`/public/tickets`: the desk for people without an account.

The number of a guest's ticket reads it; its access token, in `X-Ticket-Token`, writes to it.
"""

import hashlib
from collections.abc import Sequence

from sav.domain.email_addresses import mailbox
from sav.http import documents, guest_documents, payloads
from sav.http.attachments import attach_received, download_reply
from sav.http.forms import ONE_FILE
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.tables import Attachment, Message
from sav.operations.converse import reply_to_ticket
from sav.operations.open_guest_ticket import GuestTicket, open_guest_ticket
from sav.operations.open_ticket import NewTicket
from sav.operations.settle_ticket import rate_ticket
from sav.queries.attachments import one_attachment
from sav.queries.guest_ticket import guest_ticket_face
from sav.queries.pages import PageRequest

IDENTITY_LENGTH = 40


class GuestTickets(Resource):
    """New tickets of guests."""

    @responder(
        Description(
            summary="Open a ticket without an account",
            callers="anyone",
            body=payloads.NewGuestTicketBody,
            answer=guest_documents.OpenedGuestTicketDocument,
            status=201,
            repeatable=True,
            secret=True,
        )
    )
    def on_post(self, call: Call) -> Reply:
        def created(opened: GuestTicket) -> Reply:
            return Reply(
                document=guest_documents.opened_guest_ticket_document(opened),
                status=201,
                location=f"/public/tickets/{opened.ticket.ticket_number}",
            )

        whose = mailbox(call.body.email)
        # Two strangers may choose the same key; hashed, because the row is about no ticket.
        hashed = hashlib.sha256(whose.encode()).hexdigest()[:IDENTITY_LENGTH]
        first_answer = call.first_answer(created, identity=f"email:{hashed}")
        if first_answer:
            # Before it is counted: a repetition is none of the tickets that one may open an hour.
            first_answer.look(now=call.now)
        if call.admission:
            call.admission.open_ticket_for(whose)
        opened = open_guest_ticket(
            occasion=call.occasion,
            new=NewTicket(
                subject=call.body.subject,
                description=call.body.description,
                category=call.body.category,
                contact_email=call.body.email,
                contact_name=call.body.name,
                locale=call.body.locale,
            ),
            number_prefix=self.desk.number_prefix,
            first_answer=first_answer,
        )
        return created(opened)


class OneGuestTicket(Resource):
    """A guest's ticket by its number."""

    @responder(
        Description(
            summary="Read a guest's ticket by its number",
            callers="anyone",
            guessable=True,
            query=payloads.ThreadQuery,
            answer=guest_documents.GuestTicketDocument,
        )
    )
    def on_get(self, call: Call) -> Reply:
        page = PageRequest(call.query.per_page, call.query.cursor)
        face = guest_ticket_face(number=call.texts["ticket_number"], page=page)
        return Reply(
            document=guest_documents.guest_ticket_document(face), next_page=call.page_after(face.messages)
        )


class GuestMessages(Resource):
    """`/public/tickets/{ticket_number}/messages`"""

    @responder(
        Description(
            summary="Write to the desk as a ticket's guest",
            callers="guest",
            body=payloads.GuestMessageBody,
            answer=guest_documents.WrittenGuestMessageDocument,
            status=201,
            repeatable=True,
            problems=(409,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        def created(message: Message) -> Reply:
            return Reply(document=guest_documents.written_guest_message_document(message), status=201)

        message = reply_to_ticket(
            occasion=call.occasion,
            ticket_id=call.guests_ticket_id,
            content=call.body.content,
            first_answer=call.first_answer(created),
        )
        return created(message)


class GuestAttachments(Resource):
    """`/public/tickets/{ticket_number}/attachments`"""

    @responder(
        Description(
            summary="Attach a file as a ticket's guest",
            callers="guest",
            form=ONE_FILE,
            answer=guest_documents.GuestAttachmentDocument,
            status=201,
            repeatable=True,
            problems=(409,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket_id = call.guests_ticket_id

        def created(attachments: Sequence[Attachment]) -> Reply:
            attachment = attachments[0]
            return Reply(
                document=guest_documents.guest_attachment_document(attachment),
                status=201,
                location=f"{call.request.path}/{attachment.id}/download",
            )

        if call.admission:
            call.admission.attach_file_to(ticket_id)
        return created(attach_received(self.desk, call, ONE_FILE, created, ticket_id=ticket_id))


class GuestAttachmentDownload(Resource):
    """`/public/tickets/{ticket_number}/attachments/{attachment_id}/download`"""

    @responder(
        Description(
            summary="Go to a file as the ticket's guest, by a link that is good for an hour",
            callers="guest",
            query=payloads.DownloadQuery,
            answer=documents.DownloadDocument,
            other_answers=(302,),
            problems=(409,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        attachment = one_attachment(
            caller=call.caller, ticket_id=call.guests_ticket_id, attachment_id=call.ids["attachment_id"]
        )
        return download_reply(self.desk, call, attachment)


class GuestSatisfaction(Resource):
    """`/public/tickets/{ticket_number}/satisfaction`"""

    @responder(
        Description(
            summary="Rate how a guest's ticket was handled, once",
            callers="guest",
            body=payloads.SatisfactionBody,
            answer=guest_documents.GuestRatingDocument,
            problems=(409,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket = rate_ticket(
            occasion=call.occasion,
            ticket_id=call.guests_ticket_id,
            rating=call.body.rating,
            comment=call.body.comment,
        )
        return Reply(document=guest_documents.guest_rating_document(ticket))
