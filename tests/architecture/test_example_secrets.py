"""No secret stands in a file of this project but those that production refuses."""

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from sav.settings import EXAMPLE_SECRETS, Settings

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD", "JWT_SECRET", "SMTP_PASSWORD")
# `NAME=value`, `NAME: value` and `${NAME:-value}`; the value of another variable is no secret.
GIVEN = re.compile(rf"\b(?:{'|'.join(SECRETS)})(?:=|: |:-)[\"']?([^\s\"'`}}|]+)")
A_VARIABLE = re.compile(r"\$.*|<.*|…")


def example_files() -> list[Path]:
    """Whatever people copy from."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    kept = [
        name
        for name in names
        if name.startswith(("k8s/", "docs/", "deploy/", "scripts/"))
        or re.fullmatch(r"README.*|\.env.*|docker-compose.*|Procfile|Dockerfile|CHANGELOG\.md", name)
    ]
    return [ROOT / name for name in kept]


def secrets_in(file: Path) -> set[str]:
    found = GIVEN.findall(file.read_text(encoding="utf-8", errors="replace"))
    return {value for value in found if not A_VARIABLE.fullmatch(value)}


def test_the_examples_are_found() -> None:
    names = {str(file.relative_to(ROOT)) for file in example_files()}
    assert {".env.example", "docker-compose.yml", "k8s/base/secret.yaml", "docs/configuration.md"} <= names
    assert secrets_in(ROOT / ".env.example") >= {"sav_password", "adminpass123", "guest"}
    assert secrets_in(ROOT / "docker-compose.yml") >= {"sav_password", "adminpass123"}
    assert secrets_in(ROOT / "k8s" / "base" / "secret.yaml") == {"change-me"}


@pytest.mark.parametrize("file", example_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_secret_of_an_example_is_refused_in_production(file: Path) -> None:
    assert secrets_in(file) <= EXAMPLE_SECRETS


def test_every_default_is_refused_in_production() -> None:
    defaults = [field.default for field in Settings.model_fields.values()]
    secret = {value.get_secret_value() for value in defaults if isinstance(value, SecretStr)}
    assert len(secret) == 3
    assert secret <= EXAMPLE_SECRETS


def test_every_secret_is_asked_about() -> None:
    kept_secret = {
        name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    }
    assert kept_secret == set(SECRETS)
