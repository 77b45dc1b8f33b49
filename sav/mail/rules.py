"""The settings that decide what mails say and where they go."""

from dataclasses import dataclass, field

from sav.domain.locales import Locale
from sav.mail.compose import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRules:
    """As the composition root has read them."""

    sender: Sender = field(default_factory=lambda: Sender(name="", address="sav@localhost"))
    desk_address: str | None = None
    """Who gets staff mail about tickets that nobody has."""
    default_locale: Locale = "fr"
    public_url: str = "http://localhost:8007"
    ticket_url: str | None = None
    """Where the shop shows a ticket, with `{ticket_number}` or `{ticket_id}` in it."""

    @property
    def message_domain(self) -> str:
        """What the ids of our messages end in."""
        return self.sender.address.rpartition("@")[2]
