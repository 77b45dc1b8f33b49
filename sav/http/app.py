"""The HTTP tier: which path leads to which resource."""

from typing import Any

import falcon

from sav.http import (
    agents,
    attachments,
    error_responses,
    guest_tickets,
    health,
    mail_links,
    messages,
    privacy,
    statistics,
    tickets,
)
from sav.http.desk import Desk
from sav.http.documentation import DocumentationAssets, DocumentationPage, OpenApiDocument
from sav.http.metrics import Metrics
from sav.http.middleware import AccessLog, RequestIds, Traces
from sav.http.safe_headers import SafeHeaders
from sav.http.signed_files import SignedFiles
from sav.telemetry import tracing


def routes(desk: Desk) -> dict[str, Any]:
    """Every path of the API, and its resource."""
    ticket = "/tickets/{ticket_id}"
    guests = "/public/tickets/{ticket_number}"
    return {
        "/health": health.Health(desk),
        "/status": health.Status(desk),
        "/ready": health.Ready(desk),
        "/tickets": tickets.Tickets(desk),
        "/tickets/statistics": statistics.TicketStatistics(desk),
        ticket: tickets.OneTicket(desk),
        f"{ticket}/assign": tickets.TicketAssignment(desk),
        f"{ticket}/resolve": tickets.TicketResolution(desk),
        f"{ticket}/close": tickets.TicketClosing(desk),
        f"{ticket}/satisfaction": tickets.TicketSatisfaction(desk),
        f"{ticket}/history": tickets.TicketHistory(desk),
        f"{ticket}/messages": messages.Messages(desk),
        f"{ticket}/messages/unread-count": messages.UnreadCount(desk),
        f"{ticket}/messages/mark-all-read": messages.AllRead(desk),
        ticket + "/messages/{message_id}": messages.OneMessage(desk),
        ticket + "/messages/{message_id}/mark-read": messages.MessageRead(desk),
        f"{ticket}/attachments": attachments.Attachments(desk),
        f"{ticket}/attachments/multiple": attachments.SeveralAttachments(desk),
        ticket + "/attachments/message/{message_id}": attachments.MessageAttachments(desk),
        ticket + "/attachments/{attachment_id}": attachments.OneAttachment(desk),
        ticket + "/attachments/{attachment_id}/download": attachments.AttachmentDownload(desk),
        "/public/tickets": guest_tickets.GuestTickets(desk),
        "/public/surveys/{token}": mail_links.SurveyLink(desk),
        "/public/unsubscribe/{token}": mail_links.UnsubscribeLink(desk),
        guests: guest_tickets.OneGuestTicket(desk),
        f"{guests}/messages": guest_tickets.GuestMessages(desk),
        f"{guests}/attachments": guest_tickets.GuestAttachments(desk),
        guests + "/attachments/{attachment_id}/download": guest_tickets.GuestAttachmentDownload(desk),
        f"{guests}/satisfaction": guest_tickets.GuestSatisfaction(desk),
        "/agents": agents.Agents(desk),
        "/agents/me": agents.OwnAgent(desk),
        "/agents/me/availability": agents.OwnAvailability(desk),
        "/agents/{user_id}": agents.OneAgent(desk),
        "/privacy/exports": privacy.Exports(desk),
        "/privacy/exports/{export_id}": privacy.OneExport(desk),
        "/privacy/exports/{export_id}/download": privacy.ExportDownload(desk),
        "/privacy/erasures": privacy.Erasures(desk),
        "/privacy/erasures/{erasure_id}": privacy.OneErasure(desk),
    }


def create_app(desk: Desk) -> falcon.App[Any, Any]:
    """The WSGI application."""
    middleware: Any = [
        RequestIds(),
        *([Traces()] if tracing.is_on() else []),
        AccessLog(),
        SafeHeaders(is_behind_tls=desk.is_behind_tls),
    ]
    app = falcon.App(middleware=middleware)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    error_responses.register(app)
    paths = routes(desk)
    beside = {
        "/openapi.json": OpenApiDocument(paths, version=desk.version),
        "/metrics": Metrics(desk),
        "/files/{key:path}": SignedFiles(desk),
        "/docs": DocumentationPage(),
        "/docs/{name}": DocumentationAssets(),
    }
    for path, resource in {**paths, **beside}.items():
        _answer_head(resource)
        app.add_route(path, resource)
    return app


def _answer_head(resource: Any) -> None:
    """HEAD is GET without the body, which Falcon leaves out."""
    if hasattr(resource, "on_get"):
        resource.on_head = resource.on_get
