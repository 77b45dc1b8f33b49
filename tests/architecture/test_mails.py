"""Every mail exists in every language, in every form, and says the same there."""

import itertools
import re
from pathlib import Path

import pytest
from jinja2 import meta

from sav.domain.locales import LOCALES
from sav.domain.notifications import MAIL_KINDS
from sav.mail import compose
from sav.mail.letter import SIDE_OF

PROJECT = Path(__file__).parents[2]
TEMPLATES = PROJECT / "sav" / "mail" / "templates"
PARTS = ("subject.txt", "body.txt", "body.html")
PAGE = (PROJECT / "docs" / "mails.md").read_text(encoding="utf-8")


def variables(template: str) -> set[str]:
    environment = compose.environment()
    source, _, _ = environment.loader.get_source(environment, template)  # type: ignore[union-attr]
    return meta.find_undeclared_variables(environment.parse(source))


def test_there_is_a_template_for_every_mail_language_and_form_and_no_other() -> None:
    made = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.glob("*/*/*")}
    mails = {"/".join(place) for place in itertools.product(MAIL_KINDS, LOCALES, PARTS)}
    footers = {
        f"{side}/{locale}/footer.{form}"
        for side, locale, form in itertools.product(set(SIDE_OF.values()), LOCALES, ("txt", "html"))
    }
    assert made == mails | footers
    assert set(SIDE_OF) == set(MAIL_KINDS)


@pytest.mark.parametrize(("kind", "part"), list(itertools.product(MAIL_KINDS, PARTS)))
def test_all_languages_use_the_same_words_of_the_letter(kind: str, part: str) -> None:
    first, *others = (variables(f"{kind}/{locale}/{part}") for locale in LOCALES)
    assert others == [first] * len(others)


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.*")), ids=lambda path: str(path.relative_to(TEMPLATES))
)
def test_no_template_names_another_host_or_trusts_what_it_shows(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|\|\s*safe|autoescape", source)


def test_every_mail_is_documented() -> None:
    assert (
        tuple(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Deliveries")[0], re.MULTILINE)) == MAIL_KINDS
    )
