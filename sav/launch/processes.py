"""The processes of a real deployment: each runs in the foreground until SIGTERM or Ctrl-C.

Each loads what it alone needs.
"""

import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import NoReturn

from sav import bootstrap
from sav.launch.cannot_start import CannotStart
from sav.launch.heaps import share_heaps
from sav.launch.startup import prepare_database, prepare_storage
from sav.models.database import connection
from sav.settings import Settings

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
    share_heaps()
    prepare_database(settings)
    prepare_storage(settings)
    from sav.launch.web_server import WebServer

    WebServer(settings).run()


def run_workers(settings: Settings) -> NoReturn:
    """Becomes dramatiq's own command: `WORKER_PROCESSES` with `WORKER_THREADS` threads each, all queues."""
    if settings.SAV_BROKER == "embedded":
        raise CannotStart(
            "With SAV_BROKER=embedded the workers are threads of `sav up`; there are no others."
        )
    share_heaps()
    prepare_database(settings)
    os.execv(sys.executable, [sys.executable, *_worker_command(settings)])  # noqa: S606


def run_scheduler(settings: Settings) -> None:
    """One scheduler; of several, on any number of machines, one leads."""
    from sav.scheduler import LeaderGauge, Scheduler
    from sav.telemetry.exposition import MetricsPort

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
    from sav.scheduler import UnknownJob, tick_now

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
