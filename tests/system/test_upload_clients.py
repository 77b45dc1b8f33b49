"""Clients that misbehave while they send a file, against the web tier as it is deployed."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.servers.ports import LOOPBACK, wait_until
from tests.system.conftest import Site
from tests.system.fleet import Customer, opened, token

MEGABYTE = 1024 * 1024
MAXIMUM_FILE_BYTES = 10 * MEGABYTE
ANSWER_TIMEOUT_SECONDS = 60.0


class Uploads:
    """A customer's ticket, and the road of its files."""

    def __init__(self, site: Site) -> None:
        self.customer = Customer(site.fleet, site.someone_new())
        self.port = site.fleet.port
        self.path = f"/tickets/{opened(self.customer.open())}/attachments"
        self.url = f"{site.fleet.url}{self.path}"
        self.headers = {"Authorization": f"Bearer {token('customer', self.customer.user_id)}"}

    def send(self, content: bytes) -> httpx.Response:
        files = {"file": ("large.log", content)}
        return httpx.post(self.url, files=files, headers=self.headers, timeout=ANSWER_TIMEOUT_SECONDS)

    def begin(self, *, announced: int, sent: bytes) -> socket.socket:
        """A request that goes no further than this."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: desk\r\nAuthorization: {self.headers['Authorization']}\r\n"
            f"Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: {announced}\r\n\r\n"
        )
        connection = socket.create_connection((LOOPBACK, self.port), timeout=ANSWER_TIMEOUT_SECONDS)
        connection.sendall(head.encode() + sent)
        return connection

    @property
    def names(self) -> list[str]:
        return [row["file_name"] for row in self.customer.all_rows(self.path)]


@pytest.fixture
def uploads(site: Site) -> Iterator[Uploads]:
    uploads = Uploads(site)
    with uploads.customer:
        yield uploads


BEGINNING = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.log"\r\n\r\n12:00 '


def test_exactly_as_much_as_allowed_and_one_byte_more(uploads: Uploads) -> None:
    line = b"12:00 the parcel left the depot\n"
    assert uploads.send(line * (MAXIMUM_FILE_BYTES // len(line))).status_code == 201
    for size in (MAXIMUM_FILE_BYTES + 1, 3 * MAXIMUM_FILE_BYTES):
        # The client hears why, although it has not finished.
        answer = uploads.send(line * (size // len(line)) + b"." * (size % len(line)))
        assert answer.status_code == 413, answer.text
    assert uploads.names == ["large.log"]


def test_a_chunked_body(uploads: Uploads) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield BEGINNING
            time.sleep(0.001)

    headers = {**uploads.headers, "Content-Type": "multipart/form-data; boundary=xyz"}
    answer = httpx.post(uploads.url, content=chunks(), headers=headers, timeout=ANSWER_TIMEOUT_SECONDS)
    assert (answer.status_code, answer.json()["code"]) == (411, "length_required")


def test_clients_that_hang_up_half_way_leave_nothing_and_hold_nothing(uploads: Uploads) -> None:
    for _ in range(40):
        uploads.begin(announced=5 * MEGABYTE, sent=BEGINNING * 1000).close()
    assert uploads.send(b"12:00 the parcel left the depot\n").status_code == 201
    assert uploads.names == ["large.log"]


def test_a_client_that_falls_silent_is_told_and_let_go(uploads: Uploads) -> None:
    with closing(uploads.begin(announced=5 * MEGABYTE, sent=BEGINNING)) as connection:
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        wait_until(
            lambda: connection.recv(4096) == b"", timeout_seconds=ANSWER_TIMEOUT_SECONDS, what="the end"
        )
    assert uploads.names == []
