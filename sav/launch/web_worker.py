"""gunicorn's threads, none of which a client can hold for long by being slow.

By itself gunicorn gives a thread for five seconds to a connection that sends nothing, without end to one that
stops in the middle of a head or does not take its answer, and its main loop for two to one that does not
close: as many such clients as there are threads, and nobody else is answered. A proxy in front that takes
requests whole keeps them away altogether; here each is let go after a while. How long a body may take is
said where it is read (`sav/http/request_body.py`).

Nor does a busy connection go through the main loop for each of its requests: that would be two more threads
that take turns with the interpreter, which for a quick answer is most of what it costs.
"""

import select
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
STAY_MILLISECONDS = 5
"""How long a thread waits for the next request of the connection that it has just answered, while others are
free: whoever comes has one in any case."""

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_PIECE_BYTES = 4096


class WebWorker(gthread.ThreadWorker):  # type: ignore[misc]
    """gthread with deadlines, whose threads stay with connections that are busy."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._at_work: set[Any] = set()

    def handle(self, conn: Any) -> Any:
        if not conn.initialized and not conn.wait_for_data(0):
            # The main loop waits for its first byte, without a thread.
            return gthread._DEFER
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(conn.sock)
        self._at_work.add(conn)
        try:
            is_kept_alive = self._answer(conn)
            while is_kept_alive and self._has_more_at_once(conn):
                is_kept_alive = self._answer(conn)
        finally:
            self._at_work.discard(conn)
        if not is_kept_alive:
            # Else the main loop would, and keep everybody waiting.
            conn.sock.listen_to_the_end()
        return is_kept_alive

    def _answer(self, conn: Any) -> Any:
        conn.sock.await_head()
        return super().handle(conn)

    def _has_more_at_once(self, conn: Any) -> bool:
        is_another_free = len(self._at_work) < self.cfg.threads
        return self.alive and is_another_free and bool(conn.sock.poll(STAY_MILLISECONDS))

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.head_has_come()
        try:
            return super().handle_request(req, conn)
        finally:
            conn.sock.send_held()


class PatientSocket:
    """A socket whose patience ends; otherwise the one that it is made of.

    What is there is taken, and what there is room for is given, without asking for how long it may take; and
    an answer's head goes with its body.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._give_up_at: float | None = None
        self._timeout: float | None = None
        self._is_over = False
        self._holds_next = False
        self._held = b""
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        return self._timeout

    def poll(self, milliseconds: int) -> bool:
        """Whether something comes within that time: bytes, or the end."""
        return bool(self._poll.poll(milliseconds))

    def await_head(self) -> None:
        """From now on a head is expected."""
        self._give_up_at = time.monotonic() + HEAD_SECONDS

    def head_has_come(self) -> None:
        """What follows is a body, whose reader has deadlines of its own, and then the head of an answer."""
        self._give_up_at = None
        self._holds_next = True

    def recv(self, size: int) -> bytes:
        if self._is_over:
            return b""
        try:
            return self._received(
                size, self._timeout if self._give_up_at is None else _left(self._give_up_at)
            )
        except TimeoutError:
            if self._give_up_at is None:
                raise
            with suppress(OSError):
                self._connection.sendall(_TOO_SLOW)
            # For this gunicorn closes without a word in the log: anybody can be slow.
            raise NoMoreData from None

    def _received(self, size: int, timeout: float | None) -> bytes:
        received: bytes
        try:
            received = self._connection.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._connection.settimeout(timeout)
            try:
                received = self._connection.recv(size)
            finally:
                self._connection.settimeout(None)
        return received

    def sendall(self, content: bytes) -> None:
        if self._holds_next:
            self._held, self._holds_next = content, False
            return
        content, self._held = self._held + content, b""
        try:
            sent = self._connection.send(content, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(content):
            self._send_slowly(memoryview(content)[sent:])

    def sendfile(self, *arguments: Any, **options: Any) -> Any:
        self.send_held()
        return self._connection.sendfile(*arguments, **options)

    def send_held(self) -> None:
        """The head of an answer that has no body."""
        self._holds_next = False
        if self._held:
            self.sendall(b"")

    def _send_slowly(self, content: memoryview) -> None:
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
