"""What happens around each message in a worker process."""

import os
import threading
from typing import Any, Protocol

import dramatiq
import structlog
from dramatiq.middleware import Middleware, SkipMessage

from sav.models.database import DatabaseUnavailable, drop_connection, ensure_connection

log = structlog.get_logger(__name__)


class DatabaseConnection(Middleware):
    """Each worker thread keeps one database connection, which is checked before each message."""

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        try:
            ensure_connection()
        except DatabaseUnavailable as error:
            # The message is only a hint; the relay finds the token it is about, once the database is back.
            raise SkipMessage("the database is unavailable") from error

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: Any,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if exception is not None and not isinstance(exception, Exception):
            # A time limit breaks in anywhere: an answer may not have been read.
            drop_connection()

    def before_worker_thread_shutdown(self, broker: dramatiq.Broker, thread: Any) -> None:
        drop_connection()


class LogContext(Middleware):
    """Each log line says on behalf of which message it was written."""

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(action=message.actor_name, job_id=message.message_id)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: Any,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        structlog.contextvars.clear_contextvars()

    def after_skip_message(self, broker: dramatiq.Broker, message: Any) -> None:
        structlog.contextvars.clear_contextvars()


class Companion(Protocol):
    """A thread of its own, which shares the work with those of other processes."""

    def start(self) -> None: ...

    def stop(self, *, timeout_seconds: float = ...) -> bool: ...


class BesideWorker(Middleware):
    """What runs beside the threads of each worker process, for as long as they do."""

    def __init__(self, *companions: Companion) -> None:
        self._companions = companions

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        for companion in self._companions:
            companion.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        for companion in self._companions:
            companion.stop()


class StopDeadline(Middleware):
    """Ends the process when its stop takes too long: connections to a silent broker close only by timeouts.

    Whatever it was doing then is done by the others, as after a kill. Register it before what is stopped.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        timer = threading.Timer(self._seconds, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        log.warning("the worker did not stop in time", action="stop", seconds=self._seconds)
        os._exit(0)
