"""Does what a received event asks for."""

from datetime import UTC, datetime

import structlog

from sav.actors.foreign_envelope import parse_foreign_event
from sav.domain.caller import SYSTEM
from sav.domain.foreign_events import OrderIssue, ProductIssue, UserDeleted, UserRegistered
from sav.domain.occasion import Occasion
from sav.operations.effect_claims import Claim
from sav.operations.link_guest_tickets import link_guest_tickets
from sav.operations.open_reported_ticket import report_order_issue, report_product_issue
from sav.operations.privacy_requests import erase_deleted_user
from sav.operations.received_events import received_event


def handle_received_event(claim: Claim, *, number_prefix: str) -> None:
    """Opens or continues a ticket, links tickets, or begins an erasure.

    The token's sequence is the received event's id.
    """
    row = received_event(claim.sequence)
    # Only now is it known on whose behalf this is done.
    structlog.contextvars.bind_contextvars(request_id=row.request_id)
    now = datetime.now(UTC)
    match parse_foreign_event(row.envelope.encode(), message_id=None).fact:
        case OrderIssue() as issue:
            report_order_issue(
                claim=claim, issue=issue, number_prefix=number_prefix, now=now, request_id=row.request_id
            )
        case ProductIssue() as issue:
            report_product_issue(
                claim=claim, issue=issue, number_prefix=number_prefix, now=now, request_id=row.request_id
            )
        case UserRegistered() as user:
            link_guest_tickets(claim=claim, user=user, now=now, request_id=row.request_id)
        case UserDeleted() as user:
            # Without the request's id: what stays of an erasure is free of whatever others have chosen.
            erase_deleted_user(claim=claim, user=user, occasion=Occasion(SYSTEM, now))
