"""Reads what a delivery is about, as it is now, and makes a letter of it."""

from datetime import datetime
from urllib.parse import quote

from sav.domain.notifications import NON_ESSENTIAL, SURVEY_LIFETIME, Suppression
from sav.domain.signed_tokens import survey_token
from sav.mail.letter import Letter
from sav.mail.rules import MailRules
from sav.models.tables import Event, MailDelivery, Message, Ticket
from sav.operations.mail_preferences import unsubscribe_token_for, wants
from sav.operations.notify import thread_id
from sav.operations.service_secrets import link_secret


class NotToBeSent(Exception):
    """There is a reason why this mail is not sent any more."""

    def __init__(self, reason: Suppression) -> None:
        super().__init__(reason)
        self.reason: Suppression = reason


def write_letter(delivery: MailDelivery, *, rules: MailRules) -> Letter:
    """The letter of a delivery; raises `NotToBeSent`."""
    ticket: Ticket = Ticket.get_by_id(delivery.ticket_id)
    if ticket.deleted_at is not None:
        raise NotToBeSent("deleted")
    event: Event = Event.get(Event.ticket_id == ticket.id, Event.sequence == delivery.sequence)
    message = _message(event)
    survey_url, unsubscribe_url = _links(delivery, ticket, event, rules)
    trusted = delivery.kind != "received" or not _may_be_a_strangers(ticket, event)
    return Letter(
        kind=delivery.kind,
        locale=delivery.locale,
        recipient=delivery.recipient,
        recipient_name=delivery.recipient_name if trusted else None,
        message_id=delivery.message_id,
        thread_id=thread_id(ticket, rules),
        at=event.occurred_at,
        ticket_number=ticket.ticket_number,
        subject=ticket.subject if trusted else None,
        opened_at=ticket.created_at,
        priority=ticket.priority,
        category=ticket.category,
        author=message.author_name if message else None,
        text=_quoted(delivery, ticket, message),
        waited_seconds=event.data.get("waited_seconds"),
        virus=event.data.get("virus"),
        closed_by_itself=event.data.get("closed_by") == "auto",
        ticket_url=_ticket_url(ticket, rules),
        survey_url=survey_url,
        unsubscribe_url=unsubscribe_url,
    )


def _message(event: Event) -> Message | None:
    message_id = event.data.get("message_id")
    if message_id is None:
        return None
    message: Message | None = Message.get_or_none(
        Message.id == message_id,
        Message.ticket_id == event.ticket_id,
        # No fact that owes a mail is about a note; this says so once more.
        ~Message.is_internal,
        Message.deleted_at.is_null(),
    )
    if message is None:
        raise NotToBeSent("deleted")
    return message


def _quoted(delivery: MailDelivery, ticket: Ticket, message: Message | None) -> str | None:
    match delivery.kind:
        case "reply" | "customer_replied":
            return message.content if message else None
        case "resolved":
            return ticket.resolution_notes
        case "assigned":
            return ticket.description
    return None


def _may_be_a_strangers(ticket: Ticket, event: Event) -> bool:
    """Whether anybody may have written this, with anybody's address.

    The receipt repeats none of it: else the desk would carry whatever a stranger likes to whomever they like.
    """
    return ticket.user_id is None and event.actor_role not in ("agent", "admin")


def _links(
    delivery: MailDelivery, ticket: Ticket, event: Event, rules: MailRules
) -> tuple[str | None, str | None]:
    if delivery.kind not in NON_ESSENTIAL:
        return None, None
    secret = link_secret()
    if not wants(delivery.recipient, delivery.kind, secret=secret):
        raise NotToBeSent("unsubscribed")
    leave = unsubscribe_token_for(delivery.recipient, secret=secret)
    unsubscribe_url = f"{rules.public_url}/public/unsubscribe/{leave}"
    if ticket.satisfaction_rating is not None:
        return None, unsubscribe_url
    expires_at: datetime = event.occurred_at + SURVEY_LIFETIME
    token = survey_token(secret=secret, ticket_id=ticket.id, expires_at=expires_at)
    return f"{rules.public_url}/public/surveys/{token}", unsubscribe_url


def _ticket_url(ticket: Ticket, rules: MailRules) -> str | None:
    if rules.ticket_url is None:
        return None
    number = quote(ticket.ticket_number, safe="")
    return rules.ticket_url.replace("{ticket_number}", number).replace("{ticket_id}", str(ticket.id))
