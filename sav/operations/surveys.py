"""The survey behind a link: whoever has it may rate its ticket, once."""

from dataclasses import dataclass

from sav.domain.caller import Caller, guest_of
from sav.domain.errors import NotFound
from sav.domain.locales import Locale
from sav.domain.occasion import Occasion
from sav.domain.signed_tokens import BadToken, surveyed_ticket
from sav.domain.ticket_lifecycle import SETTLED
from sav.models.tables import MailDelivery, Ticket
from sav.operations.service_secrets import known_link_secret
from sav.operations.settle_ticket import rate_ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the page may know of the ticket."""

    ticket_id: int
    user_id: int | None
    ticket_number: str
    subject: str
    locale: Locale | None
    """The language of the mail that the link was in."""
    is_answered: bool


def survey_of(token: str, *, occasion: Occasion) -> Survey:
    """The survey of a link; raises `NotFound` for one that is changed, expired, or about nothing."""
    secret = known_link_secret()
    if secret is None:
        raise NotFound
    try:
        ticket_id = surveyed_ticket(token, secret=secret, now=occasion.now)
    except BadToken:
        raise NotFound from None
    ticket: Ticket | None = Ticket.get_or_none(Ticket.id == ticket_id, Ticket.deleted_at.is_null())
    if ticket is None or ticket.status not in SETTLED or _is_nobodys(ticket):
        raise NotFound
    mail: MailDelivery | None = (
        MailDelivery.select(MailDelivery.locale)
        .where(MailDelivery.ticket_id == ticket_id, MailDelivery.kind == "closed")
        .first()
    )
    return Survey(
        ticket_id=ticket.id,
        user_id=ticket.user_id,
        ticket_number=ticket.ticket_number,
        subject=ticket.subject,
        locale=mail.locale if mail else None,
        is_answered=ticket.satisfaction_rating is not None,
    )


def _is_nobodys(ticket: Ticket) -> bool:
    """Whether its person was erased."""
    return ticket.user_id is None and ticket.contact_email is None


def answer_survey(*, survey: Survey, occasion: Occasion, rating: int, comment: str | None) -> None:
    """Rates as the ticket's owner or guest would; raises `AlreadyRated`."""
    rater = guest_of(survey.ticket_id) if survey.user_id is None else Caller(survey.user_id, "customer")
    rate_ticket(
        occasion=Occasion(rater, occasion.now, occasion.request_id),
        ticket_id=survey.ticket_id,
        rating=rating,
        comment=comment,
    )
