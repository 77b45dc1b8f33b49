"""`sav up`: the whole service in one process, with nothing else to install or start."""

import errno
import fcntl
import http.client
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from sav import bootstrap
from sav.http.forms import FILES_A_REQUEST
from sav.launch.cannot_start import CannotStart
from sav.launch.embedded_http import EmbeddedHttpServer
from sav.launch.embedded_settings import make_data_directory
from sav.launch.heaps import share_heaps
from sav.launch.processes import StopSignals
from sav.launch.startup import prepare_database
from sav.launch.welcome import own_address, welcome
from sav.models.database import connection
from sav.operations.due_effects import forget_leases
from sav.scheduler import Scheduler
from sav.settings import Settings
from sav.telemetry.tracing import stop_tracing

HTTP_STOP_TIMEOUT_SECONDS = 8
WORKERS_STOP_TIMEOUT_SECONDS = 5
READY_TIMEOUT_SECONDS = 20
"""How long our own `/health` may take to answer for the first time."""
READY_POLL_SECONDS = 0.05
ACCEPT_QUEUE = 128
REQUEST_OVERHEAD_BYTES = 1024 * 1024

log = structlog.get_logger(__name__)


def run_everything(settings: Settings) -> None:
    """Runs until SIGTERM or Ctrl-C; raises `CannotStart` with what to do about it."""
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings.SAV_DATA_DIR))
        listener = stack.enter_context(_listener(settings))
        share_heaps()
        prepare_database(settings)
        _forget_the_dead(settings)
        bootstrap.start_traces(settings)
        stack.callback(stop_tracing)
        stop_signals = StopSignals()
        server = EmbeddedHttpServer(
            bootstrap.http_application(settings),
            listener,
            threads=settings.WEB_THREADS,
            maximum_body_bytes=_maximum_body_bytes(settings),
        )
        _start_background(settings, stack)
        server.start()
        stack.callback(server.stop, timeout_seconds=HTTP_STOP_TIMEOUT_SECONDS)
        _wait_until_healthy(settings)
        click.echo(welcome(settings))
        stop_signals.wait()
        log.info("stopping", action="stop")


def _forget_the_dead(settings: Settings) -> None:
    # Nobody else can open this file's database: what is leased was left by a process that was killed.
    if settings.DB_CONNECTION == "sqlite":
        with connection():
            forget_leases(now=datetime.now(UTC))


def _start_background(settings: Settings, stack: ExitStack) -> None:
    workers = bootstrap.embedded(settings)
    workers.start()
    stack.callback(workers.stop, timeout_seconds=WORKERS_STOP_TIMEOUT_SECONDS)
    scheduler = Scheduler(settings)
    scheduler.start()
    stack.callback(scheduler.stop)


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Holds the data directory; the kernel lets go of it however the process ends."""
    make_data_directory(directory)
    with open(directory / "up.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotStart(
                f"The service already runs on the data in {directory} (process {lock.read().strip()}).\n"
                "Stop it first, or start this one on other data, for example: "
                "SAV_DATA_DIR=./var2 APP_PORT=8107 ./scripts/up"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _listener(settings: Settings) -> socket.socket:
    address = (settings.APP_HOST, settings.APP_PORT)
    family = socket.AF_INET6 if ":" in settings.APP_HOST else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=ACCEPT_QUEUE)
    except OSError as error:
        problem = "it is already in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise CannotStart(
            f"Cannot listen on port {settings.APP_PORT} of {settings.APP_HOST}: {problem}.\n"
            "Stop whatever uses the port, or choose another one, for example: APP_PORT=8107 ./scripts/up"
        ) from None


def _maximum_body_bytes(settings: Settings) -> int:
    # The application has its own, finer limits; this one bounds what waitress stores before it is asked.
    return settings.maximum_file_bytes * FILES_A_REQUEST + REQUEST_OVERHEAD_BYTES


def _wait_until_healthy(settings: Settings) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT_SECONDS
    while not _is_healthy(settings):
        if time.monotonic() > give_up_at:
            raise CannotStart("The service started but does not answer on its own port; see the log above.")
        time.sleep(READY_POLL_SECONDS)


def _is_healthy(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(
        own_address(settings), settings.APP_PORT, timeout=READY_TIMEOUT_SECONDS
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
