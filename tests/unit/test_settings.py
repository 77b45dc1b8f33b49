"""Settings: the specification's names and defaults, every mistake at once, and no secret in any message."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sav.launch.embedded_settings import SECRET_FILE, embedded_settings
from sav.settings import EXAMPLE_SECRETS, InvalidSettings, Settings, load_settings

# Copied from the specification, line by line.
SPECIFIED = {
    "APP_NAME": "sav-service",
    "APP_ENV": "local",
    "APP_PORT": 8007,
    "DB_CONNECTION": "mysql",
    "DB_HOST": "sav-mysql",
    "DB_PORT": 3306,
    "DB_DATABASE": "sav_db",
    "DB_USERNAME": "sav_user",
    "DB_PASSWORD": "sav_password",
    "MINIO_ENDPOINT": "http://minio:9000",
    "MINIO_ACCESS_KEY": "admin",
    "MINIO_SECRET_KEY": "adminpass123",
    "MINIO_BUCKET": "sav",
    "MINIO_REGION": "us-east-1",
    "RABBITMQ_HOST": "rabbitmq",
    "RABBITMQ_PORT": 5672,
    "RABBITMQ_USER": "guest",
    "RABBITMQ_PASSWORD": "guest",
    "RABBITMQ_VHOST": "/",
    "RABBITMQ_EXCHANGE": "sav_exchange",
    "RABBITMQ_QUEUE": "sav_queue",
    "AUTH_SERVICE_URL": "http://auth-service:8000",
    "TICKET_NUMBER_PREFIX": "TICKET",
    "AUTO_CLOSE_RESOLVED_DAYS": 7,
    "ESCALATION_TIMEOUT_HOURS": 2,
    "MAX_ATTACHMENT_SIZE_MB": 10,
}

WRONG = {
    "APP_ENV": "moon",
    "APP_PORT": "eighty",
    "DB_CONNECTION": "oracle",
    "DB_PORT": "0",
    "MINIO_ENDPOINT": "http://minio:9000/bucket",
    "RABBITMQ_PORT": "70000",
    "AUTH_SERVICE_URL": "auth-service",
    "JWT_SECRET": "correct horse",
    "TICKET_NUMBER_PREFIX": "no spaces",
    "AUTO_CLOSE_RESOLVED_DAYS": "-1",
    "ESCALATION_TIMEOUT_HOURS": "soon",
    "MAX_ATTACHMENT_SIZE_MB": "1000",
    "SAV_MIGRATE_AT_START": "perhaps",
    "WEB_THREADS": "0",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = load_settings()
    assert {name: _plain(getattr(settings, name)) for name in SPECIFIED} == SPECIFIED


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_PORT", "9000")
    monkeypatch.setenv("ESCALATION_TIMEOUT_HOURS", "0.5")
    monkeypatch.setenv("RABBITMQ_CONSUME_EXCHANGES", "orders, users ,")
    settings = load_settings()
    assert settings.APP_PORT == 9000
    assert settings.ESCALATION_TIMEOUT_HOURS == 0.5
    assert settings.RABBITMQ_CONSUME_EXCHANGES == ("orders", "users")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_PORT", "")
    assert load_settings().APP_PORT == 8007


def test_every_wrong_variable_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WRONG.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert [problem.partition(":")[0] for problem in caught.value.problems] == sorted(WRONG)


@pytest.mark.parametrize(
    "name", ["JWT_SECRET", "DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD", "SMTP_PASSWORD"]
)
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    secret = "do-not-show-me-" + 32 * "x"
    monkeypatch.setenv(name, secret)
    assert _plain(getattr(load_settings(), name)) == secret
    assert secret not in repr(load_settings())
    monkeypatch.setenv("APP_PORT", secret)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert secret not in str(caught.value)


def test_a_refused_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "hunter2")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert caught.value.problems == ["JWT_SECRET: must be at least 32 bytes long"]


class TestProduction:
    """Nobody goes into production with a secret that all the world can read here."""

    SECRETS = ("DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD")

    def refused(self) -> list[str]:
        with pytest.raises(InvalidSettings) as caught:
            load_settings()
        return [problem.partition(":")[0] for problem in caught.value.problems]

    def test_the_defaults_are_refused_all_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APP_ENV", "production")
        monkeypatch.setenv("APP_PORT", "0")
        assert self.refused() == ["APP_PORT", *self.SECRETS]

    @pytest.mark.parametrize("environment", ["local", "test", "staging"])
    def test_elsewhere_they_serve(self, environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APP_ENV", environment)
        assert environment == load_settings().APP_ENV

    @pytest.mark.parametrize("example", sorted(EXAMPLE_SECRETS))
    def test_every_example_is_refused_for_every_secret(
        self, example: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("APP_ENV", "production")
        for name in (*self.SECRETS, "SMTP_PASSWORD", "JWT_SECRET"):
            monkeypatch.setenv(name, example)
        assert self.refused() == sorted((*self.SECRETS, "SMTP_PASSWORD", "JWT_SECRET"))

    def test_others_are_accepted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APP_ENV", "production")
        for name in self.SECRETS:
            monkeypatch.setenv(name, f"a secret of our own for {name}")
        assert load_settings().APP_ENV == "production"

    def test_what_is_not_used_needs_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APP_ENV", "production")
        for name, value in (("DB_CONNECTION", "sqlite"), ("SAV_STORAGE", "disk"), ("SAV_BROKER", "embedded")):
            monkeypatch.setenv(name, value)
        assert load_settings().APP_ENV == "production"


class TestEmbedded:
    """The defaults of `sav up`, each only where the environment says nothing."""

    def test_defaults(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SAV_DATA_DIR", str(tmp_path / "var"))
        settings = embedded_settings()
        assert (settings.DB_CONNECTION, settings.SAV_BROKER, settings.SAV_STORAGE) == (
            "sqlite",
            "embedded",
            "disk",
        )
        assert settings.sqlite_path == tmp_path / "var" / "sav_db.sqlite3"

    @pytest.mark.parametrize(
        ("variable", "value", "setting", "expected"),
        [
            ("DB_CONNECTION", "mysql", "DB_CONNECTION", "mysql"),
            ("DB_HOST", "db.example", "DB_CONNECTION", "mysql"),
            ("SAV_BROKER", "rabbitmq", "SAV_BROKER", "rabbitmq"),
            ("RABBITMQ_HOST", "mq.example", "SAV_BROKER", "rabbitmq"),
            ("SAV_STORAGE", "s3", "SAV_STORAGE", "s3"),
            ("MINIO_ENDPOINT", "http://s3.example", "SAV_STORAGE", "s3"),
        ],
    )
    def test_the_environment_wins(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        setting: str,
        expected: str,
    ) -> None:
        monkeypatch.setenv("SAV_DATA_DIR", str(tmp_path))
        monkeypatch.setenv(variable, value)
        assert getattr(embedded_settings(), setting) == expected

    def test_the_secret_is_made_once_and_for_its_owner_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SAV_DATA_DIR", str(tmp_path))
        first, second = embedded_settings(), embedded_settings()
        assert first.JWT_SECRET is not None
        assert first.JWT_SECRET == second.JWT_SECRET
        assert (tmp_path / SECRET_FILE).stat().st_mode & 0o777 == 0o600
        assert [file.name for file in tmp_path.iterdir()] == [SECRET_FILE]

    @pytest.mark.parametrize("variable", ["JWT_JWKS_URL", "AUTH_SERVICE_URL"])
    def test_no_secret_is_made_when_others_sign(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv("SAV_DATA_DIR", str(tmp_path))
        monkeypatch.setenv(variable, "http://auth.example")
        assert embedded_settings().JWT_SECRET is None
        assert list(tmp_path.iterdir()) == []

    def test_wrong_settings_leave_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SAV_DATA_DIR", str(tmp_path / "var"))
        monkeypatch.setenv("APP_PORT", "0")
        with pytest.raises(InvalidSettings):
            embedded_settings()
        assert not (tmp_path / "var").exists()
