"""The pages that are written from the code say what the code says."""

import configparser
import re
from pathlib import Path

import pytest

from sav.hands.settings_docs import PAGES
from sav.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LINES = (r"^\| `([A-Z0-9_]+)` \|", r"^#([A-Z0-9_]+)=")


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_the_pages_are_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), "run `sav settings`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_means(name: str) -> None:
    description = Settings.model_fields[name].description or ""
    assert description.endswith("."), name
    # A bar would begin another column of the page's table.
    assert "|" not in description, name
    assert "\n" not in description, name


@pytest.mark.parametrize(("path", "pattern"), list(zip(PAGES, LINES, strict=True)))
def test_the_pages_name_every_setting_once(path: Path, pattern: str) -> None:
    assert re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE) == list(
        Settings.model_fields
    )


def test_every_dependency_is_justified() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = setup["options.extras_require"]
    required = setup["options"]["install_requires"] + extras["tracing"] + extras["test"]
    packages = re.findall(r"^([A-Za-z0-9._-]+)", required, re.MULTILINE)
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([^`]+)` \| \S", page, re.MULTILINE) == packages


def test_the_licence_is_the_one_that_is_declared() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith(f"{setup['metadata']['license']} License")
