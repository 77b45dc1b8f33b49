"""Clients that are slow on purpose, one for each thread: they are let go, and others answered."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.conftest import Site
from tests.system.fleet import START_TIMEOUT_SECONDS, token
from tests.system.running_service import PROGRAMS, RunningCommand

THREADS = 2
# A bound, not an expectation: without an end to the service's patience, no answer would ever come.
PATIENCE_SECONDS = 120.0
MEGABYTE = 1024 * 1024


class Web:
    """One web process with few threads, and the connections to it that a test holds open."""

    def __init__(self, port: int, headers: dict[str, str], stack: ExitStack) -> None:
        self.port = port
        self.headers = headers
        self._stack = stack

    def connect(self, sent: bytes = b"", *, takes_bytes: int | None = None) -> socket.socket:
        connection = self._stack.enter_context(socket.socket())
        if takes_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes_bytes)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect((LOOPBACK, self.port))
        connection.sendall(sent)
        return connection

    def head(self, line: str, **headers: str) -> bytes:
        lines = [f"{line} HTTP/1.1", "Host: desk"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in {**self.headers, **headers}.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def answers(self) -> int:
        return httpx.get(f"http://{LOOPBACK}:{self.port}/health", timeout=PATIENCE_SECONDS).status_code


@pytest.fixture(scope="module")
def process(shared_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a web tier of one process."""
    port = free_port()
    few = {"WEB_PROCESSES": "1", "WEB_THREADS": str(THREADS), "APP_PORT": str(port)}
    command = RunningCommand(
        str(PROGRAMS / "sav"),
        "http",
        environment={**shared_site.fleet.environment, **few},
        log=tmp_path_factory.mktemp("slow") / "log",
    )

    def is_up() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://{LOOPBACK}:{port}/health", timeout=PATIENCE_SECONDS).is_success
        return False

    wait_until(is_up, timeout_seconds=START_TIMEOUT_SECONDS, what="sav http")
    yield port
    command.kill()
    print(command.output)


@pytest.fixture
def web(process: int, shared_site: Site) -> Iterator[Web]:
    bearer = {"Authorization": f"Bearer {token('customer', shared_site.someone_new())}"}
    with ExitStack() as stack:
        yield Web(process, bearer, stack)


def silent(web: Web) -> None:
    web.connect()


def half_a_head(web: Web) -> None:
    web.connect(b"GET /health HTTP/1.1\r\nHost: de")


def half_a_body(web: Web) -> None:
    web.connect(web.head("POST /tickets", Content_Type="application/json", Content_Length="90") + b'{"subj')


def no_second_chunk(web: Web) -> None:
    head = web.head("POST /tickets", Content_Type="application/json", Transfer_Encoding="chunked")
    web.connect(head + b'5\r\n{"sub\r\n')


def takes_no_answer(web: Web) -> None:
    web.connect(web.head("GET /docs/swagger_bundle.js"), takes_bytes=4096)


def does_not_close(web: Web) -> None:
    web.connect(web.head("GET /health", Connection="close"))


@pytest.mark.parametrize(
    "slow", [silent, half_a_head, half_a_body, no_second_chunk, takes_no_answer, does_not_close]
)
def test_others_are_answered(web: Web, slow: Callable[[Web], None]) -> None:
    for _ in range(THREADS):
        slow(web)
    assert web.answers() == 200


def test_a_head_that_trickles_is_given_up(web: Web) -> None:
    """However regularly a byte comes."""
    connection = web.connect(b"GET /health HTTP/1.1\r\n")
    ended = threading.Event()

    def trickle() -> None:
        with suppress(OSError):
            while not ended.wait(0.2):
                connection.sendall(b"X-A: b\r\n")

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
    finally:
        ended.set()
        sender.join()


def test_a_body_that_does_not_come_is_told_so(web: Web) -> None:
    head = web.head("POST /tickets", Content_Type="application/json", Content_Length="90")
    answer = http.client.HTTPResponse(web.connect(head + b'{"subj'))
    answer.begin()
    assert answer.status == 408
    assert json.load(answer)["code"] == "upload_too_slow"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: desk\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: desk\r\nX-A: " + b"a" * 10_000 + b"\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: desk\r\n" + b"X-A: b\r\n" * 100 + b"\r\n", 400),
        (b"POST /tickets HTTP/1.1\r\nHost: desk\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: desk\r\nX A: b\r\n\r\n", 400),
    ],
    ids=["a long line", "a long header", "many headers", "two lengths", "no header"],
)
def test_heads_beyond_the_limits_are_refused(web: Web, request_bytes: bytes, status: int) -> None:
    answer = web.connect(request_bytes).recv(65536)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert not any(character.isdigit() for character in _server(answer)), "it tells its version"
    assert web.answers() == 200


def _server(answer: bytes) -> str:
    lines = answer.decode("latin-1").split("\r\n")
    return next((line for line in lines if line.lower().startswith("server:")), "")


def test_a_stranger_is_not_heard_out(web: Web) -> None:
    """Whoever shows no token is refused at once, however much they announce."""
    head = web.head(
        "POST /tickets/1/attachments",
        Authorization="Bearer x",
        Content_Type="multipart/form-data; boundary=xyz",
        Content_Length=str(20 * MEGABYTE),
    )
    connection = web.connect(head + b"x" * 1000)
    assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_busy_connections_keep_nobody_waiting(web: Web) -> None:
    """More connections than threads, each of which asks again as soon as it is answered."""
    asked = web.head("GET /health")
    connections = [web.connect() for _ in range(THREADS + 2)]
    for _ in range(50):
        for connection in connections:
            connection.sendall(asked)
        for connection in connections:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("line", "status"), [("HEAD /health", 200), ("GET /nowhere", 404), ("GET /health", 200)]
)
def test_answers_with_a_body_and_without_are_whole(web: Web, line: str, status: int) -> None:
    connection = web.connect(web.head(line))
    for _ in range(3):
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert bool(body) is not line.startswith("HEAD")
        connection.sendall(web.head(line))


def test_requests_that_come_together_are_answered_in_their_order(web: Web) -> None:
    connection = web.connect(web.head("GET /health") + web.head("GET /nowhere"))
    received = b""
    while received.count(b"HTTP/1.1 ") < 2:
        received += connection.recv(65_536)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 404 " in received
