"""gunicorn as this service runs it: a few processes, each with threads that own a database connection."""

import os
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from sav import bootstrap
from sav.settings import Settings
from sav.telemetry.metrics import forget_process
from sav.telemetry.process_files import SHARED_MEMORY

KEEPALIVE_SECONDS = 75
"""Longer than the 60 seconds of common proxies: they, not we, close an idle connection."""
HTTP_STOP_TIMEOUT_SECONDS = 20
"""How long requests may go on after SIGTERM: longer than any statement of the database."""
WEB_PROCESS_SILENCE_SECONDS = 60
"""A web process that shows no sign of life for so long is killed and replaced."""

MAXIMUM_REQUEST_LINE_BYTES = 8190
MAXIMUM_HEADERS = 64
MAXIMUM_HEADER_BYTES = 8190


class _StructuredLogger(Logger):  # type: ignore[misc]
    """gunicorn's own messages, handed to the service's logs instead of written in a format of their own."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class WebServer(BaseApplication):  # type: ignore[misc]
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
        "worker_class": "sav.launch.web_worker.WebWorker",
        "workers": settings.WEB_PROCESSES,
        "threads": settings.WEB_THREADS,
        # With one shared socket, one process may end up with all the connections that are kept alive.
        "reuse_port": True,
        "keepalive": KEEPALIVE_SECONDS,
        # The sign of life that each process gives: on a disk it may wait behind other writes.
        "worker_tmp_dir": str(SHARED_MEMORY) if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else None,
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
        "child_exit": lambda _server, process: forget_process(process.pid),
    }
