"""The virus scanner: ClamAV's daemon, which is sent a file's bytes and says what it has found.

The libraries that speak to it are under the GPL, know no IPv6, send a thousand bytes at a time and take no
answer for a clean file's. Here nothing passes but the one sentence that says so.
"""

import re
import socket
import struct
import time
from collections.abc import Iterable
from typing import Protocol

CONNECT_TIMEOUT_SECONDS = 2.0
SCAN_TIMEOUT_SECONDS = 60.0
"""How long one file may take in all, sent and scanned."""
PING_TIMEOUT_SECONDS = 3.0
PAUSE_SECONDS = 5.0
"""How long a scanner that did not answer is left in peace: files that wait for it are many."""
LONGEST_ANSWER_BYTES = 1024
SIGNATURE_LENGTH = 100

_CLEAN = "stream: OK"
_FOUND = re.compile(r"stream: (.+) FOUND", re.DOTALL)
_LENGTH = struct.Struct(">I")
_END_OF_STREAM = _LENGTH.pack(0)


class ScannerUnavailable(Exception):
    """The scanner was not reached, or did not say that the file is clean; the message says why, for logs."""


class VirusScanner(Protocol):
    """Looks for viruses in a file."""

    def find_virus(self, chunks: Iterable[bytes]) -> str | None:
        """The name of what it has found in a file, or None when the file is clean.

        Raises `ScannerUnavailable` whenever it is neither, and what reading the chunks raises.
        """


class NoScanner:
    """Where no scanner is configured: whatever waits for one goes on waiting."""

    def find_virus(self, chunks: Iterable[bytes]) -> str | None:
        raise ScannerUnavailable("CLAMAV_HOST is not set here")


class Clamd:
    """`clamd`, on TCP; safe to share between threads, and connects for each file anew."""

    def __init__(self, *, host: str, port: int, scan_timeout_seconds: float = SCAN_TIMEOUT_SECONDS) -> None:
        self._address = (host, port)
        self._scan_timeout_seconds = scan_timeout_seconds
        self._left_alone_until = 0.0

    def find_virus(self, chunks: Iterable[bytes]) -> str | None:
        if time.monotonic() < self._left_alone_until:
            raise ScannerUnavailable("it did not answer a moment ago")
        self._require_life()
        with _Conversation(self._connected(), self._scan_timeout_seconds) as conversation:
            answer = conversation.send_stream(chunks)
        if answer == _CLEAN:
            return None
        if found := _FOUND.fullmatch(answer):
            return "".join(c if c.isprintable() else "?" for c in found[1])[:SIGNATURE_LENGTH]
        # Such as "INSTREAM size limit exceeded. ERROR": what it has not seen it cannot pass.
        raise ScannerUnavailable(f"it answers {answer!r}")

    def version(self) -> str:
        """What it says of itself and its signatures; raises `ScannerUnavailable`."""
        with _Conversation(self._connected(), PING_TIMEOUT_SECONDS) as conversation:
            return conversation.ask("VERSION")

    def _require_life(self) -> None:
        """One that takes connections and says nothing would hold a thread for as long as a scan may take."""
        try:
            with _Conversation(self._connected(), PING_TIMEOUT_SECONDS) as conversation:
                answer = conversation.ask("PING")
        except ScannerUnavailable:
            self._leave_alone()
            raise
        if answer != "PONG":
            self._leave_alone()
            raise ScannerUnavailable(f"it answers {answer!r} to PING")

    def _leave_alone(self) -> None:
        self._left_alone_until = time.monotonic() + PAUSE_SECONDS

    def _connected(self) -> socket.socket:
        try:
            return socket.create_connection(self._address, timeout=CONNECT_TIMEOUT_SECONDS)
        except OSError as error:
            self._leave_alone()
            raise ScannerUnavailable(f"no connection: {error}") from error


class _Conversation:
    """One connection, for one question, with one deadline over all of it."""

    def __init__(self, connection: socket.socket, timeout_seconds: float) -> None:
        self._connection = connection
        self._give_up_at = time.monotonic() + timeout_seconds

    def __enter__(self) -> "_Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, command: str) -> str:
        try:
            self._send(f"z{command}\0".encode())
            return self._answer()
        except OSError as error:
            raise ScannerUnavailable(f"the connection broke: {error}") from error

    def send_stream(self, chunks: Iterable[bytes]) -> str:
        """Its answer to a file. What reading the chunks raises is passed on: it is not its fault."""
        broken = self._try_to_send(b"zINSTREAM\0")
        for chunk in filter(None, chunks):
            if broken:
                break
            broken = self._try_to_send(_LENGTH.pack(len(chunk)) + chunk)
        broken = broken or self._try_to_send(_END_OF_STREAM)
        try:
            # It hangs up in the middle of a file that is too long, after it has said so.
            answer = self._answer()
        except OSError as error:
            raise ScannerUnavailable(f"the connection broke: {broken or error}") from error
        if broken and answer == _CLEAN:
            raise ScannerUnavailable(f"it passes a file that it was not sent whole: {broken}")
        return answer

    def _try_to_send(self, content: bytes) -> OSError | None:
        try:
            self._send(content)
        except OSError as error:
            return error
        return None

    def _send(self, content: bytes) -> None:
        self._connection.settimeout(self._seconds_left())
        self._connection.sendall(content)

    def _answer(self) -> str:
        received = b""
        while not received.endswith(b"\0") and len(received) < LONGEST_ANSWER_BYTES:
            self._connection.settimeout(self._seconds_left())
            piece = self._connection.recv(LONGEST_ANSWER_BYTES)
            if not piece:
                raise ConnectionError("it hung up without an answer")
            received += piece
        return received.rstrip(b"\0").decode("utf-8", errors="replace").strip()

    def _seconds_left(self) -> float:
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return left
