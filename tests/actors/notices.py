"""Does what tickets owe in mails, as a worker would, for tests that have none."""

from sav.actors.owed_effects import do_owed_effects
from sav.actors.send_mail import Mails, send_due_mails
from sav.domain.effects import NOTIFY
from sav.mail.compose import Sender
from sav.mail.rules import MailRules
from sav.models.tables import DueEffect, MailDelivery
from sav.operations.notify import notify, notify_together
from tests.actors.owed import utc_now

RULES = MailRules(
    sender=Sender(name="Après-vente", address="sav@example.com"),
    desk_address="desk@example.com",
    default_locale="en",
    public_url="https://sav.example.com",
    ticket_url="https://shop.example.com/t/{ticket_number}",
)


def write_deliveries(rules: MailRules = RULES) -> list[MailDelivery]:
    """Every delivery there is, once all facts have been told."""
    owing = DueEffect.select(DueEffect.ticket_id).where(DueEffect.effect == NOTIFY).distinct()
    do_owed_effects(
        NOTIFY,
        lambda claim: notify(claim, rules=rules, now=utc_now()),
        do_all=lambda claims: notify_together(claims, rules=rules, now=utc_now()),
        ticket_ids=[token.ticket_id for token in owing],
    )
    return deliveries()


def deliveries() -> list[MailDelivery]:
    return list(MailDelivery.select().order_by(MailDelivery.id))


def settled(mails: Mails | None = None) -> list[tuple[str, str, str]]:
    """Kind, recipient and state of each delivery, once all that is due has been tried."""
    write_deliveries(mails.rules if mails else RULES)
    send_due_mails(mails or Mails(rules=RULES))
    return [(row.kind, row.recipient, row.state) for row in deliveries()]
