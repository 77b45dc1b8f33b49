"""The composition root: builds the parts from the settings and joins them; knows all, decides nothing.

Each function imports what it builds: no process builds everything, and what it does not build it neither
waits for at its start nor keeps in memory.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sav.models.database import STATEMENT_TIMEOUT_SECONDS, database, mysql_database, sqlite_database
from sav.operations import hints
from sav.settings import InvalidSettings, Settings, load_settings
from sav.telemetry.logs import configure_logs
from sav.telemetry.tracing import TracingEnd, start_tracing

if TYPE_CHECKING:
    import dramatiq
    import falcon

    from sav.actors.effects import Effect
    from sav.actors.hint_sender import HintSender
    from sav.actors.middleware import Companion
    from sav.actors.publish_event import Publish
    from sav.http.answer_caches import CacheBounds
    from sav.http.authentication import TokenVerifier
    from sav.http.rate_limits import PublicLimits
    from sav.mail.rules import MailRules
    from sav.mail.smtp import MailServer, PostOffice
    from sav.models.replica import Replica
    from sav.storage.object_store import ObjectStore
    from sav.storage.virus_scanner import VirusScanner

EVENT_FILE = "events.jsonl"
EXIT_WRONG_SETTINGS = 2
WORKER_STOP_SECONDS = 20
"""How long a worker may take to end, before it is ended: a supervisor's patience is longer."""


def initialise_database(
    settings: Settings, *, statement_timeout_seconds: int = STATEMENT_TIMEOUT_SECONDS
) -> None:
    """Says which database `sav.models` talks to; connects to nothing yet."""
    if settings.DB_CONNECTION == "sqlite":
        database.initialize(sqlite_database(settings.sqlite_path))
        return
    database.initialize(
        mysql_database(
            host=settings.DB_HOST,
            port=settings.DB_PORT,
            name=settings.DB_DATABASE,
            username=settings.DB_USERNAME,
            password=settings.DB_PASSWORD.get_secret_value(),
            statement_timeout_seconds=statement_timeout_seconds,
        )
    )


def read_replica(settings: Settings) -> Replica | None:
    """Where reads of the web processes may go, if there is such a server; connects to nothing yet."""
    from sav.models.replica import PATIENCE_SECONDS, STATEMENT_SECONDS, Replica

    if settings.DB_REPLICA_HOST is None:
        return None
    return Replica(
        mysql_database(
            host=settings.DB_REPLICA_HOST,
            port=settings.DB_REPLICA_PORT,
            name=settings.DB_DATABASE,
            username=settings.DB_USERNAME,
            password=settings.DB_PASSWORD.get_secret_value(),
            handshake_timeout_seconds=PATIENCE_SECONDS,
            statement_timeout_seconds=STATEMENT_SECONDS,
        )
    )


def start_traces(settings: Settings) -> None:
    """Sends traces from this process, when a collector is named; after its fork, before its work."""
    start_tracing(
        endpoint=settings.OTEL_EXPORTER_OTLP_ENDPOINT,
        service_name=settings.APP_NAME,
        environment=settings.APP_ENV,
    )


def web_hints(settings: Settings) -> HintSender:
    """From now on the writes of this process hint to the workers, through RabbitMQ."""
    from sav.actors.broker import HintDispatcher, effects_queue, rabbitmq_broker
    from sav.actors.hint_sender import HintSender

    broker = rabbitmq_broker(settings)
    sender = HintSender(HintDispatcher(broker, queue_name=effects_queue(settings)))
    hints.listen(sender)
    return sender


def worker() -> None:
    """What `dramatiq sav.bootstrap:worker` calls in each of its processes."""
    import dramatiq

    from sav.actors.middleware import BesideWorker, StopDeadline

    try:
        settings = load_settings()
    except InvalidSettings as error:
        sys.stderr.write(f"These environment variables are wrong:\n{error}\n")
        sys.exit(EXIT_WRONG_SETTINGS)
    configure_logs(settings.APP_ENV, settings.APP_NAME, settings.LOG_LEVEL)
    initialise_database(settings)
    start_traces(settings)
    broker = worker_broker(settings)
    # Not a part of the broker itself: only a process that is nothing but a worker may be ended.
    broker.add_middleware(StopDeadline(seconds=WORKER_STOP_SECONDS), before=BesideWorker)
    dramatiq.set_broker(broker)


def worker_broker(settings: Settings) -> dramatiq.Broker:
    """The broker with every actor, and with a relay that lives as long as the worker."""
    from sav.actors.broker import HintDispatcher, effects_queue, rabbitmq_broker
    from sav.actors.effects import declare_actors
    from sav.actors.event_tap import EventTap
    from sav.actors.hint_sender import HintSender
    from sav.actors.middleware import BesideWorker
    from sav.actors.relay import Relay
    from sav.telemetry.exposition import MetricsPort

    broker = rabbitmq_broker(settings)
    dispatch = HintDispatcher(broker, queue_name=effects_queue(settings))
    companions: list[Companion] = [Relay(dispatch), EventTap(settings), TracingEnd()]
    if settings.WORKER_METRICS_PORT is not None:
        companions.append(MetricsPort(settings.WORKER_METRICS_PORT, host=settings.APP_HOST))
    broker.add_middleware(BesideWorker(*companions))
    declare_actors(broker, _effects(settings, _publish(settings)), queue_name=effects_queue(settings))
    # What an effect writes may owe effects in its turn.
    hints.listen(HintSender(dispatch))
    return broker


class Embedded:
    """Workers and a relay inside one process, for `sav up`."""

    def __init__(self, settings: Settings) -> None:
        from sav.actors.embedded_workers import EmbeddedWorkers, LocalDispatch
        from sav.actors.event_tap import EventTap
        from sav.actors.relay import Relay
        from sav.domain.effects import PUBLISH_EVENT

        publish = _publish(settings)
        self._workers = EmbeddedWorkers(
            _effects(settings, publish),
            threads=settings.WORKER_THREADS,
            accepts=lambda effect: effect != PUBLISH_EVENT or not publish.is_known_to_be_down,
            release=publish.release,
        )
        self._companions: list[Companion] = [Relay(LocalDispatch(self._workers))]
        if settings.SAV_BROKER == "rabbitmq":
            self._companions.append(EventTap(settings))

    def start(self) -> None:
        hints.listen(self._workers.hint)
        self._workers.start()
        for companion in self._companions:
            companion.start()

    def stop(self, *, timeout_seconds: float) -> bool:
        """Returns whether everything ended in time; what did not is done after the next start."""
        ended = [companion.stop(timeout_seconds=timeout_seconds) for companion in self._companions]
        return self._workers.stop(timeout_seconds=timeout_seconds) and all(ended)


def embedded(settings: Settings) -> Embedded:
    """Does the effects in this process; events go to RabbitMQ, or with the embedded broker into a file."""
    return Embedded(settings)


def _effects(settings: Settings, publish: Publish) -> dict[str, Effect]:
    from sav.actors.effects import Means, effect_table
    from sav.actors.event_file import EventFile
    from sav.actors.outside_traces import OutsideTraces
    from sav.actors.send_mail import Mails
    from sav.operations.assign_open_tickets import AssignmentRules
    from sav.operations.escalate_ticket import EscalationRules

    return effect_table(
        Means(
            publish=publish,
            number_prefix=settings.TICKET_NUMBER_PREFIX,
            escalation=EscalationRules(
                timeout=timedelta(hours=settings.ESCALATION_TIMEOUT_HOURS),
                reassign=settings.ESCALATION_REASSIGN,
                assignment=AssignmentRules(
                    enabled=settings.AUTO_ASSIGN,
                    except_categories=frozenset(settings.AUTO_ASSIGN_EXCEPT_CATEGORIES),
                ),
            ),
            storage=object_store(settings),
            sweep_age=timedelta(hours=settings.FILE_SWEEP_AGE_HOURS),
            mails=Mails(rules=mail_rules(settings), office=_post_office(settings)),
            quiet_for=timedelta(days=settings.AUTO_CLOSE_RESOLVED_DAYS),
            scanner=virus_scanner(settings),
            traces=OutsideTraces(settings, event_file=publish if isinstance(publish, EventFile) else None),
            exports_kept_for=timedelta(days=settings.PRIVACY_EXPORT_DAYS),
            mails_kept_for=timedelta(days=settings.MAIL_DELIVERY_RETENTION_DAYS),
            service_name=settings.APP_NAME,
        )
    )


def mail_rules(settings: Settings) -> MailRules:
    """What mails say of us, and where they lead."""
    from sav.domain.addresses import named_address
    from sav.mail.compose import Sender
    from sav.mail.rules import MailRules

    name, address = named_address(settings.MAIL_FROM)
    return MailRules(
        sender=Sender(name=name, address=address, timezone=ZoneInfo(settings.DESK_TIMEZONE)),
        desk_address=named_address(settings.MAIL_DESK)[1] if settings.MAIL_DESK else None,
        default_locale=settings.DEFAULT_LOCALE,
        public_url=settings.public_url,
        ticket_url=settings.TICKET_URL,
    )


def mail_server(settings: Settings) -> MailServer | None:
    """The mail server, if there is one."""
    from sav.mail.smtp import MailServer

    if settings.SMTP_HOST is None:
        return None
    password = settings.SMTP_PASSWORD
    return MailServer(
        host=settings.SMTP_HOST,
        port=settings.SMTP_PORT,
        encryption=settings.SMTP_TLS,
        username=settings.SMTP_USERNAME,
        password=password.get_secret_value() if password else None,
    )


def _post_office(settings: Settings) -> PostOffice | None:
    from sav.mail.smtp import PostOffice

    server = mail_server(settings)
    return PostOffice(server) if server else None


def _publish(settings: Settings) -> Publish:
    if settings.SAV_BROKER == "embedded":
        from sav.actors.event_file import EventFile

        return EventFile(settings.SAV_DATA_DIR / EVENT_FILE)
    from sav.actors.event_exchange import EventExchange

    return EventExchange(settings)


def web_application(settings: Settings) -> falcon.App[Any, Any]:
    """The HTTP tier of a process whose writes hint to the workers through RabbitMQ."""
    start_traces(settings)
    web_hints(settings)
    return http_application(settings)


def http_application(settings: Settings) -> falcon.App[Any, Any]:
    """The HTTP tier on a database that `initialise_database` has named."""
    from importlib.metadata import version

    from sav.actors.broker_probe import BrokerProbe, NoBroker
    from sav.actors.queue_depths import QueueDepths
    from sav.http.answer_caches import AnswerCaches
    from sav.http.app import create_app
    from sav.http.desk import Desk
    from sav.http.forms import UploadRoom
    from sav.http.rate_limits import PublicDoor
    from sav.http.roster_door import RosterDoor

    replica = read_replica(settings)
    return create_app(
        Desk(
            service_name=settings.APP_NAME,
            version=version("sav-service"),
            is_behind_tls=settings.public_url.startswith("https://"),
            verifier=_verifier(settings),
            roster=RosterDoor(default_capacity=settings.AGENT_DEFAULT_CAPACITY),
            clock=lambda: datetime.now(UTC),
            default_locale=settings.DEFAULT_LOCALE,
            number_prefix=settings.TICKET_NUMBER_PREFIX,
            customer_maximum_priority=settings.CUSTOMER_MAX_PRIORITY,
            agent_default_capacity=settings.AGENT_DEFAULT_CAPACITY,
            storage=object_store(settings),
            uploads=UploadRoom(maximum_file_bytes=settings.maximum_file_bytes),
            arrival="quarantined" if settings.CLAMAV_HOST else "available",
            broker=NoBroker() if settings.SAV_BROKER == "embedded" else BrokerProbe(settings),
            public_door=PublicDoor(_public_limits(settings)),
            caches=AnswerCaches(_cache_bounds(settings), replica),
            replica=replica,
            queue_depths=None if settings.SAV_BROKER == "embedded" else QueueDepths(settings),
        )
    )


def object_store(settings: Settings) -> ObjectStore:
    """Where attachments are kept."""
    if settings.SAV_STORAGE == "disk":
        from sav.storage.disk import DiskStore

        return DiskStore(directory=settings.SAV_DATA_DIR / "attachments", public_url=settings.public_url)
    from sav.storage.s3 import S3Store

    return S3Store(
        endpoint=settings.MINIO_ENDPOINT,
        access_key=settings.MINIO_ACCESS_KEY,
        secret_key=settings.MINIO_SECRET_KEY.get_secret_value(),
        bucket=settings.MINIO_BUCKET,
        region=settings.MINIO_REGION,
        public_endpoint=settings.public_storage_url,
    )


def _cache_bounds(settings: Settings) -> CacheBounds:
    from sav.http.answer_caches import CacheBounds

    return CacheBounds(
        megabytes=settings.CACHE_MEMORY_MB,
        list_seconds=settings.CACHE_LIST_SECONDS,
        detail_seconds=settings.CACHE_DETAIL_SECONDS,
        statistics_seconds=settings.CACHE_STATISTICS_SECONDS,
        attachment_seconds=settings.CACHE_ATTACHMENT_SECONDS,
    )


def _public_limits(settings: Settings) -> PublicLimits:
    from sav.http.rate_limits import PublicLimits

    return PublicLimits(
        requests_per_minute=settings.PUBLIC_REQUESTS_PER_MINUTE,
        requests_per_minute_overall=settings.PUBLIC_REQUESTS_PER_MINUTE_OVERALL,
        wrong_guesses_per_minute=settings.PUBLIC_WRONG_GUESSES_PER_MINUTE,
        tickets_per_hour=settings.PUBLIC_TICKETS_PER_HOUR,
        files_per_hour=settings.PUBLIC_FILES_PER_HOUR,
        trusted_proxies=settings.SAV_TRUSTED_PROXIES,
    )


def virus_scanner(settings: Settings) -> VirusScanner:
    """Who passes files."""
    from sav.storage.virus_scanner import Clamd, NoScanner

    if settings.CLAMAV_HOST is None:
        return NoScanner()
    return Clamd(host=settings.CLAMAV_HOST, port=settings.CLAMAV_PORT)


def _verifier(settings: Settings) -> TokenVerifier:
    from sav.http.authentication import JwksKeys, SharedSecret, TokenVerifier

    secret = settings.JWT_SECRET
    keys = SharedSecret(secret.get_secret_value()) if secret else JwksKeys(settings.jwks_url)
    return TokenVerifier(keys, issuer=settings.JWT_ISSUER, audience=settings.JWT_AUDIENCE)
