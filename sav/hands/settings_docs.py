"""`docs/configuration.md` and `.env.example`, written from the settings themselves."""

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sav.settings import Settings

_CONFIGURATION = """\
# Configuration

The service is configured by environment variables alone. They are checked at start: every wrong one is
reported at once, and the process ends with exit code 2. An empty variable counts as not set. `sav up`, and
therefore `./scripts/up`, has defaults of its own for what it embeds (SQLite, an embedded broker, files on
disk, a generated `JWT_SECRET`), each only where the environment says nothing else.

This page is written by `sav settings`; do not edit it.

| Variable | Default | What it means |
|---|---|---|
"""
_EXAMPLE = """\
# Every variable with its default (docs/configuration.md). Copy this file to .env, which honcho and Docker
# Compose read, and uncomment what should differ. Written by `sav settings`; do not edit it.
"""


def configuration_page() -> str:
    """A table in Markdown: one line a variable, in the order of the settings."""
    return _CONFIGURATION + "".join(
        f"| `{name}` | {f'`{_default(field)}`' if _default(field) else 'not set'} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )


def example_environment() -> str:
    """An environment file in which everything is commented out."""
    return _EXAMPLE + "".join(
        f"\n# {field.description}\n#{name}={_default(field)}\n"
        for name, field in Settings.model_fields.items()
    )


PAGES: dict[Path, Callable[[], str]] = {
    Path("docs") / "configuration.md": configuration_page,
    Path(".env.example"): example_environment,
}
"""What is written, relative to the project's directory."""


def _default(field: FieldInfo) -> str:
    match field.default:
        case None | ():
            return ""
        case SecretStr() as secret:
            return secret.get_secret_value()
        case bool() as answer:
            return str(answer).lower()
        case value:
            return str(value)
