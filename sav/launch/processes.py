"""The processes of a real deployment: each runs in the foreground until SIGTERM or Ctrl-C."""

import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from sav import bootstrap
from sav.launch.cannot_start import CannotStart
from sav.launch.startup import prepare_database
from sav.models.database import connection
from sav.scheduler import LeaderGauge, Scheduler, UnknownJob, tick_now
from sav.settings import Settings
from sav.telemetry.exposition import MetricsPort

KEEPALIVE_SECONDS = 75
"""Longer than the 60 seconds of common proxies: they, not we, close an idle connection."""
HTTP_STOP_TIMEOUT_SECONDS = 20
"""How long requests may go on after SIGTERM: longer than any statement of the database."""
WEB_PROCESS_SILENCE_SECONDS = 60
"""A web process that shows no sign of life for so long is killed and replaced."""

MAXIMUM_REQUEST_LINE_BYTES = 8190
MAXIMUM_HEADERS = 64
MAXIMUM_HEADER_BYTES = 8190

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_POLL_SECONDS = 0.2


class StopSignals:
    """From its creation on, SIGTERM and Ctrl-C no longer end the process but `wait`."""

    def __init__(self) -> None:
        self._received = False
        for number in STOP_SIGNALS:
            signal.signal(number, self._receive)

    def wait(self) -> None:
        # A flag and a poll: what a handler may safely do with locks and events is a short list.
        while not self._received:
            time.sleep(STOP_POLL_SECONDS)

    def _receive(self, _number: int, _frame: object) -> None:
        self._received = True


def serve_http(settings: Settings) -> None:
    """`WEB_PROCESSES` gunicorn processes with `WEB_THREADS` threads each, on `APP_HOST`:`APP_PORT`."""
    prepare_database(settings)
    _WebServer(settings).run()


def run_workers(settings: Settings) -> NoReturn:
    """Becomes dramatiq's own command: `WORKER_PROCESSES` with `WORKER_THREADS` threads each, all queues."""
    if settings.SAV_BROKER == "embedded":
        raise CannotStart(
            "With SAV_BROKER=embedded the workers are threads of `sav up`; there are no others."
        )
    prepare_database(settings)
    os.execv(sys.executable, [sys.executable, *_worker_command(settings)])  # noqa: S606


def run_scheduler(settings: Settings) -> None:
    """One scheduler; of several, on any number of machines, one leads."""
    prepare_database(settings)
    stop_signals = StopSignals()
    with ExitStack() as stack:
        scheduler = Scheduler(settings)
        if settings.SCHEDULER_METRICS_PORT is not None:
            port = MetricsPort(
                settings.SCHEDULER_METRICS_PORT, host=settings.APP_HOST, also=[LeaderGauge(scheduler)]
            )
            port.start()
            stack.callback(port.stop)
        scheduler.start()
        stack.callback(scheduler.stop)
        stop_signals.wait()


def run_tick(settings: Settings, job: str) -> None:
    """Makes one job due now; raises `CannotStart` when there is no such job."""
    prepare_database(settings)
    try:
        with connection():
            tick_now(job)
    except UnknownJob as error:
        raise CannotStart(str(error)) from None


def _worker_command(settings: Settings) -> list[str]:
    return [
        "-m",
        "dramatiq",
        "sav.bootstrap:worker",
        f"--processes={settings.WORKER_PROCESSES}",
        f"--threads={settings.WORKER_THREADS}",
        f"--worker-shutdown-timeout={bootstrap.WORKER_STOP_SECONDS * 1000}",
        # The workers' logs are set up by the service, as everywhere else.
        "--skip-logging",
    ]


class _StructuredLogger(Logger):  # type: ignore[misc]
    """gunicorn's own messages, handed to the service's logs instead of written in a format of their own."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _WebServer(BaseApplication):  # type: ignore[misc]
    """gunicorn, set up by the settings alone: no configuration file, no GUNICORN_CMD_ARGS."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in _web_options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        # Called in each web process: a connection that is open across a fork belongs to nobody.
        bootstrap.initialise_database(self._settings)
        return bootstrap.web_application(self._settings)


def _web_options(settings: Settings) -> dict[str, Any]:
    host = f"[{settings.APP_HOST}]" if ":" in settings.APP_HOST else settings.APP_HOST
    return {
        "bind": f"{host}:{settings.APP_PORT}",
        "worker_class": "gthread",
        "workers": settings.WEB_PROCESSES,
        "threads": settings.WEB_THREADS,
        # With one shared socket, one process may end up with all the connections that are kept alive.
        "reuse_port": True,
        "keepalive": KEEPALIVE_SECONDS,
        "timeout": WEB_PROCESS_SILENCE_SECONDS,
        "graceful_timeout": HTTP_STOP_TIMEOUT_SECONDS,
        "limit_request_line": MAXIMUM_REQUEST_LINE_BYTES,
        "limit_request_fields": MAXIMUM_HEADERS,
        "limit_request_field_size": MAXIMUM_HEADER_BYTES,
        "preload_app": False,
        # Nobody uses its remote control, and it would want a directory to write to.
        "control_socket_disable": True,
        "proc_name": settings.APP_NAME,
        "loglevel": settings.LOG_LEVEL,
        "logger_class": _StructuredLogger,
        "accesslog": None,
    }
