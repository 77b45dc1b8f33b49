"""A load generator that costs little: requests that are ready to send, over connections that are kept.

It runs on the machine that it measures, so what it needs is taken from every competitor alike; how much
that is, is part of each result.
"""

import itertools
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.bench.bounds import ANSWER_TIMEOUT_SECONDS, WARM_UP_SECONDS
from benchmarks.bench.figures import percentile

RECEIVE_BYTES = 262_144
PACE_POLL_SECONDS = 0.002
IDLE_POLL_SECONDS = 1.0
FOREVER = float("inf")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class NoAnswer(Exception):
    """The competitor went silent."""


@dataclass
class Outcome:
    """What came back. `latencies` are in seconds, of the answers after the warm-up."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: int = 0
    """All of them, those of the warm-up too."""
    errors: int = 0
    """Answers above 399, and connections that broke."""
    client_cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def figures(self) -> dict[str, float]:
        """Rates per second, times in milliseconds."""
        if not self.latencies:
            return {"per_second": 0.0, "errors": self.errors}
        return {
            "per_second": self.per_second,
            **{f"p{p}_ms": 1e3 * percentile(self.latencies, p / 100) for p in (50, 95, 99)},
            "errors": self.errors,
            "client_cpu_ms": 1e3 * self.client_cpu_seconds / max(1, self.answers),
        }


class _Connection:
    """One request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.was_answered = False
        self._received = b""
        self._whole = 0

    def send(self, request: bytes) -> None:
        self._received, self._whole = b"", 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def status(self) -> int | None:
        """Takes what has arrived: the status once the answer is whole; 0 when the connection broke."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except OSError:
            return 0
        if not data:
            return 0
        self._received += data
        if not self._whole and not self._find_end():
            return None
        if self._whole < 0:
            return self._code if self._received.endswith(_LAST_CHUNK) else None
        return self._code if len(self._received) >= self._whole else None

    def _find_end(self) -> bool:
        end = self._received.find(_HEAD_END)
        if end < 0:
            return False
        length = _LENGTH.search(self._received, 0, end + 2)
        # Without a length the answer is chunked.
        self._whole = end + len(_HEAD_END) + int(length[1]) if length else -1
        return True

    @property
    def _code(self) -> int:
        return int(self._received[9:12])


class Load:
    """Sends requests, again and again in their order, until the time or the number is reached; used once.

    The time begins when each connection had an answer: the first ones wait for a process that is still being
    started, and for what it does only once. Those of the warm-up after that are not counted either.

    With `rate` they are sent at that many a second as far as connections are free; else each connection
    sends its next one as soon as it has an answer.
    """

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        *,
        connections: int,
        seconds: float | None = None,
        answers: int | None = None,
        rate: float | None = None,
        warm_up: float = WARM_UP_SECONDS,
        start_at: int = 0,
    ) -> None:
        self._port = port
        self._requests: Iterator[bytes] = itertools.islice(itertools.cycle(requests), start_at, None)
        self._connections = connections
        self._seconds = seconds
        self._answers = answers if answers is not None else FOREVER
        self._rate = rate
        self._warm_up = warm_up
        self._selector = selectors.DefaultSelector()
        # The one that has rested longest is next: all of them are used, however slow the pace.
        self._idle: deque[_Connection] = deque()
        self._sent = 0
        self._answered = 0
        self._measured_from = FOREVER if seconds is not None else 0.0
        self._ends_at = FOREVER
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Returns when it is over; raises `NoAnswer`, and `OSError` when nobody listens."""
        cpu = time.process_time()
        try:
            self._idle.extend(self._open() for _ in range(self._connections))
            self._drive()
        finally:
            for key in list(self._selector.get_map().values()):
                key.data.socket.close()
            self._selector.close()
        self._outcome.client_cpu_seconds = time.process_time() - cpu
        return self._outcome

    def _open(self) -> _Connection:
        connection = _Connection(self._port)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _drive(self) -> None:
        begun = now = heard_at = time.perf_counter()
        while now < self._ends_at and self._outcome.answers < self._answers:
            self._send(now - begun)
            ready = self._selector.select(PACE_POLL_SECONDS if self._rate else IDLE_POLL_SECONDS)
            now = time.perf_counter()
            for key, _ in ready:
                self._receive(key.data, now)
            if ready:
                heard_at = now
            elif now - heard_at > ANSWER_TIMEOUT_SECONDS:
                raise NoAnswer(f"nothing from port {self._port} for {ANSWER_TIMEOUT_SECONDS:g} s")
        self._outcome.seconds = max(heard_at - max(self._measured_from, begun), 1e-9)

    def _send(self, elapsed: float) -> None:
        due = len(self._idle)
        if self._rate is not None:
            due = min(due, int(elapsed * self._rate) - self._sent)
        for _ in range(due):
            self._idle.popleft().send(next(self._requests))
            self._sent += 1

    def _receive(self, connection: _Connection, now: float) -> None:
        status = connection.status()
        if status is None:
            return
        if connection in self._idle:
            # The server has closed what rested for long; nobody waits for an answer.
            self._idle.remove(connection)
            self._idle.append(self._instead_of(connection))
            return
        self._outcome.answers += 1
        if not 0 < status < 400:
            self._outcome.errors += 1
        elif now >= self._measured_from:
            self._outcome.latencies.append(now - connection.sent_at)
        if not connection.was_answered:
            connection.was_answered = True
            self._answered += 1
            if self._answered == self._connections and self._seconds is not None:
                self._measured_from = now + self._warm_up
                self._ends_at = self._measured_from + self._seconds
        self._idle.append(connection if status else self._instead_of(connection))

    def _instead_of(self, broken: _Connection) -> _Connection:
        self._selector.unregister(broken.socket)
        broken.socket.close()
        return self._open()
