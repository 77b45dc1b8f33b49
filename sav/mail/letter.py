"""What a mail says, before it is put into words."""

from dataclasses import dataclass
from datetime import datetime

from sav.domain.locales import Locale
from sav.domain.notifications import MailKind, Side
from sav.domain.ticket_lifecycle import Priority

SIDE_OF: dict[MailKind, Side] = {
    "received": "requester",
    "reply": "requester",
    "resolved": "requester",
    "closed": "requester",
    "assigned": "staff",
    "customer_replied": "staff",
    "escalated": "staff",
    "file_refused": "staff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Everything that a template may say; nothing internal has a place here."""

    kind: MailKind
    locale: Locale
    recipient: str
    recipient_name: str | None
    message_id: str
    """Without angle brackets; the same at every try."""
    thread_id: str
    """The id of the ticket's first mail, whether it was ever sent to this reader or not."""
    at: datetime
    """When that happened which the mail tells of."""
    ticket_number: str
    subject: str | None
    """The ticket's; None where a stranger may have written it."""
    opened_at: datetime
    priority: Priority
    category: str | None = None
    author: str | None = None
    text: str | None = None
    """What somebody wrote, to be quoted."""
    waited_seconds: int | None = None
    virus: str | None = None
    """As the scanner calls what it has found in a file."""
    closed_by_itself: bool = False
    ticket_url: str | None = None
    survey_url: str | None = None
    unsubscribe_url: str | None = None
