"""A mail as it goes over the wire: readable everywhere, whatever people have written into it."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sav.domain.addresses import is_address, named_address, same_spelling, wire_address
from sav.domain.locales import LOCALES
from sav.domain.notifications import MAIL_KINDS, NON_ESSENTIAL
from sav.mail.compose import QUOTED_CHARACTERS, Mail, Sender, compose, one_line, quotation
from sav.mail.letter import Letter

SENDER = Sender(name="Après-vente", address="sav@example.com")
NUMBER = "TICKET-20260329-001"
# Written by people, to trouble headers: line ends of every kind, encoded words, disguises.
NASTY = st.text(
    st.sampled_from(
        "aé漢🙂 \t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029\u202e\x00\x7f:;,<>\"'()[]@\\=?_&%.\u0627\u200f"
    )
    | st.characters(exclude_categories=["Cs"])
)


def letter(**fields: Any) -> Letter:
    kind = fields.get("kind", "reply")
    links = {"survey_url": "https://sav.example.com/s/" + "x" * 60} if kind == "closed" else {}
    if kind in NON_ESSENTIAL:
        links["unsubscribe_url"] = "https://sav.example.com/u/" + "x" * 90
    return Letter(
        **{
            "kind": kind,
            "locale": "fr",
            "recipient": "zoe@example.org",
            "recipient_name": "Zoé",
            "message_id": "abc@example.com",
            "thread_id": "ticket-1.2@example.com",
            "at": datetime(2026, 3, 29, 10, 30, tzinfo=UTC),
            "ticket_number": NUMBER,
            "subject": "Colis perdu",
            "opened_at": datetime(2026, 3, 29, 8, 0, tzinfo=UTC),
            "priority": "high",
            "category": "order",
            "author": "Alex",
            "text": "Bonjour.\n\nNous cherchons.",
            "waited_seconds": 7200,
            "virus": "Eicar-Signature",
            "ticket_url": "https://shop.example.com/t/1",
            **links,
            **fields,
        }
    )


def parsed(mail: Mail) -> EmailMessage:
    message = message_from_bytes(mail.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def bodies(mail: Mail) -> tuple[str, str]:
    text, html = (parsed(mail).get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return str(text.get_content()), str(html.get_content())


@pytest.mark.parametrize("locale", LOCALES)
def test_a_refused_file_is_told_with_what_was_found(locale: Any) -> None:
    for body in bodies(compose(letter(kind="file_refused", locale=locale), sender=SENDER)):
        assert "Eicar-Signature" in body
        assert "Colis perdu" in body


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", MAIL_KINDS)
def test_every_mail_has_its_headers_and_both_bodies(kind: Any, locale: Any) -> None:
    mail = compose(letter(kind=kind, locale=locale), sender=SENDER)
    message = parsed(mail)
    assert message["From"].addresses[0].display_name == "Après-vente"
    assert message["To"].addresses[0].addr_spec == "zoe@example.org"
    assert message["Subject"].startswith(f"[{NUMBER}] ")
    assert message["Message-ID"] == "<abc@example.com>"
    assert message["In-Reply-To"] == message["References"] == "<ticket-1.2@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert parsedate_to_datetime(message["Date"]) == datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
    assert message.get_content_type() == "multipart/alternative"
    assert (message["List-Unsubscribe"] is not None) == (kind in NON_ESSENTIAL)
    if kind in NON_ESSENTIAL:
        assert re.fullmatch(r"<https://\S+>", message["List-Unsubscribe"])
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = bodies(mail)
    assert NUMBER in text
    assert NUMBER in html
    assert f'<html lang="{locale}">' in html
    for word in ("None", "Undefined", "{{", "{%"):
        assert word not in text + html


@pytest.mark.parametrize("kind", MAIL_KINDS)
@pytest.mark.parametrize("locale", LOCALES)
def test_nothing_is_fetched_from_anywhere(kind: Any, locale: Any) -> None:
    _, html = bodies(compose(letter(kind=kind, locale=locale), sender=SENDER))
    assert not re.search(r"<(img|script|link|iframe|object|form)\b|url\(|@import|\bsrc=", html)


def test_the_first_mail_answers_none() -> None:
    message = parsed(compose(letter(message_id="ticket-1.2@example.com"), sender=SENDER))
    assert message["In-Reply-To"] is None


@settings(max_examples=150, deadline=None)
@given(
    subject=NASTY, name=NASTY, author=NASTY, text=NASTY, kind=st.sampled_from(MAIL_KINDS),
    locale=st.sampled_from(LOCALES),
)  # fmt: skip
def test_whatever_people_write_stays_where_it_belongs(
    subject: str, name: str, author: str, text: str, kind: Any, locale: Any
) -> None:
    plain = parsed(compose(letter(kind=kind, locale=locale), sender=SENDER))
    fields = {"subject": subject, "recipient_name": name, "author": author, "text": text}
    mail = compose(letter(kind=kind, locale=locale, **fields), sender=SENDER)
    message = parsed(mail)
    assert message.keys() == plain.keys()
    assert not message.defects
    assert [a.addr_spec for a in message["To"].addresses] == ["zoe@example.org"]
    assert len(message["To"].addresses) == 1
    assert str(message["Subject"]).startswith(f"[{NUMBER}] ")
    assert not re.search(r"[\r\n]", str(message["Subject"]))
    for line in mail.content.split(b"\r\n"):
        assert len(line) <= 998
        assert b"\n" not in line
        assert b"\r" not in line
        assert line.isascii()
    _, html = bodies(mail)
    assert html.count("<") == html.count(">")
    tags = set(re.findall(r"<(/?[a-zA-Z!][a-zA-Z0-9]*)", html))
    _, plain_html = bodies(compose(letter(kind=kind, locale=locale), sender=SENDER))
    assert tags <= set(re.findall(r"<(/?[a-zA-Z!][a-zA-Z0-9]*)", plain_html)) | {
        "br",
        "div",
        "/div",
        "p",
        "/p",
    }


@pytest.mark.parametrize(
    "subject",
    [
        "Lost\r\nBcc: everybody@example.com",
        "=?utf-8?q?Bcc=3A_x?=",
        "a" * 255,
        "é" * 255,
        "漢字 " * 60,
        "word " * 51,
    ],
)
def test_subjects_survive_the_header(subject: str) -> None:
    message = parsed(compose(letter(subject=subject), sender=SENDER))
    shown = one_line(subject, most=120)
    assert str(message["Subject"]) == f"[{NUMBER}] {shown} : une nouvelle réponse"
    raw = compose(letter(subject=subject), sender=SENDER).content.split(b"\r\n\r\n")[0]
    assert max(map(len, raw.split(b"\r\n"))) <= 250


def test_html_is_escaped_and_the_text_is_not() -> None:
    text, html = bodies(compose(letter(text="<b>5 < 6 & 7</b>"), sender=SENDER))
    assert "> <b>5 < 6 & 7</b>" in text
    assert "&lt;b&gt;5 &lt; 6 &amp; 7&lt;/b&gt;" in html


def test_long_texts_are_cut_and_say_so() -> None:
    text, html = bodies(compose(letter(text="mot " * 5_000), sender=SENDER))
    assert len(text) < QUOTED_CHARACTERS + 1_000
    for body in (text, html):
        assert "La suite de la réponse" in body


def test_a_text_becomes_paragraphs_of_lines() -> None:
    assert quotation("a\r\nb\n\n \nc\n").paragraphs == [["a", "b"], ["c"]]
    assert quotation("x" * 30, most=10) == quotation("x" * 10 + "y", most=10)


def test_a_message_is_quoted_printable() -> None:
    mail = compose(letter(text="é" * 3000), sender=SENDER)
    assert b"Content-Transfer-Encoding: quoted-printable" in mail.content
    text, html = bodies(mail)
    assert "é" * 40 in text
    assert "é" * 40 in html


def test_dates_are_in_the_readers_language_and_the_desks_time() -> None:
    paris = Sender(name="", address="sav@example.com", timezone=ZoneInfo("Europe/Paris"))
    french, _ = bodies(compose(letter(), sender=paris))
    english, _ = bodies(compose(letter(locale="en"), sender=paris))
    assert "29 mars 2026 à 12:30" in french
    assert "29 March 2026, 12:30" in english


def test_the_same_letter_has_the_same_headers() -> None:
    first, second = (compose(letter(kind="closed"), sender=SENDER) for _ in range(2))
    assert [v for k, v in parsed(first).items() if k != "Content-Type"] == [
        v for k, v in parsed(second).items() if k != "Content-Type"
    ]


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "a@b.c",
            "zoe+tag@example.org",
            "zoé@example.org",
            "zoe@bücher.de",
            "o'neil@example.org",
            "a@localhost",
        ],
    )
    def test_these_are_some(self, address: str) -> None:
        assert is_address(address)
        assert named_address(address) == ("", address)

    @pytest.mark.parametrize(
        "address",
        [
            "", "a", "@b.c", "a@", "a b@c.d", "a@b@c.d", "a\r\nBcc:x@y.z", "a@b..c", ".a@b.c", "a..b@c.d",
            "a@-b.c", "<a@b.c>", "a,b@c.d", "x" * 65 + "@b.c", "a@" + "b." * 130 + "c", "a@b.c\u202e",
        ],
    )  # fmt: skip
    def test_these_are_none(self, address: str) -> None:
        assert not is_address(address)

    def test_names_may_stand_before_them(self) -> None:
        assert named_address("After-sales <sav@example.com>") == ("After-sales", "sav@example.com")
        assert named_address('"Après, vente" <sav@example.com>') == ("Après, vente", "sav@example.com")
        for wrong in ("After <x>", "a@b.c, d@e.f", "A\nB <a@b.c>", "<a@b.c> x"):
            with pytest.raises(ValueError, match="must be an address"):
                named_address(wrong)

    def test_two_spellings_of_one_mailbox_are_one(self) -> None:
        assert same_spelling(" Zoe@BÜCHER.de") == same_spelling("zoe@xn--bcher-kva.de")
        assert wire_address("Zoe@bücher.de") == "Zoe@xn--bcher-kva.de"
