"""What became of each mail: every outcome is written together with the end of its effect, or its next try."""

from datetime import datetime

import structlog

from sav.domain.effects import RETRY_POLICIES, SEND_MAIL
from sav.domain.notifications import DeliveryState, Suppression
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import MailDelivery
from sav.operations.due_effects import LAST_ERROR_LENGTH
from sav.operations.effect_claims import Claim, finish_effect

log = structlog.get_logger(__name__)


@retry_deadlocks
def settle_delivery(
    *,
    claim: Claim,
    state: DeliveryState,
    now: datetime,
    reason: Suppression | None = None,
    error: str | None = None,
) -> None:
    """Notes how it ended: sent, recorded, suppressed, or failed because the server will never take it."""
    with transaction():
        # What was sent was sent, even if somebody else has the token by now.
        finish_effect(claim)
        tries = MailDelivery.tries + 1 if state in ("sent", "failed") else MailDelivery.tries
        MailDelivery.update(
            state=state,
            reason=reason,
            tries=tries,
            last_error=error and error[:LAST_ERROR_LENGTH],
            sent_at=now if state == "sent" else None,
            updated_at=now,
        ).where(MailDelivery.id == claim.sequence).execute()
    say = log.warning if state == "failed" else log.info
    # Neither the address nor a word of the text.
    say("mail settled", action=SEND_MAIL, delivery_id=claim.sequence, state=state, reason=reason, error=error)


@retry_deadlocks
def leave_settled(claim: Claim) -> None:
    """Ends an effect whose delivery has been settled before."""
    with transaction():
        finish_effect(claim)


@retry_deadlocks
def note_failed_try(*, claim: Claim, error: str, now: datetime) -> None:
    """Counts a try that may succeed next time; the last one that its policy allows makes it failed."""
    with transaction():
        delivery: MailDelivery | None = MailDelivery.get_or_none(MailDelivery.id == claim.sequence)
        if delivery is None or delivery.state not in ("due", "failed"):
            return
        delivery.tries += 1
        delivery.last_error = error[:LAST_ERROR_LENGTH]
        delivery.updated_at = now
        delivery.state = "failed" if RETRY_POLICIES[SEND_MAIL].is_exhausted(delivery.tries) else "due"
        delivery.save(only=delivery.dirty_fields)
