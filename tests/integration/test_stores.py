"""Both stores of attachments behave alike: the disk, and a real S3 server that checks signatures."""

import io
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3
from falcon.testing import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sav.domain.file_names import object_key
from sav.http.app import create_app
from sav.launch.startup import prepare_storage
from sav.operations.place_for_files import ensure_place_for_files
from sav.settings import load_settings
from sav.storage.disk import DiskStore, InvalidKey
from sav.storage.object_store import NoPlaceForFiles, ObjectStore, StorageUnavailable
from sav.storage.s3 import S3Store
from tests.factories.attachments import make_attachment
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api
from tests.plugins.servers import Settings

KEY = "tickets/1/2/parcel.txt"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    status: int
    content: bytes
    headers: dict[str, str]


class S3Site:
    def __init__(self, bucket: Settings) -> None:
        self.store: ObjectStore = s3_store(bucket)
        self._http = urllib3.PoolManager(retries=False)

    def fetch(self, url: str, **headers: str) -> Fetched:
        answer = self._http.request("GET", url, headers=headers)
        return Fetched(answer.status, answer.data, {k.lower(): v for k, v in answer.headers.items()})


class DiskSite:
    """The disk's links lead to our own HTTP tier."""

    def __init__(self, directory: Path, api: Api) -> None:
        self.store: ObjectStore = DiskStore(directory=directory, public_url="http://desk.example")
        self._client = client_of(api, self.store)
        # The clock of these tests is the one on the wall, because S3 knows no other.
        api.clock.now = datetime.now(UTC)

    def fetch(self, url: str, **headers: str) -> Fetched:
        parts = urlsplit(url)
        answer = self._client.simulate_get(parts.path, query_string=parts.query, headers=headers)
        lower = {name.lower(): value for name, value in answer.headers.items()}
        return Fetched(answer.status_code, answer.content, lower)


def client_of(api: Api, store: ObjectStore) -> TestClient:
    """The HTTP tier with this store."""
    desk = {**{name: getattr(api.desk, name) for name in api.desk.__slots__}, "storage": store}
    return TestClient(create_app(type(api.desk)(**desk)))


Site = S3Site | DiskSite


def s3_store(of: Settings, /, **other: str) -> S3Store:
    named = {
        "endpoint": of["MINIO_ENDPOINT"],
        "access_key": of["MINIO_ACCESS_KEY"],
        "secret_key": of["MINIO_SECRET_KEY"],
        "bucket": of["MINIO_BUCKET"],
        "region": of["MINIO_REGION"],
    }
    return S3Store(**{**named, **other})


@pytest.fixture(params=["disk", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "s3":
        return S3Site(request.getfixturevalue("fresh_bucket")())
    return DiskSite(tmp_path / "attachments", request.getfixturevalue("api"))


def put(site: Site, content: bytes, key: str = KEY, mime_type: str = "text/plain") -> None:
    site.store.put(key, io.BytesIO(content), length=len(content), mime_type=mime_type)


def link(site: Site, key: str = KEY, *, file_name: str = "parcel.txt", mime_type: str = "text/plain") -> str:
    return site.store.signed_url(key, file_name=file_name, mime_type=mime_type, now=datetime.now(UTC))


def keys(site: Site, prefix: str = "", *, age: timedelta = -timedelta(minutes=1)) -> list[str]:
    return sorted(item.key for item in site.store.list(prefix, older_than=datetime.now(UTC) - age))


def test_what_was_put_can_be_fetched_and_deleted(site: Site) -> None:
    assert not site.store.exists(KEY)
    put(site, b"first")
    put(site, b"second")
    assert site.store.exists(KEY)
    assert site.fetch(link(site)).content == b"second"
    site.store.delete(KEY)
    site.store.delete(KEY)
    assert not site.store.exists(KEY)
    assert site.fetch(link(site)).status == 404
    assert keys(site) == []


def test_the_list_knows_prefixes_and_ages(site: Site) -> None:
    for key in ("tickets/1/2/a.txt", "tickets/1/3/b.txt", "tickets/12/4/c.txt", "probes/x"):
        put(site, b"x", key)
    assert keys(site, "tickets/") == ["tickets/1/2/a.txt", "tickets/1/3/b.txt", "tickets/12/4/c.txt"]
    assert keys(site, "tickets/1/") == ["tickets/1/2/a.txt", "tickets/1/3/b.txt"]
    assert keys(site, "tickets/", age=timedelta(minutes=5)) == []


def test_a_link_forces_a_download_under_the_files_own_name(site: Site) -> None:
    put(site, b"a;b")
    for mime_type, served in (
        ("text/csv", "text/plain; charset=utf-8"),
        ("text/html", "text/plain; charset=utf-8"),
        ("application/json", "text/plain; charset=utf-8"),
        ("image/png", "image/png"),
    ):
        answer = site.fetch(link(site, file_name='Ré "x"; y%.csv', mime_type=mime_type))
        assert answer.status == 200
        assert answer.headers["content-type"] == served
        assert answer.headers["content-disposition"] == (
            "attachment; filename=\"R_ _x__ y_.csv\"; filename*=UTF-8''R%C3%A9%20%22x%22%3B%20y%25.csv"
        )


def test_a_part_can_be_fetched(site: Site) -> None:
    put(site, b"0123456789")
    part = site.fetch(link(site), Range="bytes=2-4")
    assert (part.status, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert site.fetch(link(site), Range="bytes=10-").status == 416


def changed(url: str) -> Iterator[str]:
    yield url.split("?")[0]
    yield url[:-1] + ("0" if url[-1] != "0" else "1")
    yield url.replace("/parcel.txt", "/other.txt")
    yield url.replace("text%2Fplain", "text%2Fhtml").replace("text/plain", "text/html")
    yield url.replace("parcel.txt&", "virus.exe&").replace("parcel.txt%22", "virus.exe%22")
    yield url.replace("Expires=3600", "Expires=36000").replace("expires=1", "expires=2")


def test_tampered_and_unsigned_links_are_refused(site: Site) -> None:
    put(site, b"secret")
    put(site, b"other", "tickets/1/2/other.txt")
    url = link(site)
    for other in changed(url):
        assert other != url
        answer = site.fetch(other)
        assert answer.status == 403, other
        assert b"secret" not in answer.content
    assert site.fetch(url).status == 200


def test_an_expired_link_is_refused(site: Site) -> None:
    put(site, b"secret")

    def link_of(minutes_ago: int) -> str:
        now = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        return site.store.signed_url(KEY, file_name="x", mime_type="text/plain", now=now)

    assert site.fetch(link_of(59)).status == 200
    assert site.fetch(link_of(61)).status == 403


def test_a_file_that_is_shorter_than_was_said_is_not_stored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sav.storage.s3.UPLOAD_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(StorageUnavailable):
        site.store.put(KEY, io.BytesIO(b"abc"), length=10, mime_type="text/plain")
    assert not site.store.exists(KEY)


def test_a_large_file_takes_no_memory(site: Site) -> None:
    with tempfile.TemporaryFile() as file:
        for _ in range(8):
            file.write(os.urandom(MEGABYTE))
        file.seek(0)
        tracemalloc.start()
        site.store.put(KEY, file, length=8 * MEGABYTE, mime_type="image/png")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEGABYTE
        file.seek(0)
        assert site.fetch(link(site)).content == file.read()


# --- Of S3 alone --------------------------------------------------------------------------------------------


def test_links_name_the_public_endpoint_and_nobody_is_asked(bucket_settings: Settings) -> None:
    store = s3_store(
        bucket_settings, endpoint="http://nobody.invalid:1", public_endpoint="https://files.example:9443"
    )
    url = store.signed_url(KEY, file_name="x", mime_type="image/png", now=datetime.now(UTC))
    assert url.startswith(f"https://files.example:9443/{bucket_settings['MINIO_BUCKET']}/{KEY}?")


@pytest.mark.parametrize(
    "wrong", [{"endpoint": "http://127.0.0.1:1"}, {"secret_key": "wrong"}, {"bucket": "no-such-bucket"}]
)
def test_trouble_is_said_without_the_address(bucket_settings: Settings, wrong: dict[str, str]) -> None:
    store = s3_store(bucket_settings, **wrong)
    with pytest.raises(StorageUnavailable) as trouble:
        store.put(KEY, io.BytesIO(b"x"), length=1, mime_type="text/plain")
    assert "http" not in str(trouble.value)
    assert "Amz" not in str(trouble.value)


def store_without_bucket(of: Settings, name: str) -> S3Store:
    # Its name begins with that of the run, which removes it.
    return s3_store(of, bucket=f"{of['MINIO_BUCKET']}-{name}")


@pytest.mark.usefixtures("empty_database")
def test_a_bucket_is_made_for_a_desk_without_files(bucket_settings: Settings) -> None:
    # An upload that failed for want of a bucket is no file.
    make_attachment(make_ticket(), state="deleted")
    store = store_without_bucket(bucket_settings, "made")
    with pytest.raises(NoPlaceForFiles):
        store.check()
    ensure_place_for_files(store)
    ensure_place_for_files(store)
    # Another process may have been quicker.
    store.make()
    store.put(KEY, io.BytesIO(b"x"), length=1, mime_type="text/plain")
    assert store.exists(KEY)


def test_readiness_makes_the_bucket_of_a_desk_without_files(api: Api, bucket_settings: Settings) -> None:
    store = store_without_bucket(bucket_settings, "ready")
    assert client_of(api, store).simulate_get("/ready").json["storage"] == "connected"
    store.check()


@pytest.mark.parametrize("wrong", [{"MINIO_ENDPOINT": "http://127.0.0.1:1"}, {"MINIO_SECRET_KEY": "wrong"}])
@pytest.mark.usefixtures("empty_database")
def test_no_store_is_in_the_way_of_a_start(bucket_settings: Settings, wrong: dict[str, str]) -> None:
    with capture_logs() as lines:
        prepare_storage(load_settings(**bucket_settings | wrong))
    assert [line["event"] for line in lines] == ["files cannot be stored yet"]


@pytest.mark.usefixtures("empty_database")
def test_where_there_are_files_a_missing_bucket_stays_missing(bucket_settings: Settings) -> None:
    make_attachment(make_ticket())
    store = store_without_bucket(bucket_settings, "missing")
    with pytest.raises(NoPlaceForFiles):
        ensure_place_for_files(store)
    with pytest.raises(NoPlaceForFiles):
        store.check()


# --- Of the disk alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.b", ".", "a/", "a\0b", "a b", "a\nb", "é"]
)
def test_no_key_leads_out_of_the_directory(tmp_path: Path, key: str) -> None:
    store = DiskStore(directory=tmp_path, public_url="http://desk.example")
    for ask in (
        lambda: store.put(key, io.BytesIO(b"x"), length=1, mime_type="text/plain"),
        lambda: store.delete(key),
        lambda: store.exists(key),
        lambda: store.signed_url(key, file_name="x", mime_type="x", now=datetime.now(UTC)),
    ):
        with pytest.raises(InvalidKey):
            ask()
    assert list(tmp_path.iterdir()) == []


@given(file_name=st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_whatever_a_file_is_called_the_disk_takes_its_key(file_name: str) -> None:
    key = object_key(ticket_id=1, attachment_id=2, file_name=file_name)
    store = DiskStore(directory=Path("unused"), public_url="http://desk.example")
    assert store._path(key) == Path("unused/objects") / key


def test_a_draft_that_a_crash_has_left_is_no_object_and_is_removed(tmp_path: Path) -> None:
    store = DiskStore(directory=tmp_path, public_url="http://desk.example")
    store.put(KEY, io.BytesIO(b"x"), length=1, mime_type="text/plain")
    draft = tmp_path / "drafts" / "tmpleft"
    draft.write_bytes(b"half")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert [item.key for item in store.list("", older_than=tomorrow)] == [KEY]
    store.remove_leftovers(older_than=datetime.now(UTC) - timedelta(hours=1))
    assert draft.exists()
    store.remove_leftovers(older_than=tomorrow)
    assert not draft.exists()
    assert store.exists(KEY)


def test_a_disk_that_takes_nothing_is_not_available(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("a file where a directory must be")
    store = DiskStore(directory=tmp_path, public_url="http://desk.example")
    with pytest.raises(StorageUnavailable):
        store.put(KEY, io.BytesIO(b"x"), length=1, mime_type="text/plain")
    assert list((tmp_path / "drafts").iterdir()) == []
