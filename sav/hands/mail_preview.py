"""`sav mail preview`: every mail and page in every language, as files to look at."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from sav.domain.locales import LOCALES, Locale
from sav.domain.notifications import MAIL_KINDS, NON_ESSENTIAL, MailKind
from sav.http import pages
from sav.mail.compose import Sender, put_into_words
from sav.mail.letter import Letter

SENDER = Sender(name="Maison Lumière · Service après-vente", address="sav@example.com")
NUMBER = "TICKET-20260329-001"
SUBJECTS = {"fr": "Mon colis n'est jamais arrivé", "en": "My parcel never came"}
TEXTS = {
    "fr": "Bonjour Zoé,\n\nnous avons retrouvé votre colis à Lyon.\nIl repart dès demain matin.\n\n"
    "Bien à vous,\nAlex",
    "en": "Hello Zoé,\n\nwe have found your parcel in the depot of Lyon.\nIt leaves tomorrow morning.\n\n"
    "Kind regards,\nAlex",
}
RTL_SUBJECT = "\u0644\u0645 \u062a\u0635\u0644 \u0637\u0644\u0628\u064a\u062a\u064a"
RTL_TEXT = "\u0645\u0631\u062d\u0628\u0627\u060c\n\n\u0644\u0645 \u062a\u0635\u0644 \u0637\u0644\u0628\u064a\u062a\u064a \u0628\u0639\u062f."  # noqa: E501


def write_previews(directory: Path) -> list[Path]:
    """Writes the files, and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in _files():
        path = directory / name
        path.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def _files() -> Iterator[tuple[str, str]]:
    for kind, locale in product(MAIL_KINDS, LOCALES):
        usual = _letter(kind, locale)
        variants = {
            "": usual,
            "-long": replace(usual, text=f"{TEXTS[locale]}\n\n" * 40, subject=SUBJECTS[locale] * 8),
            "-short": replace(
                usual,
                text="OK",
                subject="?",
                recipient_name=None,
                category=None,
                ticket_url=None,
                survey_url=None,
            ),
            "-rtl": replace(usual, text=RTL_TEXT, subject=RTL_SUBJECT),
        }
        for variant, letter in variants.items():
            words = put_into_words(letter, sender=SENDER)
            yield f"{kind}-{locale}{variant}.html", words.html
            yield f"{kind}-{locale}{variant}.txt", f"Subject: {words.subject}\n\n{words.text}"
    for locale in LOCALES:
        survey = pages.survey_page(locale=locale, number=NUMBER, subject=SUBJECTS[locale], chosen=4)
        yield f"page-survey-{locale}.html", survey
        yield f"page-thanks-{locale}.html", pages.thanks_page(locale=locale)
        yield f"page-gone-{locale}.html", pages.gone_page(locale=locale)
        yield f"page-unsubscribe-{locale}.html", pages.unsubscribe_page(locale=locale)


def _letter(kind: MailKind, locale: Locale) -> Letter:
    return Letter(
        kind=kind,
        locale=locale,
        recipient="zoe@example.org",
        recipient_name="Zoé",
        message_id="preview@example.com",
        thread_id="thread@example.com",
        at=datetime(2026, 3, 29, 10, 30, tzinfo=UTC),
        ticket_number=NUMBER,
        subject=SUBJECTS[locale],
        opened_at=datetime(2026, 3, 29, 8, 30, tzinfo=UTC),
        priority="urgent",
        virus="Win.Test.EICAR_HDB-1" if kind == "file_refused" else None,
        category="order",
        author="Alex",
        text=TEXTS[locale],
        waited_seconds=7200,
        closed_by_itself=True,
        ticket_url=f"https://shop.example.com/support/{NUMBER}",
        survey_url="https://sav.example.com/public/surveys/preview" if kind == "closed" else None,
        unsubscribe_url="https://sav.example.com/public/unsubscribe/preview"
        if kind in NON_ESSENTIAL
        else None,
    )
