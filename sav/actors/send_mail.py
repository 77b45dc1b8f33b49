"""Sends the mails that are due: a few workers at a time, each over one connection."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog

from sav.actors.owed_effects import is_the_databases_fault
from sav.domain.effects import SEND_MAIL
from sav.mail.compose import compose
from sav.mail.rules import MailRules
from sav.mail.smtp import BrokenOff, PostOffice, Refused, ServerTrouble, Session
from sav.models.tables import Event, MailDelivery
from sav.operations import hints
from sav.operations.effect_claims import DESK, Claim, claim_effects, give_back, put_off
from sav.operations.mail_deliveries import leave_settled, note_failed_try, settle_delivery
from sav.operations.write_letter import NotToBeSent, write_letter
from sav.telemetry.metrics import measured_effect

ROUND_SECONDS = 60.0
"""How long one worker sends mails before it looks for other work: far less than a job may take."""
SERVER_AWAY_PAUSE = timedelta(seconds=5)
"""How long the mail waits at which it showed that the server is away; the others are not touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mails:
    """What sending mails needs from outside. Without an office they are recorded, and not sent."""

    rules: MailRules = field(default_factory=MailRules)
    office: PostOffice | None = None


def send_due_mails(mails: Mails) -> None:
    """Sends what is due until nothing is left; does nothing while others do, or no server is there."""
    if mails.office is None:
        _send_all(mails.rules, None)
        return
    try:
        with mails.office.session() as session:
            if session is not None:
                _send_all(mails.rules, session)
    except ServerTrouble:
        # It is in the log, and the relay comes back.
        return


def _send_all(rules: MailRules, session: Session | None) -> None:
    owner = str(uuid4())
    stop_at = time.monotonic() + ROUND_SECONDS
    # One at a time: a lease has to last for all that is claimed, and a server may take its time with each.
    while claims := claim_effects(effect=SEND_MAIL, owner=owner, now=datetime.now(UTC), limit=1):
        _send(claims[0], rules, session)
        if time.monotonic() >= stop_at:
            hints.give({hints.Hint(SEND_MAIL, DESK)})
            return


def _send(claim: Claim, rules: MailRules, session: Session | None) -> None:
    with structlog.contextvars.bound_contextvars(**_cause(claim)):
        _send_one(claim, rules, session)


def _cause(claim: Claim) -> dict[str, str]:
    """For the log: the request of the fact that the mail tells of, if there was one."""
    its_fact = (Event.ticket_id == MailDelivery.ticket_id) & (Event.sequence == MailDelivery.sequence)
    told = Event.select(Event.request_id).join(MailDelivery, on=its_fact)
    request_id = told.where(MailDelivery.id == claim.sequence).scalar()
    return {"request_id": request_id} if request_id else {}


def _send_one(claim: Claim, rules: MailRules, session: Session | None) -> None:
    try:
        with measured_effect(SEND_MAIL):
            _try(claim, rules, session)
    except Refused as error:
        settle_delivery(claim=claim, state="failed", error=str(error), now=datetime.now(UTC))
    except BrokenOff as error:
        # Counted, and tried ever later: else a mail that no server survives would stand before all others.
        _count_try(claim, error)
        raise
    except ServerTrouble as error:
        put_off(claim=claim, until=datetime.now(UTC) + SERVER_AWAY_PAUSE, reason=str(error))
        raise
    except Exception as error:
        if is_the_databases_fault(error):
            raise
        _count_try(claim, error)


def _count_try(claim: Claim, error: Exception) -> None:
    now = datetime.now(UTC)
    note_failed_try(claim=claim, error=type(error).__name__, now=now)
    give_back(claim=claim, error=error, now=now)


def _try(claim: Claim, rules: MailRules, session: Session | None) -> None:
    delivery: MailDelivery | None = MailDelivery.get_or_none(MailDelivery.id == claim.sequence)
    # It may be gone: its person was erased, or its time was over.
    if delivery is None or delivery.state not in ("due", "failed"):
        leave_settled(claim)
        return
    try:
        letter = write_letter(delivery, rules=rules)
    except NotToBeSent as error:
        settle_delivery(claim=claim, state="suppressed", reason=error.reason, now=datetime.now(UTC))
        return
    mail = compose(letter, sender=rules.sender)
    if session is None:
        settle_delivery(claim=claim, state="recorded", now=datetime.now(UTC))
        return
    # No transaction is open here, and none waits for the server.
    session.send(mail)
    settle_delivery(claim=claim, state="sent", now=datetime.now(UTC))
