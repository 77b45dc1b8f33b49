"""The client of the virus scanner: against a real clamd, and against one that misbehaves."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sav.storage import virus_scanner
from sav.storage.virus_scanner import Clamd, NoScanner, ScannerUnavailable
from tests.factories.files import EICAR
from tests.servers.clamd import SIGNATURE, STREAM_LIMIT_BYTES, PrivateClamd
from tests.servers.ports import LOOPBACK, free_port

CHUNK = 64 * 1024
FOUND = f"{SIGNATURE}.UNOFFICIAL"


@pytest.fixture
def scanner(clamd: PrivateClamd) -> Clamd:
    return Clamd(host=LOOPBACK, port=clamd.port)


def in_chunks(content: bytes) -> Iterator[bytes]:
    return (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))


def test_says_what_it_is(scanner: Clamd) -> None:
    assert scanner.version().startswith("ClamAV")


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([b"hello"], None),
        ([], None),
        ([b""], None),
        ([EICAR], FOUND),
        ([EICAR[:30], b"", EICAR[30:]], FOUND),
        ([b"x" * CHUNK] * 5 + [EICAR], FOUND),
        ([b"x" * STREAM_LIMIT_BYTES], None),
    ],
    ids=["clean", "empty", "an empty chunk", "infected", "in two chunks", "at the end", "as long as allowed"],
)
def test_finds_what_is_there(scanner: Clamd, chunks: list[bytes], found: str | None) -> None:
    assert scanner.find_virus(chunks) == found


@pytest.mark.parametrize("more", [1, 8 * 1024 * 1024])
def test_a_file_that_is_too_long_for_the_scanner_is_not_clean(scanner: Clamd, more: int) -> None:
    with pytest.raises(ScannerUnavailable, match="size limit exceeded"):
        scanner.find_virus(in_chunks(b"x" * (STREAM_LIMIT_BYTES + more)))


def test_what_reading_the_file_raises_is_passed_on(scanner: Clamd) -> None:
    def torn() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        scanner.find_virus(torn())


def test_without_a_scanner_nothing_is_clean() -> None:
    with pytest.raises(ScannerUnavailable):
        NoScanner().find_virus([b"hello"])


def test_a_scanner_that_is_away_is_left_in_peace_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = Clamd(host=LOOPBACK, port=free_port())
    with pytest.raises(ScannerUnavailable, match="no connection"):
        scanner.find_virus([b"hello"])
    with pytest.raises(ScannerUnavailable, match="a moment ago"):
        scanner.find_virus([b"hello"])
    after = time.monotonic() + virus_scanner.PAUSE_SECONDS
    monkeypatch.setattr(virus_scanner.time, "monotonic", lambda: after)
    with pytest.raises(ScannerUnavailable, match="no connection"):
        scanner.find_virus([b"hello"])


PING = b"zPING\0"


@contextmanager
def misbehaving(answer: Callable[[socket.socket], None], *, pong: bytes = b"PONG\0") -> Iterator[Clamd]:
    """A scanner that does something else than clamd would, once it was found to be alive."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(len(PING), socket.MSG_PEEK | socket.MSG_WAITALL) == PING:
                self.request.sendall(pong)
                # Whoever says nothing does not hang up either.
                time.sleep(0 if pong else 30)
            else:
                answer(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """The client has hung up, as it should."""

    with Server((LOOPBACK, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield Clamd(host=LOOPBACK, port=server.server_address[1], scan_timeout_seconds=0.5)
        server.shutdown()


def says(answer: bytes) -> Callable[[socket.socket], None]:
    def reply(connection: socket.socket) -> None:
        connection.recv(CHUNK)
        connection.sendall(answer)

    return reply


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"stream: OK",
        b"OK\0",
        b"stream: ERROR\0",
        b"INSTREAM size limit exceeded. ERROR\0",
        b"stream: Can't allocate memory ERROR\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"stream: \xff\xfe OK\0",
        b"x" * 1_000_000,
    ],
)
def test_nothing_but_the_one_sentence_is_clean(answer: bytes) -> None:
    with misbehaving(says(answer)) as scanner, pytest.raises(ScannerUnavailable):
        scanner.find_virus([b"hello"])


def test_a_file_that_was_not_sent_whole_is_not_clean() -> None:
    hung_up = threading.Event()

    def says_it_too_early(connection: socket.socket) -> None:
        connection.recv(CHUNK)
        connection.sendall(b"stream: OK\0")
        connection.close()
        hung_up.set()

    def chunks() -> Iterator[bytes]:
        hung_up.wait()
        while True:
            yield b"x"

    with misbehaving(says_it_too_early) as scanner, pytest.raises(ScannerUnavailable, match="whole"):
        scanner.find_virus(chunks())


def test_a_strange_name_of_a_virus_is_made_harmless() -> None:
    with misbehaving(says(b"stream: evil\nname" + b"x" * 500 + b" FOUND\0")) as scanner:
        found = scanner.find_virus([b"hello"])
    assert found is not None
    assert found.startswith("evil?name")
    assert len(found) == virus_scanner.SIGNATURE_LENGTH


@pytest.mark.parametrize("pong", [b"", b"PANG\0", b"PONG", b"stream: OK\0", b"\xff\0", b"x" * 1_000_000])
def test_one_that_shows_no_life_is_sent_nothing_and_left_in_peace(
    pong: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold a thread for a minute for each file."""
    monkeypatch.setattr(virus_scanner, "PING_TIMEOUT_SECONDS", 0.3)

    def chunks() -> Iterator[bytes]:
        pytest.fail("it was sent a file")
        yield b""

    with misbehaving(says(b"stream: OK\0"), pong=pong) as scanner:
        with pytest.raises(ScannerUnavailable):
            scanner.find_virus(chunks())
        with pytest.raises(ScannerUnavailable, match="a moment ago"):
            scanner.find_virus(chunks())


def test_a_silent_scanner_is_given_up_after_its_time() -> None:
    with misbehaving(lambda connection: time.sleep(30)) as scanner, pytest.raises(ScannerUnavailable):
        scanner.find_virus([b"hello"])


def test_a_scanner_that_reads_nothing_is_given_up_after_its_time() -> None:
    endless = (b"x" * CHUNK for _ in range(10_000_000))
    with misbehaving(lambda connection: time.sleep(30)) as scanner, pytest.raises(ScannerUnavailable):
        scanner.find_virus(endless)


def test_a_scanner_that_drips_is_given_up_after_its_time() -> None:
    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"s")
            time.sleep(0.05)

    with misbehaving(drip) as scanner, pytest.raises(ScannerUnavailable):
        scanner.find_virus([b"hello"])
