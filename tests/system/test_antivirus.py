"""The service with a virus scanner, as a black box: what is clean is served, and nothing else ever."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.factories.files import EICAR, png
from tests.servers.clamd import PrivateClamd
from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.running_service import UpService, call

SCAN_TIMEOUT_SECONDS = 60.0
"""A file that waited for its scanner is tried again after growing pauses."""


class House:
    """A service that starts again on the same data."""

    def __init__(self, directory: Path, clamd: PrivateClamd) -> None:
        self._directory = directory
        self._port = free_port()
        self._numbers = itertools.count(1)
        self._scanner = {"CLAMAV_HOST": LOOPBACK, "CLAMAV_PORT": str(clamd.port)}
        self.service = self.start()
        body = {"subject": "Broken", "description": "See the picture."}
        status, ticket = call(self._port, "POST", "/tickets", token=self.service.token("customer"), body=body)
        assert status == 201
        self._files = f"/tickets/{ticket['id']}/attachments"

    def start(self) -> UpService:
        log = self._directory / f"up-{next(self._numbers)}.log"
        self.service = UpService(self._directory / "var", port=self._port, log=log, **self._scanner)
        self.service.wait_until_ready()
        return self.service

    def attach(self, name: str, content: bytes) -> str:
        """The path of a new file."""
        answer = httpx.post(
            f"http://{LOOPBACK}:{self._port}{self._files}",
            files={"file": (name, content)},
            headers={"Authorization": f"Bearer {self.service.token('customer')}"},
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["state"] == "quarantined"
        return f"{self._files}/{answer.json()['id']}"

    def downloads(self, path: str) -> set[int]:
        """What a download is answered to everybody who sees the ticket."""
        return {
            call(self._port, "GET", f"{path}/download?redirect=false", token=self.service.token(role))[0]
            for role in ("customer", "agent", "admin")
        }

    def wait_until_answered(self, path: str, status: int) -> None:
        wait_until(
            lambda: self.downloads(path) == {status},
            timeout_seconds=SCAN_TIMEOUT_SECONDS,
            what=f"{status} for everybody",
        )

    def content(self, path: str) -> bytes:
        token = self.service.token("customer")
        _, link = call(self._port, "GET", f"{path}/download?redirect=false", token=token)
        return httpx.get(f"http://{LOOPBACK}:{self._port}{httpx.URL(link['url']).raw_path.decode()}").content

    @property
    def objects(self) -> list[str]:
        """The names of everything that is stored."""
        found = (self._directory / "var" / "attachments").rglob("tickets/*/*/*")
        return sorted(path.name for path in found if path.is_file())


@pytest.fixture
def house(tmp_path: Path, clamd: PrivateClamd) -> Iterator[House]:
    clamd.start()
    house = House(tmp_path, clamd)
    yield house
    house.service.kill()


def test_nothing_is_served_that_the_scanner_has_not_passed(house: House, clamd: PrivateClamd) -> None:
    clean, evil = house.attach("photo.png", png()), house.attach("evil.txt", EICAR)
    house.wait_until_answered(clean, 200)
    assert house.content(clean) == png()
    house.wait_until_answered(evil, 404)
    wait_until(
        lambda: house.objects == ["photo.png"], timeout_seconds=SCAN_TIMEOUT_SECONDS, what="the virus gone"
    )

    clamd.stop()
    waiting = house.attach("later.png", png())
    assert house.downloads(waiting) == {409}
    house.service.kill()
    house.start()
    assert house.downloads(waiting) == {409}
    assert house.downloads(clean) == {200}
    clamd.start()
    house.wait_until_answered(waiting, 200)
    assert house.content(waiting) == png()
