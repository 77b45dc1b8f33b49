"""`/tickets`: the list, one ticket, and what can be done to it."""

from dataclasses import replace

from sav.domain.caller import Caller
from sav.domain.errors import Forbidden
from sav.domain.permissions import sees_internal
from sav.domain.sight_slots import slots_seen_by
from sav.http import documents, payloads
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.replica import read_at
from sav.models.sight_counters import counted_changes
from sav.models.tables import Ticket
from sav.operations.assign_ticket import assign_ticket
from sav.operations.edit_ticket import delete_ticket, edit_ticket
from sav.operations.open_ticket import NewTicket, open_ticket
from sav.operations.settle_ticket import close_ticket, rate_ticket, resolve_ticket
from sav.queries.conversation import list_history
from sav.queries.ticket_detail import visible_detail, visible_revision
from sav.queries.ticket_inbox import TicketFilter, list_tickets


def _ticket_reply(ticket: Ticket, caller: Caller) -> Reply:
    revision = ticket.revision(internal=sees_internal(caller))
    return Reply(document=documents.ticket_document(ticket, caller), revision=revision)


class Tickets(Resource):
    """The tickets in the caller's sight, and new ones."""

    @responder(
        Description(
            summary="List the tickets in your sight",
            callers="authenticated",
            query=payloads.TicketListQuery,
            answer=documents.PageDocument[documents.TicketDocument],
            problems=(403,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        return self.desk.caches.lists.answer(
            (call.caller.role, call.caller.user_id, call.request.query_string),
            state=lambda: counted_changes(slots_seen_by(call.caller)),
            make=lambda: _listed(call).ready(),
        )

    @responder(
        Description(
            summary="Open a ticket",
            callers="authenticated",
            body=payloads.NewTicketBody,
            answer=documents.TicketDocument,
            status=201,
            repeatable=True,
            problems=(403,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        def created(ticket: Ticket) -> Reply:
            return replace(_ticket_reply(ticket, call.caller), status=201, location=f"/tickets/{ticket.id}")

        self.desk.contacts.welcome(call.occasion)
        ticket = open_ticket(
            occasion=call.occasion,
            new=NewTicket(**call.body.model_dump()),
            rules=self.desk.rules,
            first_answer=call.first_answer(created),
        )
        return created(ticket)


def _listed(call: Call) -> Reply:
    wanted = _ticket_filter(call.query, call.caller)
    page = list_tickets(caller=call.caller, wanted=wanted, order=call.query.sort, page=call.page)
    return call.page_reply(page, documents.ticket_document)


def _ticket_filter(query: payloads.TicketListQuery, caller: Caller) -> TicketFilter:
    if query.user_id is not None and not caller.is_staff and query.user_id != caller.user_id:
        raise Forbidden("Only staff may list the tickets of others.")
    return TicketFilter(
        status=query.status,
        priority=query.priority,
        category=query.category,
        source=query.source,
        tag=query.tag,
        assigned_to=caller.user_id if query.assigned_to == "me" else query.assigned_to,
        user_id=query.user_id,
        created_from=query.created_from,
        created_to=query.created_to,
        updated_from=query.updated_from,
        text=query.q,
    )


class OneTicket(Resource):
    """One ticket."""

    @responder(
        Description(
            summary="Read a ticket with its messages and attachments",
            callers="authenticated",
            answer=documents.TicketDetailDocument,
            revisions="read",
        )
    )
    def on_get(self, call: Call) -> Reply:
        cache, key = self.desk.caches.details, _detail_key(call)
        may_be_kept = cache.has(key)
        if not (may_be_kept or call.is_conditional or self.desk.replica):
            # All of the ticket is read at once, and with it all that would be asked for here.
            return self._as_read(call)

        def revision_now() -> str:
            return visible_revision(call.caller, call.ids["ticket_id"])

        revision = revision_now()
        if call.has(revision):
            return Reply(revision=revision)
        kept = cache.get(key, revision) if may_be_kept else None
        return kept or read_at(
            self.desk.replica, lambda: self._as_read(call), state=revision_now, before=revision
        )

    def _as_read(self, call: Call) -> Reply:
        detail = visible_detail(call.caller, call.ids["ticket_id"])
        revision = detail.ticket.revision(internal=sees_internal(call.caller))
        reply = Reply(document=documents.detail_document(detail, call.caller), revision=revision).ready()
        self.desk.caches.details.put(_detail_key(call), revision, reply)
        return reply

    def _change(self, call: Call) -> Reply:
        ticket = edit_ticket(
            occasion=call.occasion,
            ticket_id=call.ids["ticket_id"],
            fields=call.changes,
            customer_maximum_priority=self.desk.customer_maximum_priority,
            expected_versions=call.expected_versions,
        )
        return _ticket_reply(ticket, call.caller)

    _CHANGE = Description(
        summary="Change the given fields of a ticket",
        callers="authenticated",
        body=payloads.TicketChangesBody,
        answer=documents.TicketDocument,
        revisions="write",
        problems=(403, 409),
    )
    on_put = responder(_CHANGE)(_change)
    on_patch = responder(_CHANGE)(_change)

    @responder(
        Description(
            summary="Delete a ticket; its owner while it is open, an admin always",
            callers="authenticated",
            answer=documents.Done,
            revisions="write",
            problems=(403, 409),
        )
    )
    def on_delete(self, call: Call) -> Reply:
        delete_ticket(
            occasion=call.occasion,
            ticket_id=call.ids["ticket_id"],
            expected_versions=call.expected_versions,
        )
        return Reply(document={"message": "The ticket was deleted."})


def _detail_key(call: Call) -> tuple[int, bool]:
    # Whether they see it at all is asked each time; what they see of it depends on this alone.
    return call.ids["ticket_id"], sees_internal(call.caller)


class TicketAssignment(Resource):
    """`/tickets/{ticket_id}/assign`"""

    @responder(
        Description(
            summary="Give a ticket to an agent; for staff",
            callers="authenticated",
            body=payloads.AssignBody,
            answer=documents.TicketDocument,
            revisions="write",
            problems=(403, 409),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket = assign_ticket(
            occasion=call.occasion,
            ticket_id=call.ids["ticket_id"],
            agent_id=call.body.agent_id,
            expected_versions=call.expected_versions,
        )
        return _ticket_reply(ticket, call.caller)


class TicketResolution(Resource):
    """`/tickets/{ticket_id}/resolve`"""

    @responder(
        Description(
            summary="Resolve a ticket; for staff",
            callers="authenticated",
            body=payloads.ResolveBody,
            answer=documents.TicketDocument,
            revisions="write",
            problems=(403, 409),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket = resolve_ticket(
            occasion=call.occasion,
            ticket_id=call.ids["ticket_id"],
            resolution=call.body.resolution,
            expected_versions=call.expected_versions,
        )
        return _ticket_reply(ticket, call.caller)


class TicketClosing(Resource):
    """`/tickets/{ticket_id}/close`"""

    @responder(
        Description(
            summary="Close a ticket",
            callers="authenticated",
            body=payloads.CloseBody,
            body_optional=True,
            answer=documents.TicketDocument,
            revisions="write",
            problems=(409,),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket = close_ticket(
            occasion=call.occasion,
            ticket_id=call.ids["ticket_id"],
            reason=call.body.reason,
            expected_versions=call.expected_versions,
        )
        return _ticket_reply(ticket, call.caller)


class TicketSatisfaction(Resource):
    """`/tickets/{ticket_id}/satisfaction`"""

    @responder(
        Description(
            summary="Rate how a ticket was handled; its owner, once",
            callers="authenticated",
            body=payloads.SatisfactionBody,
            answer=documents.TicketDocument,
            revisions="write",
            problems=(403, 409),
        )
    )
    def on_post(self, call: Call) -> Reply:
        ticket = rate_ticket(
            occasion=call.occasion,
            ticket_id=call.ids["ticket_id"],
            rating=call.body.rating,
            comment=call.body.comment,
            expected_versions=call.expected_versions,
        )
        return _ticket_reply(ticket, call.caller)


class TicketHistory(Resource):
    """`/tickets/{ticket_id}/history`"""

    @responder(
        Description(
            summary="Read everything that happened to a ticket; for staff",
            callers="authenticated",
            query=payloads.ListQuery,
            answer=documents.PageDocument[documents.HistoryDocument],
            problems=(403, 404),
        )
    )
    def on_get(self, call: Call) -> Reply:
        page = list_history(caller=call.caller, ticket_id=call.ids["ticket_id"], page=call.page)
        return call.page_reply(page, documents.history_document)
