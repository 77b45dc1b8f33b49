"""Puts a letter into words and into a MIME message: HTML and text, in the reader's language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime as rfc5322_date
from functools import cache
from typing import Any

import jinja2
from babel.dates import format_datetime, format_timedelta

from sav.domain.addresses import wire_address
from sav.domain.locales import Locale
from sav.domain.notifications import SURVEY_LIFETIME
from sav.domain.ticket_lifecycle import Priority
from sav.mail.letter import SIDE_OF, Letter

QUOTED_CHARACTERS = 2_000
"""How much of a text a mail quotes; the rest is in the ticket."""
SUBJECT_CHARACTERS = 120
"""How much of a ticket's subject a mail's subject repeats."""
NAME_CHARACTERS = 80

_PRIORITIES: Mapping[Locale, Mapping[Priority, str]] = {
    "en": {"low": "low", "normal": "normal", "high": "high", "urgent": "urgent"},
    "fr": {"low": "basse", "normal": "normale", "high": "haute", "urgent": "urgente"},
}
# Line and paragraph separators, and marks that turn the direction of all that follows.
_DISGUISES = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_BODY_CONTROLS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """On whose behalf mails are written, and how they tell the time."""

    name: str
    address: str
    timezone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Quotation:
    """A text as paragraphs of lines, cut where it is too long for a mail."""

    paragraphs: list[list[str]]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A letter in words."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A finished message, and the envelope it travels in."""

    sender: str
    recipient: str
    content: bytes
    """RFC 5322, lines ending in CR LF, none longer than 998 bytes."""
    needs_smtputf8: bool


def compose(letter: Letter, *, sender: Sender) -> Mail:
    """The message of a letter. The same letter gives the same headers every time."""
    words = put_into_words(letter, sender=sender)
    recipient, sender_address = wire_address(letter.recipient), wire_address(sender.address)
    needs_smtputf8 = not (recipient.isascii() and sender_address.isascii())
    message = EmailMessage(policy=policy.SMTPUTF8 if needs_smtputf8 else policy.SMTP)
    message["From"] = _mailbox(sender.name, sender_address)
    message["To"] = _mailbox(letter.recipient_name or "", recipient)
    message["Date"] = rfc5322_date(letter.at.astimezone(UTC))
    message.set_content(words.text, cte="quoted-printable")
    message.add_alternative(words.html, subtype="html", cte="quoted-printable")
    content = _exact_headers(letter, words.subject) + message.as_bytes()
    return Mail(sender=sender_address, recipient=recipient, content=content, needs_smtputf8=needs_smtputf8)


def put_into_words(letter: Letter, *, sender: Sender) -> Words:
    """Renders the letter's templates."""
    words = _vocabulary(letter, sender)
    subject = one_line(_render(letter, "subject.txt", words), most=SUBJECT_CHARACTERS * 2)
    title = f"[{letter.ticket_number}] {subject}"
    return Words(
        subject=title,
        html=_render(letter, "body.html", {**words, "title": title}),
        text=_tidy(_render(letter, "body.txt", words)),
    )


def one_line(text: str, *, most: int) -> str:
    """A text that fits into a header: one line, nothing invisible that would disguise the rest."""
    plain = " ".join(_DISGUISES.sub(" ", text).split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def quotation(text: str, *, most: int = QUOTED_CHARACTERS) -> Quotation:
    """A text as paragraphs, at most `most` characters of it."""
    plain = _BODY_CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    shown = plain[:most].rstrip()
    paragraphs = [
        [line.rstrip() for line in part.split("\n")] for part in re.split(r"\n[ \t]*\n\s*", shown) if part
    ]
    is_cut = len(plain) > most
    if is_cut:
        paragraphs[-1][-1] += " …"
    return Quotation(paragraphs, is_cut)


def _vocabulary(letter: Letter, sender: Sender) -> dict[str, Any]:
    locale, zone = letter.locale, sender.timezone
    return {
        "locale": locale,
        "side": SIDE_OF[letter.kind],
        "desk_name": sender.name or sender.address,
        "number": letter.ticket_number,
        "subject": None if letter.subject is None else one_line(letter.subject, most=SUBJECT_CHARACTERS),
        "name": one_line(letter.recipient_name or "", most=NAME_CHARACTERS),
        "author": one_line(letter.author or "", most=NAME_CHARACTERS),
        "text": _shown(letter.text),
        "at": _instant(letter.at, locale, zone),
        "opened_at": _instant(letter.opened_at, locale, zone),
        "priority": _PRIORITIES[locale][letter.priority],
        "category": one_line(letter.category or "", most=NAME_CHARACTERS),
        "waited": _duration(letter.waited_seconds or 0, locale),
        "virus": one_line(letter.virus or "", most=NAME_CHARACTERS),
        "closed_by_itself": letter.closed_by_itself,
        "ticket_url": letter.ticket_url,
        "survey_url": letter.survey_url,
        "survey_days": SURVEY_LIFETIME.days,
        "unsubscribe_url": letter.unsubscribe_url,
    }


def _shown(text: str | None) -> Quotation | None:
    quoted = quotation(text or "")
    return quoted if quoted.paragraphs else None


def _instant(instant: datetime, locale: Locale, zone: tzinfo) -> str:
    # The zone is named: a reader's own clock may be elsewhere.
    pattern = {"fr": "d MMMM y 'à' HH:mm z", "en": "d MMMM y, HH:mm z"}[locale]
    return format_datetime(instant.astimezone(zone), pattern, tzinfo=zone, locale=locale)


def _duration(seconds: int, locale: Locale) -> str:
    return format_timedelta(timedelta(seconds=seconds), threshold=1.5, locale=locale)


def _render(letter: Letter, part: str, words: Mapping[str, Any]) -> str:
    return environment().get_template(f"{letter.kind}/{letter.locale}/{part}").render(words)


@cache
def environment() -> jinja2.Environment:
    """The templates. What a letter does not have is an error, not an empty place."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("sav.mail"),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _tidy(text: str) -> str:
    """One empty line at most between what the template's own lines have left."""
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _mailbox(name: str, address: str) -> Any:
    local, _, domain = address.rpartition("@")
    return Address(one_line(name, most=NAME_CHARACTERS), local, domain)


def _exact_headers(letter: Letter, subject: str) -> bytes:
    """Headers that have to stay as they are: the library would fold a long link, or even encode it."""
    # Encoded too when it only looks as if it were: nobody's subject is to be decoded into something else.
    charset = "us-ascii" if subject.isascii() and "=?" not in subject else "utf-8"
    headers = {
        "Message-ID": f"<{letter.message_id}>",
        "Subject": Header(subject, charset, header_name="Subject").encode(linesep="\r\n"),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if letter.message_id != letter.thread_id:
        headers["In-Reply-To"] = headers["References"] = f"<{letter.thread_id}>"
    if letter.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{letter.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return "".join(lines).encode("ascii")
