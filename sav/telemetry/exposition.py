"""A port for Prometheus, in processes that answer no other HTTP."""

import errno
import logging
import threading
from collections.abc import Sequence
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from sav.telemetry.metrics import counted_registry

log = structlog.get_logger(__name__)


class MetricsPort:
    """Serves what the processes of this kind have counted, on one port of the machine.

    Of several worker processes the first takes the port and answers for all; when it dies its siblings are
    ended too (Dramatiq does so), and the next ones begin anew.
    """

    def __init__(self, port: int, *, host: str, also: Sequence[Collector] = ()) -> None:
        self._port = port
        self._host = host
        self._also = also
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Never raises: nobody shall be without workers because a port is taken."""
        try:
            self._server, self._thread = start_http_server(self._port, self._host, self._registry())
        except OSError as error:
            # By a sibling, as a rule.
            taken = error.errno == errno.EADDRINUSE
            log.log(
                logging.INFO if taken else logging.WARNING,
                "the metrics port is taken" if taken else "the metrics port cannot be opened",
                action="measure",
                port=self._port,
            )

    def stop(self, *, timeout_seconds: float = 1.0) -> bool:
        """Closes the port; returns whether that came to its end."""
        if self._server is None or self._thread is None:
            return True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _registry(self) -> CollectorRegistry:
        registry = counted_registry()
        for collector in self._also:
            registry.register(collector)
        return registry
