"""Does what received events ask for."""

from datetime import UTC, datetime
from uuid import uuid4

from sav.actors.foreign_envelope import parse_foreign_event
from sav.domain.foreign_events import OrderIssue, ProductIssue, UserRegistered
from sav.domain.retries import HANDLE_RECEIVED_EVENT
from sav.models.database import DatabaseUnavailable
from sav.operations.effect_claims import Claim, claim_effects, give_back
from sav.operations.link_guest_tickets import link_guest_tickets
from sav.operations.open_reported_ticket import report_order_issue, report_product_issue
from sav.operations.received_events import received_event

EVENTS_A_CLAIM = 20
"""How many events a worker takes at a time: few enough to be done long before the lease ends."""


def handle_received_events(*, number_prefix: str) -> None:
    """Handles everything that was received and that nobody else is handling."""
    owner = str(uuid4())
    while claims := claim_effects(
        effect=HANDLE_RECEIVED_EVENT, owner=owner, now=datetime.now(UTC), limit=EVENTS_A_CLAIM
    ):
        for claim in claims:
            try:
                _handle(claim, number_prefix)
            except DatabaseUnavailable:
                # Nobody's fault but the database's: the lease ends, and the relay finds the token again.
                raise
            except Exception as error:
                give_back(claim=claim, error=error, now=datetime.now(UTC))


def _handle(claim: Claim, number_prefix: str) -> None:
    row = received_event(claim.sequence)
    fact = parse_foreign_event(row.envelope.encode(), message_id=None).fact
    now = datetime.now(UTC)
    match fact:
        case OrderIssue():
            report_order_issue(
                claim=claim, issue=fact, number_prefix=number_prefix, now=now, request_id=row.request_id
            )
        case ProductIssue():
            report_product_issue(
                claim=claim, issue=fact, number_prefix=number_prefix, now=now, request_id=row.request_id
            )
        case UserRegistered():
            link_guest_tickets(claim=claim, user=fact, now=now, request_id=row.request_id)
