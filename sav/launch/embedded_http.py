"""An HTTP server inside this process: waitress, with an end that lets requests finish."""

import socket
import threading
import time
from typing import Any

from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]
from waitress.utilities import RequestEntityTooLarge  # type: ignore[import-untyped]

IDLE_CONNECTION_SECONDS = 75
CONNECTIONS = 500
LOOP_SECONDS = 1.0
"""How often the server looks around when nothing happens."""
CLOSING_LOOP_SECONDS = 0.05
LEFTOVER_THREADS_SECONDS = 1


class _Request(HTTPRequestParser):  # type: ignore[misc]
    """A request as the client has sent it: what is wrong with its length is the application's to say."""

    error: Any = None

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            # Not heard to its end, so nothing can follow it.
            self.error = None
            self.headers["CONNECTION"] = "close"
        if self.completed and self.chunked:
            # The server has counted it by now; the client gave no length.
            self.headers.pop("CONTENT_LENGTH", None)
            self.headers["TRANSFER_ENCODING"] = "chunked"
        return consumed


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Request


class EmbeddedHttpServer:
    """Serves one WSGI application on a listening socket, with threads of its own."""

    def __init__(
        self, application: Any, listener: socket.socket, *, threads: int, maximum_body_bytes: int
    ) -> None:
        self._connections: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._give_up_at = 0.0
        self._server = create_server(
            application,
            map=self._connections,
            sockets=[listener],
            threads=threads,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_CONNECTION_SECONDS,
            max_request_body_size=maximum_body_bytes,
            asyncore_use_poll=True,
            # The application itself decides whose X-Forwarded-For it believes (SAV_TRUSTED_PROXIES).
            clear_untrusted_proxy_headers=False,
            # No `Server` header: what serves is nobody's business.
            ident=None,
        )
        self._server.channel_class = _Channel
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, timeout_seconds: float) -> None:
        """Takes no new connection, lets the requests that have begun finish, and closes everything."""
        self._give_up_at = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._server.pull_trigger()
        self._thread.join(timeout_seconds + LEFTOVER_THREADS_SECONDS + LOOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._look_around(LOOP_SECONDS)
        # Only its listening socket: its own close() would end the trigger that the threads still pull.
        wasyncore.dispatcher.close(self._server)
        while self._close_idle_channels() and time.monotonic() < self._give_up_at:
            self._look_around(CLOSING_LOOP_SECONDS)
        self._server.task_dispatcher.shutdown(timeout=LEFTOVER_THREADS_SECONDS)
        wasyncore.close_all(self._connections, ignore_all=True)

    def _look_around(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._connections, count=1)

    def _close_idle_channels(self) -> int:
        """Closes the connections that are between requests; returns how many are left."""
        channels = list(self._server.active_channels.values())
        for channel in channels:
            if not channel.requests and channel.request is None and not channel.total_outbufs_len:
                channel.will_close = True
        return len(channels)
