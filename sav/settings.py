"""Everything that can be configured: the specification's environment variables and the service's own.

Every field is one variable of the same name; `docs/configuration.md` is generated from this module.
"""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sav.domain.addresses import named_address
from sav.domain.ticket_lifecycle import Priority

MINIMUM_SECRET_BYTES = 32
"""HS256 with a shorter key can be guessed from a single token."""


EXAMPLE_SECRETS = frozenset({"sav_password", "adminpass123", "guest", "change-me"})
"""Every secret that stands in a file of this project: known to all, so none in production."""
# A secret, and what says that it is used at all.
_USED_WITH = {
    "DB_PASSWORD": ("DB_CONNECTION", "mysql"),
    "MINIO_SECRET_KEY": ("SAV_STORAGE", "s3"),
    "RABBITMQ_PASSWORD": ("SAV_BROKER", "rabbitmq"),
}

_NODE = re.compile(r"[^:,\s]+(:[0-9]{1,5})?")


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    return value.rstrip("/")


def _http_origin(value: str) -> str:
    url = _http_url(value)
    if urlsplit(url).path or urlsplit(url).query or urlsplit(url).username:
        raise ValueError("must be http:// or https://, a host and a port, and nothing else")
    return url


HttpUrl = Annotated[str, AfterValidator(_http_url)]
HttpOrigin = Annotated[str, AfterValidator(_http_origin)]


def _mail_address(value: str) -> str:
    named_address(value)
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be the name of a time zone, as Europe/Paris") from None
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Port = Annotated[int, Field(ge=1, le=65535)]
Bound = Annotated[int, Field(ge=1, le=1_000_000_000)]
Lifetime = Annotated[float, Field(ge=0, le=86_400)]
Network = IPv4Network | IPv6Network
Text = Annotated[str, Field(min_length=1)]


class Settings(BaseSettings):
    """The service's settings; built once, at start, by `load_settings`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    APP_NAME: Text = Field("sav-service", description="The name the service reports in `/health` and logs.")
    APP_ENV: Literal["local", "test", "staging", "production"] = Field(
        "local",
        description="Where it runs; logs are for people on `local` and JSON everywhere else. `production` "
        "does not start with a secret that stands in an example.",
    )
    APP_PORT: Port = Field(8007, description="The port that the HTTP tier listens on.")
    APP_HOST: Text = Field("0.0.0.0", description="The address that the HTTP tier listens on.")  # noqa: S104
    SAV_PUBLIC_URL: HttpUrl | None = Field(
        None,
        description="This service's address as browsers reach it, for the links it hands out "
        "(`http://localhost:` + `APP_PORT`); with `https://`, browsers are told to come back by TLS alone.",
    )
    SAV_TRUSTED_PROXIES: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="The proxies before this service, as networks (`10.0.0.0/8,fd00::/8`): only their "
        "`X-Forwarded-For` is believed. Behind a proxy that is not named here, all guests look like one.",
    )
    PUBLIC_REQUESTS_PER_MINUTE: Bound = Field(
        120, description="Requests without an account that one address may make a minute."
    )
    PUBLIC_REQUESTS_PER_MINUTE_OVERALL: Bound = Field(
        3000, description="Requests without an account that all addresses together may make a minute."
    )
    PUBLIC_WRONG_GUESSES_PER_MINUTE: Bound = Field(
        30,
        description="Ticket numbers and access tokens that open nothing, of one address in a minute; after "
        "them its right ones are refused too, until the minute ends.",
    )
    PUBLIC_TICKETS_PER_HOUR: Bound = Field(
        20, description="Tickets that may be opened without an account for one e-mail address an hour."
    )
    PUBLIC_FILES_PER_HOUR: Bound = Field(
        30, description="Files that the guest of one ticket may attach to it an hour."
    )
    LOG_LEVEL: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe log line that is written."
    )

    OTEL_EXPORTER_OTLP_ENDPOINT: HttpUrl | None = Field(
        None,
        description="The OpenTelemetry collector (OTLP over HTTP) that traces are sent to; without it there "
        "are none. Needs `sav-service[tracing]`.",
    )

    DB_CONNECTION: Literal["mysql", "sqlite"] = Field(
        "mysql", description="`mysql` for MySQL 8+ and MariaDB 10.6+, `sqlite` for one file on disk."
    )
    DB_HOST: Text = Field("sav-mysql", description="The database server.")
    DB_PORT: Port = Field(3306, description="The database server's port.")
    DB_DATABASE: Text = Field(
        "sav_db",
        description="The database's name; with `sqlite`, a path, or a name for a file in `SAV_DATA_DIR`.",
    )
    DB_USERNAME: Text = Field("sav_user", description="The database user.")
    DB_PASSWORD: SecretStr = Field(
        SecretStr("sav_password"), validate_default=True, description="The database user's password."
    )
    DB_REPLICA_HOST: Text | None = Field(
        None,
        description="A replica of the database server, with the same database and the same user: lists, "
        "searches, tickets, conversations and statistics are read there where it has all that the caller may "
        "see already, and from `DB_HOST` otherwise.",
    )
    DB_REPLICA_PORT: Port = Field(3306, description="The replica's port.")

    SAV_STORAGE: Literal["s3", "disk"] = Field(
        "s3", description="Where attachments are kept: the S3 store, or files under `SAV_DATA_DIR`."
    )
    MINIO_ENDPOINT: HttpOrigin = Field("http://minio:9000", description="The S3 store of attachments.")
    MINIO_PUBLIC_ENDPOINT: HttpOrigin | None = Field(
        None, description="The store's address as browsers reach it, for download URLs (`MINIO_ENDPOINT`)."
    )
    MINIO_ACCESS_KEY: Text = Field("admin", description="The S3 access key.")
    MINIO_SECRET_KEY: SecretStr = Field(
        SecretStr("adminpass123"), validate_default=True, description="The S3 secret key."
    )
    MINIO_BUCKET: Text = Field(
        "sav",
        description="The bucket of attachments; made when it is missing and there are no files yet.",
    )
    MINIO_REGION: Text = Field("us-east-1", description="The bucket's region.")

    CLAMAV_HOST: Text | None = Field(
        None,
        description="The virus scanner (clamd, on TCP). With it, nobody can download a file before the "
        "scanner has passed it; without it, files are served at once, unscanned. Set it for the workers too.",
    )
    CLAMAV_PORT: Port = Field(
        3310,
        description="The virus scanner's port. Its `StreamMaxLength` and `MaxFileSize` must not be below "
        "`MAX_ATTACHMENT_SIZE_MB`.",
    )

    SAV_BROKER: Literal["rabbitmq", "embedded"] = Field(
        "rabbitmq",
        description="Who carries jobs and events: RabbitMQ, or this process alone, which appends events to "
        "`SAV_DATA_DIR/events.jsonl`.",
    )
    RABBITMQ_HOST: Text = Field(
        "rabbitmq",
        description="The message broker; of a cluster, its nodes separated by commas, with ports where they "
        "differ (`rabbit-1,rabbit-2:5673`), tried in this order.",
    )
    RABBITMQ_PORT: Port = Field(5672, description="The broker's port, where `RABBITMQ_HOST` names none.")
    RABBITMQ_USER: Text = Field("guest", description="The broker's user.")
    RABBITMQ_PASSWORD: SecretStr = Field(
        SecretStr("guest"), validate_default=True, description="The broker user's password."
    )
    RABBITMQ_VHOST: Text = Field("/", description="The broker's virtual host.")
    RABBITMQ_EXCHANGE: Text = Field(
        "sav_exchange", description="The durable topic exchange that domain events are published to."
    )
    RABBITMQ_QUEUE: Text = Field(
        "sav_queue",
        description="The queue of events from other services, and the prefix of the workers' own queues.",
    )
    RABBITMQ_CONSUME_EXCHANGES: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further exchanges that events are consumed from, separated by commas."
    )
    RABBITMQ_QUEUE_TYPE: Literal["classic", "quorum"] = Field(
        "classic",
        description="The type of the queues that are made: `quorum` for a cluster. Queues that exist stay.",
    )

    AUTH_SERVICE_URL: HttpUrl = Field("http://auth-service:8000", description="The authentication service.")
    JWT_SECRET: SecretStr | None = Field(
        None,
        description="The key of HS256 tokens, at least 32 bytes; without it tokens are verified by "
        "`JWT_JWKS_URL`.",
    )
    JWT_JWKS_URL: HttpUrl | None = Field(
        None,
        description="The keys of RS256 and ES256 tokens (`AUTH_SERVICE_URL` + `/.well-known/jwks.json`).",
    )
    JWT_ISSUER: Text | None = Field(None, description="The `iss` that tokens must carry, when set.")
    JWT_AUDIENCE: Text | None = Field(None, description="The `aud` that tokens must carry, when set.")

    TICKET_NUMBER_PREFIX: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,19}$")] = Field(
        "TICKET", description="What ticket numbers begin with: capitals and digits."
    )
    AUTO_ASSIGN: bool = Field(
        True, description="Whether the desk gives open tickets to available agents by itself."
    )
    AUTO_ASSIGN_EXCEPT_CATEGORIES: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Categories whose tickets only people assign, separated by commas."
    )
    AUTO_CLOSE_RESOLVED_DAYS: Annotated[float, Field(gt=0, le=36_500)] = Field(
        7, description="A resolved ticket is closed after this many quiet days; decimals allowed."
    )
    ESCALATION_TIMEOUT_HOURS: Annotated[float, Field(gt=0, le=876_000)] = Field(
        2, description="An urgent ticket without an answer escalates after this many hours; decimals allowed."
    )
    ESCALATION_REASSIGN: bool = Field(
        True,
        description="Whether a ticket that escalates goes to another agent when its own is not available.",
    )
    MAX_ATTACHMENT_SIZE_MB: Annotated[float, Field(gt=0, le=100)] = Field(
        10, description="The size limit of one attached file, in MB of 1,048,576 bytes."
    )
    FILE_SWEEP_AGE_HOURS: Annotated[float, Field(gt=0)] = Field(
        1,
        description="How old a file or an object must be for the daily sweep to ask whether it has its "
        "other half; decimals allowed. No upload may take as long.",
    )
    CUSTOMER_MAX_PRIORITY: Priority = Field(
        "urgent", description="The highest priority that customers may ask for."
    )
    AGENT_DEFAULT_CAPACITY: Annotated[int, Field(ge=0, le=10_000)] = Field(
        20, description="How many unsettled tickets an agent holds at most, until an admin says otherwise."
    )

    SMTP_HOST: Text | None = Field(None, description="The mail server; without it mails are only recorded.")
    SMTP_PORT: Port = Field(587, description="The mail server's port.")
    SMTP_USERNAME: Text | None = Field(None, description="The mail server's user, when it asks for one.")
    SMTP_PASSWORD: SecretStr | None = Field(None, description="The mail user's password.")
    SMTP_TLS: Literal["none", "starttls", "tls"] = Field("starttls", description="How mail is encrypted.")
    MAIL_FROM: MailAddress = Field(
        "sav@localhost",
        description="The sender of the desk's mails: an address, or a name with one "
        "(`After-sales <sav@example.com>`).",
    )
    MAIL_DESK: MailAddress | None = Field(
        None, description="Who gets staff mail about tickets without an assignee."
    )
    DEFAULT_LOCALE: Literal["fr", "en"] = Field("fr", description="The language of mails, unless known.")
    DESK_TIMEZONE: TimeZone = Field(
        "UTC", description="The time zone of times in mails, by its IANA name (`Europe/Paris`)."
    )
    TICKET_URL: HttpUrl | None = Field(
        None,
        description="Where the shop shows a ticket, for the links in mails, with `{ticket_number}` or "
        "`{ticket_id}` in it (`https://shop.example/support/{ticket_number}`); without it there are none.",
    )

    MAIL_DELIVERY_RETENTION_DAYS: Annotated[float, Field(ge=3, le=36_500)] = Field(
        90, description="How long it is kept to whom a mail was sent, and when; decimals allowed."
    )
    PRIVACY_EXPORT_DAYS: Annotated[float, Field(gt=0, le=365)] = Field(
        7, description="How long the archive of a person's data can be downloaded; decimals allowed."
    )

    SAV_DATA_DIR: Path = Field(
        Path("var"), description="Where the embedded database, files and secrets are kept."
    )
    SAV_MIGRATE_AT_START: bool = Field(
        True,
        description="Whether `sav http`, `sav worker` and `sav scheduler` bring the tables up to date first.",
    )
    WEB_PROCESSES: Annotated[int, Field(ge=1, le=64)] = Field(2, description="HTTP processes.")
    WEB_THREADS: Annotated[int, Field(ge=1, le=256)] = Field(8, description="Threads of each HTTP process.")
    CACHE_MEMORY_MB: Annotated[float, Field(ge=0, le=16_384)] = Field(
        32,
        description="What each HTTP process may take to keep answers ready, in MB of 1,048,576 bytes; `0` "
        "turns the caches off. They are never older than the last write, whatever their lifetime.",
    )
    CACHE_LIST_SECONDS: Lifetime = Field(
        180, description="How long lists of tickets are kept ready; `0` turns this cache off."
    )
    CACHE_DETAIL_SECONDS: Lifetime = Field(
        60, description="How long tickets with their messages are kept ready; `0` turns this cache off."
    )
    CACHE_STATISTICS_SECONDS: Lifetime = Field(
        300, description="How long statistics are kept ready; `0` turns this cache off."
    )
    CACHE_ATTACHMENT_SECONDS: Lifetime = Field(
        600,
        description="How long what is known of attachments is kept ready; `0` turns this cache off. Links to "
        "files are made anew each time.",
    )
    WORKER_PROCESSES: Annotated[int, Field(ge=1, le=64)] = Field(2, description="Worker processes.")
    WORKER_THREADS: Annotated[int, Field(ge=1, le=256)] = Field(
        4, description="Threads of each worker process; with the embedded broker, of the one process."
    )

    WORKER_METRICS_PORT: Port | None = Field(
        None, description="The port on which `sav worker` answers Prometheus; without it on none."
    )
    SCHEDULER_METRICS_PORT: Port | None = Field(
        None, description="The port on which `sav scheduler` answers Prometheus; without it on none."
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, values: dict[str, object]) -> dict[str, object]:
        # An empty variable says nothing, except that there is no password.
        return {name: value for name, value in values.items() if value != "" or name.endswith("_PASSWORD")}

    @field_validator(
        "RABBITMQ_CONSUME_EXCHANGES", "SAV_TRUSTED_PROXIES", "AUTO_ASSIGN_EXCEPT_CATEGORIES", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("JWT_SECRET")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < MINIMUM_SECRET_BYTES:
            raise ValueError(f"must be at least {MINIMUM_SECRET_BYTES} bytes long")
        return value

    @field_validator("DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD", "JWT_SECRET", "SMTP_PASSWORD")
    @classmethod
    def _no_example(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        switch, wanted = _USED_WITH.get(info.field_name or "", ("APP_ENV", "production"))
        is_used = info.data.get("APP_ENV") == "production" and info.data.get(switch) == wanted
        if is_used and value is not None and value.get_secret_value() in EXAMPLE_SECRETS:
            raise ValueError("is the one of an example, which all the world knows; choose another one")
        return value

    @field_validator("DB_REPLICA_HOST")
    @classmethod
    def _of_a_server(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("DB_CONNECTION") == "sqlite":
            raise ValueError("needs DB_CONNECTION=mysql: SQLite has no replicas")
        return value

    @field_validator("RABBITMQ_HOST")
    @classmethod
    def _nodes(cls, value: str) -> str:
        if not all(_NODE.fullmatch(node.strip()) for node in value.split(",")):
            raise ValueError("must be a host, or hosts with or without a port, separated by commas")
        return value

    @property
    def broker_nodes(self) -> list[tuple[str, int]]:
        """Host and port of each node of the broker."""
        nodes = [node.strip().rpartition(":") for node in self.RABBITMQ_HOST.split(",")]
        return [(host, int(port)) if host else (port, self.RABBITMQ_PORT) for host, _, port in nodes]

    @property
    def jwks_url(self) -> str:
        return self.JWT_JWKS_URL or f"{self.AUTH_SERVICE_URL}/.well-known/jwks.json"

    @property
    def sqlite_path(self) -> Path:
        if "/" in self.DB_DATABASE:
            return Path(self.DB_DATABASE)
        return self.SAV_DATA_DIR / f"{self.DB_DATABASE}.sqlite3"

    @property
    def maximum_file_bytes(self) -> int:
        return int(self.MAX_ATTACHMENT_SIZE_MB * 1024 * 1024)

    @property
    def public_url(self) -> str:
        return self.SAV_PUBLIC_URL or f"http://localhost:{self.APP_PORT}"

    @property
    def public_storage_url(self) -> str:
        return self.MINIO_PUBLIC_ENDPOINT or self.MINIO_ENDPOINT


class InvalidSettings(Exception):
    """Some environment variables are wrong; `problems` has a line for each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(**overrides: object) -> Settings:
    """Reads the environment; raises `InvalidSettings` with every wrong variable at once."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        # The values stay out of the message: some of them are secrets.
        problems = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidSettings(sorted(problems)) from None
