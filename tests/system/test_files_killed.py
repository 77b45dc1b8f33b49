"""kill -9 in the middle of uploads and deletions: after the sweep, rows and objects agree exactly."""

import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
from minio import Minio

from tests.plugins.servers import FreshBroker, FreshBucket, FreshDatabase, Settings
from tests.servers.ports import LOOPBACK, wait_until
from tests.system.conftest import Site, site_at
from tests.system.fleet import Admin, Customer, ProcessName, opened, token
from tests.system.running_service import PROGRAMS

SEED = int(os.environ.get("SAV_TEST_SEED", "20261122"))
DEATHS: tuple[ProcessName, ...] = ("http", "worker", "http")
WRITERS = 3
ANSWERS_BETWEEN_DEATHS = 6
LONGEST_LIFE_SECONDS = 0.6
FILE_BYTES = 700_000
SWEEP_AGE_SECONDS = 1
# What a killed worker has leased waits for 30 seconds.
SETTLE_TIMEOUT_SECONDS = 90.0
TICK_TIMEOUT_SECONDS = 30


@dataclass
class Writer:
    """A customer who attaches files to a ticket, and deletes every third of them again."""

    site: Site
    seed: int
    stop: threading.Event
    kept: dict[int, str] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    answers: int = 0
    unanswered: int = 0

    def __post_init__(self) -> None:
        self.user_id = self.site.someone_new()
        with Customer(self.site.fleet, self.user_id) as customer:
            self.ticket_id = opened(customer.open())
        self.thread = threading.Thread(target=self.run, name=f"writer-{self.seed}", daemon=True)
        self.thread.start()

    @property
    def path(self) -> str:
        return f"{self.site.fleet.url}/tickets/{self.ticket_id}/attachments"

    def run(self) -> None:
        chance = random.Random(self.seed)
        headers = {"Authorization": f"Bearer {token('customer', self.user_id)}"}
        while not self.stop.is_set():
            try:
                with httpx.Client(headers=headers, timeout=20) as client:
                    self.write(client, chance)
            except httpx.TransportError:
                self.unanswered += 1
                time.sleep(0.05)

    def write(self, client: httpx.Client, chance: random.Random) -> None:
        content = b"%064x\n" % chance.getrandbits(256) * (FILE_BYTES // 65)
        answer = client.post(self.path, files={"file": ("parcel.log", content)})
        if answer.status_code == 503:
            return
        assert answer.status_code == 201, answer.text
        self.answers += 1
        number = int(answer.json()["id"])
        self.kept[number] = sha256(content).hexdigest()
        if chance.random() < 1 / 3:
            # Whether it is deleted is not known until there is an answer.
            digest = self.kept.pop(number)
            if client.delete(f"{self.path}/{number}").status_code == 200:
                self.deleted.add(number)
            else:
                self.kept[number] = digest


@pytest.fixture(params=["disk", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Settings, Callable[[], set[str]]]:
    """The settings of a store, and what is in it."""
    if request.param == "disk":
        directory = tmp_path / "var" / "attachments" / "objects"

        def on_disk() -> set[str]:
            return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}

        return {"SAV_STORAGE": "disk"}, on_disk
    fresh_bucket: FreshBucket = request.getfixturevalue("fresh_bucket")
    bucket = fresh_bucket()
    client = Minio(
        bucket["MINIO_ENDPOINT"].removeprefix("http://"),
        access_key=bucket["MINIO_ACCESS_KEY"],
        secret_key=bucket["MINIO_SECRET_KEY"],
        region=bucket["MINIO_REGION"],
        secure=False,
    )

    def in_bucket() -> set[str]:
        return {str(item.object_name) for item in client.list_objects(bucket["MINIO_BUCKET"], recursive=True)}

    return {**bucket, "SAV_STORAGE": "s3"}, in_bucket


@dataclass(frozen=True)
class Database:
    settings: Settings

    def rows(self, statement: str) -> list[Any]:
        connection = pymysql.connect(
            host=self.settings["DB_HOST"],
            port=int(self.settings["DB_PORT"]),
            user=self.settings["DB_USERNAME"],
            password=self.settings["DB_PASSWORD"],
            database=self.settings["DB_DATABASE"],
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def files(self) -> dict[int, tuple[str, str]]:
        rows = self.rows("SELECT id, file_path, state FROM ticket_attachments")
        return {number: (path, state) for number, path, state in rows}

    def is_settled(self) -> bool:
        unfinished = self.rows("SELECT 1 FROM ticket_attachments WHERE state <> 'available'")
        owed = self.rows("SELECT 1 FROM due_effects WHERE effect IN ('remove_objects', 'sweep_files')")
        return not unfinished and not owed


def test_rows_and_objects_agree_after_the_sweep(
    storage: tuple[Settings, Callable[[], set[str]]],
    fresh_account: FreshDatabase,
    fresh_broker: FreshBroker,
    tmp_path: Path,
) -> None:
    store, objects = storage
    settings = fresh_account(store["SAV_STORAGE"])
    database = Database(settings)
    fast = {"FILE_SWEEP_AGE_HOURS": str(SWEEP_AGE_SECONDS / 3600), "LOG_LEVEL": "info"}
    with site_at(database=settings | store | fast, broker=fresh_broker(), directory=tmp_path) as site:
        writers = list(killed_while_writing(site))
        known = {number: digest for writer in writers for number, digest in writer.kept.items()}
        deleted = {number for writer in writers for number in writer.deleted}
        assert sum(writer.unanswered for writer in writers), "no request was hit"
        assert deleted

        sweep(site)
        wait_until(database.is_settled, timeout_seconds=SETTLE_TIMEOUT_SECONDS, what="the sweep")

        files = database.files()
        assert {path for path, _ in files.values()} == objects()
        assert known.keys() <= files.keys()
        assert not deleted & files.keys()
        assert_whole(site, writers, known)


def killed_while_writing(site: Site) -> Iterator[Writer]:
    chance, stop = random.Random(SEED), threading.Event()
    writers = [Writer(site, SEED + number, stop) for number in range(WRITERS)]
    try:
        for name in DEATHS:
            wait_for_answers(writers)
            time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
            site.fleet.kill9(name)
            site.fleet.start(name)
        wait_for_answers(writers)
    finally:
        stop.set()
        for writer in writers:
            writer.thread.join(60)
    yield from writers


def wait_for_answers(writers: list[Writer]) -> None:
    enough = sum(writer.answers for writer in writers) + ANSWERS_BETWEEN_DEATHS
    wait_until(
        lambda: sum(writer.answers for writer in writers) >= enough,
        timeout_seconds=60,
        what="uploads to go on",
    )


def sweep(site: Site) -> None:
    time.sleep(SWEEP_AGE_SECONDS + 1)
    subprocess.run(
        [str(PROGRAMS / "sav"), "tick", "housekeeping"],
        env=site.fleet.environment,
        check=True,
        capture_output=True,
        timeout=TICK_TIMEOUT_SECONDS,
    )


def assert_whole(site: Site, writers: list[Writer], known: dict[int, str]) -> None:
    """Everything that was acknowledged can be downloaded, and is what was sent."""
    with Admin(site.fleet, site.someone_new()) as admin:
        for writer in writers:
            for number in writer.kept:
                answer = admin.get(f"/tickets/{writer.ticket_id}/attachments/{number}")
                url = answer.json()["file_url"].replace("localhost", LOOPBACK)
                assert sha256(httpx.get(url).content).hexdigest() == known[number], number
