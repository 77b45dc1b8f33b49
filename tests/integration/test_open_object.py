"""Reading an object back, a block at a time, from each store."""

import io
import random
from pathlib import Path

import pytest

from sav.storage.disk import DiskStore
from sav.storage.object_store import ObjectStore, StorageUnavailable
from sav.storage.s3 import S3Store
from tests.plugins.servers import Settings

LONGEST_BLOCK_BYTES = 64 * 1024
CONTENT = random.Random(1).randbytes(300_000)
KEY = "tickets/1/1/photo.png"


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "disk":
        return DiskStore(directory=tmp_path, public_url="http://files.example")
    bucket: Settings = request.getfixturevalue("bucket_settings")
    return S3Store(
        endpoint=bucket["MINIO_ENDPOINT"],
        access_key=bucket["MINIO_ACCESS_KEY"],
        secret_key=bucket["MINIO_SECRET_KEY"],
        bucket=bucket["MINIO_BUCKET"],
        region=bucket["MINIO_REGION"],
    )


def test_what_was_stored_is_read_in_small_blocks(store: ObjectStore) -> None:
    store.put(KEY, io.BytesIO(CONTENT), length=len(CONTENT), mime_type="image/png")
    with store.open(KEY) as blocks:
        read = list(blocks)
    assert b"".join(read) == CONTENT
    assert max(map(len, read)) <= LONGEST_BLOCK_BYTES


def test_whoever_stops_half_way_disturbs_nobody(store: ObjectStore) -> None:
    store.put(KEY, io.BytesIO(CONTENT), length=len(CONTENT), mime_type="image/png")
    for _ in range(20):
        with store.open(KEY) as blocks:
            next(blocks)
    with store.open(KEY) as blocks:
        assert b"".join(blocks) == CONTENT


def test_an_object_that_is_not_there_cannot_be_read(store: ObjectStore) -> None:
    with pytest.raises(StorageUnavailable), store.open("tickets/1/1/other.png") as blocks:
        list(blocks)
