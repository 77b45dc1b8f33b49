"""What `sav doctor` looks at: one function for everything that the service depends on."""

from __future__ import annotations

import difflib
import os
import platform
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, requires, version
from smtplib import SMTPAuthenticationError
from ssl import SSLCertVerificationError
from urllib.error import HTTPError
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from sav.actors.broker_examination import BrokerExamination, Place
from sav.actors.broker_trouble import BrokerTrouble
from sav.bootstrap import mail_server, object_store, read_replica, virus_scanner
from sav.hands.commands import printable
from sav.hands.findings import Examination, Finding, failed, ok, warning
from sav.http.signing_keys import InvalidKeySet, SharedSecret, download, parse_key_set
from sav.mail.smtp import LoginRefused, ServerTrouble, Session
from sav.models import examination as database
from sav.models.database import (
    DATABASE_ERRORS,
    DatabaseUnavailable,
    drop_connection,
    ensure_connection,
    reading_at,
)
from sav.models.migrate import pending
from sav.models.replica import Replica
from sav.queries.overdue_effects import overdue_effects
from sav.queries.pipeline_health import pipeline_health
from sav.settings import Settings
from sav.storage.object_store import StorageUnavailable
from sav.storage.s3 import S3Store
from sav.storage.virus_scanner import Clamd, ScannerUnavailable

KEYS_TIMEOUT_SECONDS = 3.0
CLOCK_WARNING_SECONDS = 1.0
"""A difference of clocks that is worth a look."""
CLOCK_FAILURE_SECONDS = 5.0
"""The margin of the leases: beyond it two workers may take the same effect."""
OVERDUE_WARNING_SECONDS = 15.0
OVERDUE_FAILURE_SECONDS = 60.0
UNPUBLISHED_WARNING_SECONDS = 60.0
DISK_WARNING_BYTES = 1024**3
DISK_FAILURE_BYTES = 100 * 1024**2
MISSPELT_SIMILARITY = 0.9
"""How much a variable must look like one of ours to be taken for a slip."""


def examinations(settings: Settings) -> Mapping[str, Examination]:
    """All that concern these settings, by what they examine. `initialise_database` comes before them."""
    chosen: dict[str, Examination] = {
        "settings": lambda: examine_settings(settings),
        "python": examine_python,
        "database": lambda: examine_database(settings),
        "pipeline": examine_pipeline,
        "rabbitmq": lambda: examine_broker(settings),
        "storage": lambda: examine_storage(settings),
        "antivirus": lambda: examine_antivirus(settings),
        "authentication": lambda: examine_authentication(settings),
        "mail": lambda: examine_mail(settings),
    }
    if (replica := read_replica(settings)) is not None:
        chosen["replica"] = lambda: examine_replica(settings, replica)
    embedded = {"sqlite", "embedded", "disk"}
    if not embedded.isdisjoint({settings.DB_CONNECTION, settings.SAV_BROKER, settings.SAV_STORAGE}):
        chosen["disk"] = lambda: examine_disk(settings)
    return chosen


def examine_settings(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """That they are right is known; this looks for slips, and for passwords that everybody knows."""
    names = list(Settings.model_fields)
    yield ok("settings", f"{sum(name in environment for name in names)} of {len(names)} variables are set")
    for name in sorted(set(environment) - set(names)):
        if close := difflib.get_close_matches(name, names, n=1, cutoff=MISSPELT_SIMILARITY):
            yield warning("settings", f"{name} has no meaning here", f"Was {close[0]} meant?")
    if settings.APP_ENV != "production":
        return
    for name in ("DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD"):
        if getattr(settings, name) == Settings.model_fields[name].default:
            yield warning("settings", f"{name} is the default, which everybody knows", f"Set {name}.")


def examine_python() -> Iterator[Finding]:
    """The interpreter, and whether the libraries are those that the service was made for."""
    yield ok("python", f"{platform.python_version()}, sav-service {version('sav-service')}")
    wrong = 0
    for requirement in map(Requirement, requires("sav-service") or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "none"
        if found == "none" or found not in requirement.specifier:
            wrong += 1
            problem = f"{requirement.name} {found} is installed, {requirement.specifier} is needed"
            yield failed("python", problem, "Run pip install again.")
    if not wrong:
        yield ok("python", "every library has a version that fits")


def examine_database(settings: Settings) -> Iterator[Finding]:
    """Reachable, recent, able to hold every character, writable, migrated, and of the same time."""
    name = "SQLite" if settings.DB_CONNECTION == "sqlite" else f"{settings.DB_HOST}:{settings.DB_PORT}"
    try:
        database.connect_or_explain()
    except database.DatabaseTrouble as trouble:
        advice = f"Look at {settings.sqlite_path}." if settings.DB_CONNECTION == "sqlite" else trouble.advice
        yield failed("database", f"{name}: {trouble.problem}", advice)
        return
    try:
        yield from _database_server(name)
        yield from _tables(settings)
        yield from _privileges(settings)
    finally:
        drop_connection()


def examine_replica(settings: Settings, replica: Replica) -> Iterator[Finding]:
    """Reachable, of this very database, and one that tells things in their order."""
    name = f"{settings.DB_REPLICA_HOST}:{settings.DB_REPLICA_PORT}"
    try:
        with reading_at(replica.server):
            ensure_connection()
            newest, may_mix = database.newest_fact(), database.may_commit_out_of_order()
            drop_connection()
        ensure_connection()
        is_ours = newest is None or database.knows_fact(newest)
    except (*DATABASE_ERRORS, DatabaseUnavailable) as error:
        advice = "All is read from the database meanwhile. See to it, or unset DB_REPLICA_HOST."
        yield warning("replica", f"{name} cannot be read ({type(error).__name__})", advice)
        return
    finally:
        drop_connection()
    yield ok("replica", f"{name} answers")
    if not is_ours:
        says = "it has events that the database does not have: it is no replica of it"
        yield failed(
            "replica", says, "Correct DB_REPLICA_HOST and DB_REPLICA_PORT, or make the replica anew."
        )
    if may_mix:
        says = "it may show a later change before an earlier one"
        yield failed("replica", says, "SET PERSIST replica_preserve_commit_order = ON; or one worker.")


def _database_server(name: str) -> Iterator[Finding]:
    server = database.examine_server()
    if server.is_recent_enough:
        yield ok("database", f"{name}: {server.version}")
    else:
        yield failed(
            "database", f"{name}: {server.version} is too old", "Use MySQL 8 or MariaDB 10.6, or newer."
        )
    if server.charset == "utf8mb4":
        yield ok("database", "its character set is utf8mb4")
    else:
        yield warning(
            "database", f"its character set is {server.charset}", "ALTER DATABASE … CHARACTER SET utf8mb4."
        )
    offset = abs(server.clock_offset.total_seconds())
    advice = "Set both clocks by NTP: leases and deadlines are moments."
    if offset < CLOCK_WARNING_SECONDS:
        yield ok("database", "its clock and ours agree")
    elif offset < CLOCK_FAILURE_SECONDS:
        yield warning("database", f"its clock differs from ours by {offset:.1f} s", advice)
    else:
        yield failed("database", f"its clock differs from ours by {offset:.1f} s", advice)


def _tables(settings: Settings) -> Iterator[Finding]:
    if other := database.other_charset_tables():
        yield warning(
            "database",
            f"not in utf8mb4: {', '.join(other)}",
            "ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4.",
        )
    names = pending()
    if not names:
        yield ok("database", "its tables are up to date")
        return
    problem = f"{len(names)} migrations are pending"
    if settings.SAV_MIGRATE_AT_START:
        yield warning("database", problem, "The next process that starts applies them; or run `sav migrate`.")
    else:
        yield failed("database", problem, "Run `sav migrate`.")


def _privileges(settings: Settings) -> Iterator[Finding]:
    if not pending():
        if problem := database.try_writing():
            yield failed(
                "database", f"rows cannot be written ({problem})", "Grant SELECT, INSERT, UPDATE, DELETE."
            )
        else:
            yield ok("database", "rows can be written")
    if problem := database.try_changing_tables():
        says, advice = f"tables cannot be changed ({problem})", "Grant CREATE, ALTER, INDEX and DROP"
        if settings.SAV_MIGRATE_AT_START:
            yield failed("database", says, f"{advice}, or set SAV_MIGRATE_AT_START=false.")
        else:
            yield warning("database", says, f"{advice} to the user who runs `sav migrate`.")
    else:
        yield ok("database", "tables can be changed")


def examine_pipeline() -> Iterator[Finding]:
    """Whether what is owed gets done."""
    try:
        database.connect_or_explain()
        now = datetime.now(UTC)
        overdue, health = overdue_effects(now=now), pipeline_health(now=now)
    except database.DatabaseTrouble:
        yield warning("pipeline", "unknown without the database", "First see to the database.")
        return
    except DATABASE_ERRORS:
        yield warning("pipeline", "unknown without the tables", "First see to the database's tables.")
        return
    finally:
        drop_connection()
    yield _overdue(overdue.due_seconds)
    if overdue.unpublished_seconds >= UNPUBLISHED_WARNING_SECONDS:
        problem = f"an event waits for its publication since {overdue.unpublished_seconds:.0f} s"
        error = f" ({printable(overdue.last_error)[:80]})" if overdue.last_error else ""
        yield warning("pipeline", problem + error, "See to RabbitMQ, and to the workers' log.")
    if health.given_up:
        yield warning(
            "pipeline", f"{health.given_up} effects have failed", "See scripts/dead_letters effects list."
        )
    else:
        yield ok("pipeline", "no effect has failed")


def _overdue(seconds: float) -> Finding:
    if seconds < OVERDUE_WARNING_SECONDS:
        return ok("pipeline", "what is due is being done")
    says = f"something is due for {seconds:.0f} s, and nobody does it"
    advice = "Start `sav worker`, or see its log."
    if seconds < OVERDUE_FAILURE_SECONDS:
        return warning("pipeline", says, advice)
    return failed("pipeline", says, advice)


def examine_broker(settings: Settings) -> Iterator[Finding]:
    """Reachable, takes messages, and everything on it is as it should be."""
    if settings.SAV_BROKER == "embedded":
        yield ok("rabbitmq", "not used: the broker is this process (SAV_BROKER=embedded)")
        return
    nodes = ", ".join(f"{host}:{port}" for host, port in settings.broker_nodes)
    try:
        with BrokerExamination(settings) as broker:
            yield ok("rabbitmq", f"{nodes}: RabbitMQ {broker.version}")
            broker.deliver_to_itself()
            yield ok("rabbitmq", "it takes and delivers messages")
            yield from _exchanges(settings, broker)
            yield from _queues(settings, broker)
    except BrokerTrouble as trouble:
        yield failed("rabbitmq", f"{nodes}: {trouble.problem}", trouble.advice)


def _exchanges(settings: Settings, broker: BrokerExamination) -> Iterator[Finding]:
    for name in (settings.RABBITMQ_EXCHANGE, *settings.RABBITMQ_CONSUME_EXCHANGES):
        place = broker.exchange(name)
        if not place.exists:
            yield warning(
                "rabbitmq", f"there is no exchange {name}", "The first worker that starts makes it."
            )
        elif place.difference:
            yield failed(
                "rabbitmq",
                f"exchange {name} is not a durable topic exchange",
                "Delete it, and let the service make it, or name another one.",
            )
        else:
            yield ok("rabbitmq", f"exchange {name} is a durable topic exchange")


def _queues(settings: Settings, broker: BrokerExamination) -> Iterator[Finding]:
    inbox, effects, dead = broker.inbox(), broker.effects(), broker.dead_letters()
    yield from _queue(settings.RABBITMQ_QUEUE, inbox, needs_consumer=True)
    yield from _queue(f"{settings.RABBITMQ_QUEUE}.effects", effects, needs_consumer=True)
    yield from _queue(f"{settings.RABBITMQ_QUEUE}.dead", dead, needs_consumer=False)
    if dead.messages:
        yield warning("rabbitmq", f"{dead.messages} dead letters", "See scripts/dead_letters list.")
    elif dead.exists:
        yield ok("rabbitmq", "no dead letters")


def _queue(name: str, place: Place, *, needs_consumer: bool) -> Iterator[Finding]:
    if not place.exists:
        yield warning("rabbitmq", f"there is no queue {name}", "The first worker that starts makes it.")
        return
    if place.difference:
        yield warning(
            "rabbitmq",
            f"queue {name} was made with other arguments: {printable(place.difference)}",
            "It is used as it is. To change it, stop the workers, empty it and delete it.",
        )
    if needs_consumer and not place.consumers:
        says = f"nobody consumes queue {name}, in which {place.messages} messages wait"
        yield warning("rabbitmq", says, "Start `sav worker`.")
    elif not place.difference:
        yield ok("rabbitmq", f"queue {name} is there: {place.messages} messages, {place.consumers} consumers")


def examine_storage(settings: Settings) -> Iterator[Finding]:
    """Whether an attachment could be kept."""
    store = object_store(settings)
    where = f"bucket {settings.MINIO_BUCKET} on {settings.MINIO_ENDPOINT}"
    where = where if isinstance(store, S3Store) else "the disk"
    try:
        store.check()
        if isinstance(store, S3Store):
            store.probe()
    except StorageUnavailable as trouble:
        # Neither the answer itself nor its headers: they may name the key.
        code = getattr(trouble.__cause__, "code", None)
        if code is not None:
            yield failed(
                "storage", f"{where} refuses: {code}", _STORAGE_ADVICE.get(code, _OTHER_STORAGE_ADVICE)
            )
        elif trouble.__cause__ is not None:
            yield failed("storage", f"{where} does not answer", "Start it, or correct MINIO_ENDPOINT.")
        else:
            yield failed("storage", f"{where}: {trouble}", "Make the bucket, or correct MINIO_BUCKET.")
    else:
        yield ok("storage", f"{where} takes, gives and deletes files")


_OTHER_STORAGE_ADVICE = "Compare the key's rights to the bucket."
_STORAGE_ADVICE = {
    "AccessDenied": "Correct MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or grant the key the bucket.",
    "InvalidAccessKeyId": "Correct MINIO_ACCESS_KEY.",
    "SignatureDoesNotMatch": "Correct MINIO_SECRET_KEY.",
    "RequestTimeTooSkewed": "Set both clocks by NTP.",
    "NoSuchBucket": "Make the bucket, or correct MINIO_BUCKET.",
}


def examine_antivirus(settings: Settings) -> Iterator[Finding]:
    """Whether the scanner is there, and would pass the largest file that may be attached."""
    scanner = virus_scanner(settings)
    if not isinstance(scanner, Clamd):
        yield ok("antivirus", "CLAMAV_HOST is not set: files are served at once, unscanned")
        return
    where, largest = f"{settings.CLAMAV_HOST}:{settings.CLAMAV_PORT}", settings.MAX_ATTACHMENT_SIZE_MB
    advice = "Start it, or correct CLAMAV_HOST and CLAMAV_PORT: new files wait until it answers."
    try:
        yield ok("antivirus", f"{where}: {printable(scanner.version())}")
    except ScannerUnavailable:
        yield failed("antivirus", f"{where} does not answer", advice)
        return
    try:
        scanner.find_virus(_zeros(settings.maximum_file_bytes))
    except ScannerUnavailable as trouble:
        problem = f"{where} does not scan a file of {largest:g} MB: {printable(str(trouble))}"
        advice = "Raise its StreamMaxLength and MaxFileSize, or lower MAX_ATTACHMENT_SIZE_MB."
        yield failed("antivirus", problem, advice)
    else:
        yield ok("antivirus", f"{where} scans files of {largest:g} MB")


def _zeros(length: int) -> Iterator[bytes]:
    block = bytes(64 * 1024)
    for at in range(0, length, len(block)):
        yield block[: length - at]


def examine_authentication(settings: Settings) -> Iterator[Finding]:
    """Whether access tokens can be verified."""
    if settings.JWT_SECRET is not None:
        try:
            SharedSecret(settings.JWT_SECRET.get_secret_value())
        except ValueError as error:
            yield failed("authentication", f"JWT_SECRET cannot be used: {error}", "Set another JWT_SECRET.")
        else:
            yield ok("authentication", "tokens are verified by JWT_SECRET (HS256)")
        return
    url = urlsplit(settings.jwks_url)
    where = f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}{url.path}"
    advice = "Correct JWT_JWKS_URL or AUTH_SERVICE_URL, start the service there, or set JWT_SECRET."
    try:
        keys = parse_key_set(download(settings.jwks_url, timeout_seconds=KEYS_TIMEOUT_SECONDS)).keys
    except InvalidKeySet as error:
        yield failed("authentication", f"{where}: {error}", "See to the keys of the authentication service.")
    except HTTPError as error:
        yield failed("authentication", f"{where} answers {error.code}", advice)
    except (OSError, HTTPException):
        yield failed("authentication", f"{where} does not answer", advice)
    else:
        yield ok("authentication", f"{where} has {len(keys)} keys that can be used")


def examine_mail(settings: Settings) -> Iterator[Finding]:
    """Whether the mail server is there, encrypts as it should, and lets us in; no mail is sent."""
    server = mail_server(settings)
    if server is None:
        yield ok("mail", "SMTP_HOST is not set: mails are recorded, and not sent")
        return
    where = f"{server.host}:{server.port}"
    try:
        Session(server).check()
    except LoginRefused as trouble:
        # The server's own words may quote a name or a password.
        yield failed("mail", f"{where} {_mail_problem(trouble)}", _MAIL_ADVICE[type(trouble.__cause__)])
    except ServerTrouble:
        yield failed("mail", f"{where} does not answer", "Start it, or correct SMTP_HOST and SMTP_PORT.")
    else:
        yield ok("mail", f"{where} answers, and lets us in ({server.encryption})")


def _mail_problem(trouble: LoginRefused) -> str:
    match trouble.__cause__:
        case SSLCertVerificationError() as cause:
            return f"has a certificate that cannot be trusted ({cause.verify_message})"
        case SMTPAuthenticationError():
            return f"does not accept SMTP_USERNAME and SMTP_PASSWORD ({trouble.code})"
        case _:
            return "does not know how to encrypt or to log in as we ask"


_MAIL_ADVICE: defaultdict[type | None, str] = defaultdict(
    lambda: "Correct SMTP_TLS, SMTP_PORT or SMTP_USERNAME.",
    {
        SSLCertVerificationError: "Name its authority in SSL_CERT_FILE, or correct SMTP_HOST.",
        SMTPAuthenticationError: "Correct SMTP_USERNAME and SMTP_PASSWORD.",
    },
)


def examine_disk(settings: Settings) -> Iterator[Finding]:
    """Whether the data directory can take more; for a service that keeps its data there."""
    directory = settings.SAV_DATA_DIR.absolute()
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield failed("disk", f"nothing can be written to {directory}", "Grant it, or set SAV_DATA_DIR.")
        return
    free = shutil.disk_usage(existing).free
    says, advice = f"{free // 1024**2} MiB are free for {directory}", "Make room, or move SAV_DATA_DIR."
    if free < DISK_FAILURE_BYTES:
        yield failed("disk", says, advice)
    elif free < DISK_WARNING_BYTES:
        yield warning("disk", says, advice)
    else:
        yield ok("disk", says)
