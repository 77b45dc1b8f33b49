"""The proxy with which system tests take a server away."""

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.servers.cable import Cable
from tests.servers.ports import LOOPBACK, free_port

ANSWER_TIMEOUT_SECONDS = 5.0
SILENCE_SECONDS = 0.2
POLL_SECONDS = 0.01


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while received := self.request.recv(1024):
            self.request.sendall(received)


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def cable() -> Iterator[Cable]:
    with EchoServer((LOOPBACK, 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=[POLL_SECONDS], daemon=True).start()
        with Cable(LOOPBACK, server.server_address[1]) as cable:
            yield cable
        server.shutdown()


def connect(cable: Cable) -> socket.socket:
    return socket.create_connection((cable.host, cable.port), ANSWER_TIMEOUT_SECONDS)


def test_carries_both_ways_on_several_connections(cable: Cable) -> None:
    with connect(cable) as first, connect(cable) as second:
        first.sendall(b"one")
        second.sendall(b"two")
        assert second.recv(16) == b"two"
        assert first.recv(16) == b"one"


def test_passes_on_that_one_side_has_finished(cable: Cable) -> None:
    with connect(cable) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(16) == b"last words"
        assert client.recv(16) == b""


def test_cut_drops_connections_and_refuses_new_ones(cable: Cable) -> None:
    with connect(cable) as client:
        client.sendall(b"hello")
        assert client.recv(16) == b"hello"
        cable.cut()
        assert is_dropped(client)
    with pytest.raises(ConnectionRefusedError):
        connect(cable)


def test_mend_after_cut_serves_on_the_same_port(cable: Cable) -> None:
    port = cable.port
    cable.cut()
    cable.mend()
    assert cable.port == port
    with connect(cable) as client:
        client.sendall(b"again")
        assert client.recv(16) == b"again"


def test_black_hole_keeps_connections_and_answers_nothing_until_mended(cable: Cable) -> None:
    with connect(cable) as before:
        before.sendall(b"x")
        assert before.recv(1) == b"x"
        cable.black_hole()
        with connect(cable) as during:
            for client in (before, during):
                client.sendall(b"anybody?")
                assert is_silent(client)
            cable.mend()
            for client in (before, during):
                client.settimeout(ANSWER_TIMEOUT_SECONDS)
                assert client.recv(16) == b"anybody?"


def test_cut_ends_a_black_hole_too(cable: Cable) -> None:
    cable.black_hole()
    with connect(cable) as client:
        cable.cut()
        assert is_dropped(client)


def test_a_server_that_is_away_looks_like_a_closed_connection() -> None:
    with Cable(LOOPBACK, free_port()) as cable, connect(cable) as client:
        assert is_dropped(client)


def is_dropped(client: socket.socket) -> bool:
    try:
        return client.recv(16) == b""
    except ConnectionResetError:
        return True


def is_silent(client: socket.socket) -> bool:
    client.settimeout(SILENCE_SECONDS)
    try:
        client.recv(16)
    except TimeoutError:
        return True
    return False
