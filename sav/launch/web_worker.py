"""gunicorn's threads, none of which a client can hold for long by being slow.

By itself gunicorn gives a thread for five seconds to a connection that sends nothing, without end to one that
stops in the middle of a head or does not take its answer, and its main loop for two to one that does not
close: as many such clients as there are threads, and nobody else is answered. A proxy in front that takes
requests whole keeps them away altogether; here each is let go after a while. How long a body may take is
said where it is read (`sav/http/request_body.py`).
"""

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]

HEAD_SECONDS = 5.0
"""How long a request's line and headers may take, from their first byte."""
TAKING_GRACE_SECONDS = 20.0
SLOWEST_TAKING_BYTES_A_SECOND = 64 * 1024
"""An answer must be taken within the grace and what it takes at this rate."""
LINGER_SECONDS = 1.0
LINGER_BYTES = 64 * 1024
"""How long, and for how much more, we listen to a client that was answered before it had sent everything."""

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_PIECE_BYTES = 4096


class WebWorker(gthread.ThreadWorker):  # type: ignore[misc]
    """gthread with deadlines."""

    def handle(self, conn: Any) -> Any:
        if not conn.initialized and not conn.wait_for_data(0):
            # The main loop waits for its first byte, without a thread.
            return gthread._DEFER
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(conn.sock)
        conn.sock.await_head()
        is_kept_alive = super().handle(conn)
        if not is_kept_alive:
            # Else the main loop would, and keep everybody waiting.
            conn.sock.listen_to_the_end()
        return is_kept_alive

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.head_has_come()
        return super().handle_request(req, conn)


class PatientSocket:
    """A socket whose patience ends; otherwise the one that it is made of."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._give_up_at: float | None = None
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def await_head(self) -> None:
        """From now on a head is expected."""
        self._give_up_at = time.monotonic() + HEAD_SECONDS

    def head_has_come(self) -> None:
        """What follows is a body, whose reader has deadlines of its own."""
        self._give_up_at = None
        self._connection.settimeout(None)

    def recv(self, *arguments: int) -> bytes:
        if self._is_over:
            return b""
        if self._give_up_at is None:
            received: bytes = self._connection.recv(*arguments)
            return received
        try:
            self._connection.settimeout(_left(self._give_up_at))
            received = self._connection.recv(*arguments)
        except TimeoutError:
            with suppress(OSError):
                self._connection.sendall(_TOO_SLOW)
            # For this gunicorn closes without a word in the log: anybody can be slow.
            raise NoMoreData from None
        return received

    def sendall(self, content: bytes) -> None:
        self._connection.settimeout(TAKING_GRACE_SECONDS + len(content) / SLOWEST_TAKING_BYTES_A_SECOND)
        try:
            self._connection.sendall(content)
        except TimeoutError:
            raise BrokenPipeError(32, "the client does not take its answer") from None
        finally:
            self._connection.settimeout(None)

    def listen_to_the_end(self) -> None:
        """Says that nothing more comes, and hears what is still on its way: else the answer might be lost."""
        give_up_at, left = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            while left > 0:
                self._connection.settimeout(_left(give_up_at))
                piece = self._connection.recv(_PIECE_BYTES)
                if not piece:
                    break
                left -= len(piece)
        self._is_over = True


def _left(give_up_at: float) -> float:
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
