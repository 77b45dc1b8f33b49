"""The few pages for people who follow a link in a mail: small, in their language, and without a script.

Jinja is loaded by the first of them: most processes never show one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sav.domain.locales import LOCALES, Locale

if TYPE_CHECKING:
    import jinja2

_WORDS: Mapping[Locale, Mapping[str, str]] = {
    "en": {
        "survey": "How satisfied are you with our help?",
        "scale": "Your rating",
        "worst": "1: not at all",
        "best": "5: very satisfied",
        "comment": "A comment, if you like",
        "send": "Send",
        "thanks": "Thank you!",
        "thanks_text": "Your rating has reached us.",
        "gone": "This link is no longer good",
        "gone_text": "It may have expired, or not be complete. Open it again from the mail that you got.",
        "leave": "No more mails that ask for your opinion?",
        "leave_text": "We will then write to you only while we work on a request of yours.",
        "leave_button": "Stop these mails",
        "left": "Done",
        "left_text": "You will get no more mails of this kind.",
    },
    "fr": {
        "survey": "Êtes-vous satisfait de notre aide\N{NO-BREAK SPACE}?",
        "scale": "Votre note",
        "worst": "1\N{NO-BREAK SPACE}: pas du tout",
        "best": "5\N{NO-BREAK SPACE}: très satisfait",
        "comment": "Un commentaire, si vous le souhaitez",
        "send": "Envoyer",
        "thanks": "Merci\N{NO-BREAK SPACE}!",
        "thanks_text": "Votre avis nous est bien parvenu.",
        "gone": "Ce lien n\N{RIGHT SINGLE QUOTATION MARK}est plus valable",
        "gone_text": "Il a peut-être expiré ou est incomplet. Ouvrez-le de nouveau depuis le message reçu.",
        "leave": "Ne plus recevoir de demandes d\N{RIGHT SINGLE QUOTATION MARK}avis\N{NO-BREAK SPACE}?",
        "leave_text": "Nous ne vous écrirons plus que pendant le traitement de vos demandes.",
        "leave_button": "Ne plus recevoir ces messages",
        "left": "C\N{RIGHT SINGLE QUOTATION MARK}est fait",
        "left_text": "Vous ne recevrez plus ce type de message.",
    },
}


def survey_page(*, locale: Locale, number: str, subject: str, chosen: int | None) -> str:
    """The five choices and a comment; nothing of the ticket but its number and subject."""
    return _render("survey.html", locale, number=number, subject=subject, chosen=chosen)


def thanks_page(*, locale: Locale) -> str:
    return _message("thanks", locale)


def gone_page(*, locale: Locale) -> str:
    """What every link shows that is not good, whatever the reason."""
    return _message("gone", locale)


def unsubscribe_page(*, locale: Locale) -> str:
    return _render("unsubscribe.html", locale)


def unsubscribed_page(*, locale: Locale) -> str:
    return _message("left", locale)


def page_headers() -> dict[str, str]:
    """What keeps a page to itself: no script, no frame, no index."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'",
        "X-Robots-Tag": "noindex, nofollow",
    }


def chosen_locale(accepted: str | None, *, default: Locale) -> Locale:
    """The first language of `Accept-Language` that we speak."""
    for part in (accepted or "").lower().split(","):
        language = part.strip()[:2]
        for locale in LOCALES:
            if language == locale:
                return locale
    return default


def _message(name: str, locale: Locale) -> str:
    words = _WORDS[locale]
    return _render("message.html", locale, heading=words[name], text=words[f"{name}_text"])


def _render(template: str, locale: Locale, **values: Any) -> str:
    from markupsafe import Markup

    page = _environment().get_template(template)
    # The style is ours, and its hash is in the policy: not a character of it may be escaped.
    style = Markup(_style())
    return page.render(locale=locale, say=_WORDS[locale], style=style, **values)


@cache
def _style() -> str:
    return files("sav.http").joinpath("page_templates", "style.css").read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("sav.http", "page_templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
