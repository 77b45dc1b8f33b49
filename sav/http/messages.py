"""`/tickets/{ticket_id}/messages`: the conversation."""

from sav.domain.caller import Caller
from sav.http import documents, payloads
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.tables import Message
from sav.operations.converse import delete_message, edit_message, mark_read, reply_to_ticket
from sav.queries.conversation import list_messages, one_message, unread_count
from sav.queries.ticket_detail import visible_revision


def _message_reply(message: Message, caller: Caller) -> Reply:
    return Reply(document=documents.message_document(message, caller), revision=message.revision)


class Messages(Resource):
    """The thread, and new messages."""

    @responder(
        Description(
            summary="List a ticket's messages, oldest first",
            callers="authenticated",
            query=payloads.ListQuery,
            answer=documents.PageDocument[documents.MessageDocument],
        )
    )
    def on_get(self, call: Call) -> Reply:
        caller, ticket_id, replica = call.caller, call.ids["ticket_id"], self.desk.replica

        def listed() -> Reply:
            page = list_messages(caller=caller, ticket_id=ticket_id, page=call.page)
            return call.page_reply(page, documents.message_document)

        def revision_now() -> str:
            return visible_revision(caller, ticket_id)

        if replica is None:
            return listed()
        return replica.read(listed, state=revision_now, before=revision_now())

    @responder(
        Description(
            summary="Add a reply, or a note that only staff will see",
            callers="authenticated",
            body=payloads.NewMessageBody,
            answer=documents.MessageDocument,
            status=201,
            repeatable=True,
            problems=(403, 409),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket_id = call.ids["ticket_id"]

        def created(message: Message) -> Reply:
            return Reply(
                document=documents.message_document(message, call.caller),
                status=201,
                revision=message.revision,
                location=f"/tickets/{ticket_id}/messages/{message.id}",
            )

        self.desk.contacts.welcome(call.occasion)
        message = reply_to_ticket(
            occasion=call.occasion,
            ticket_id=ticket_id,
            content=call.body.content,
            is_internal=call.body.is_internal,
            first_answer=call.first_answer(created),
        )
        return created(message)


class OneMessage(Resource):
    """One message."""

    @responder(
        Description(
            summary="Read a message",
            callers="authenticated",
            answer=documents.MessageDocument,
            revisions="read",
        )
    )
    def on_get(self, call: Call) -> Reply:
        message = one_message(caller=call.caller, **call.ids)
        return _message_reply(message, call.caller)

    def _change(self, call: Call) -> Reply:
        message = edit_message(
            occasion=call.occasion,
            content=call.body.content,
            expected_versions=call.expected_versions,
            **call.ids,
        )
        return _message_reply(message, call.caller)

    _CHANGE = Description(
        summary="Correct a message; its author for 15 minutes, an admin always",
        callers="authenticated",
        body=payloads.MessageChangesBody,
        answer=documents.MessageDocument,
        revisions="write",
        problems=(403, 409),
    )
    on_put = responder(_CHANGE)(_change)
    on_patch = responder(_CHANGE)(_change)

    @responder(
        Description(
            summary="Delete a message; its author for 15 minutes, an admin always",
            callers="authenticated",
            answer=documents.Done,
            revisions="write",
            problems=(403, 409),
        )
    )
    def on_delete(self, call: Call) -> Reply:
        delete_message(occasion=call.occasion, expected_versions=call.expected_versions, **call.ids)
        return Reply(document={"message": "The message was deleted."})


class UnreadCount(Resource):
    """`/tickets/{ticket_id}/messages/unread-count`"""

    @responder(
        Description(
            summary="Count the messages of others that you have not read",
            callers="authenticated",
            answer=documents.UnreadCount,
        )
    )
    def on_get(self, call: Call) -> Reply:
        return Reply(document={"count": unread_count(caller=call.caller, **call.ids)})


class AllRead(Resource):
    """`/tickets/{ticket_id}/messages/mark-all-read`"""

    @responder(
        Description(
            summary="Mark all messages that you can see as read",
            callers="authenticated",
            body=payloads.NothingBody,
            body_optional=True,
            answer=documents.Done,
        )
    )
    def on_post(self, call: Call) -> Reply:
        mark_read(occasion=call.occasion, **call.ids)
        return Reply(document={"message": "All messages are marked as read."})


class MessageRead(Resource):
    """`/tickets/{ticket_id}/messages/{message_id}/mark-read`"""

    @responder(
        Description(
            summary="Mark a message as read",
            callers="authenticated",
            body=payloads.NothingBody,
            body_optional=True,
            answer=documents.Done,
        )
    )
    def on_post(self, call: Call) -> Reply:
        mark_read(occasion=call.occasion, **call.ids)
        return Reply(document={"message": "The message is marked as read."})
