"""Attachments in an S3 store: MinIO, or anything that speaks its protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from typing import BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from sav.storage.object_store import (
    LINK_LIFETIME,
    NoPlaceForFiles,
    StorageUnavailable,
    StoredObject,
    content_disposition,
    served_type,
)

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
"""How long the store may be silent in the middle of an answer."""
READ_BYTES = 64 * 1024
UPLOAD_TIMEOUT_SECONDS = 15
"""How long the store may be silent after it got a file: it answers once that is on its disks."""
RETRIES = 1
"""A pooled connection may have died of age; a store that fails twice in a row is down."""
RETRY_PAUSE_SECONDS = 0.1
CONNECTIONS_KEPT = 10
UPLOAD_LINK_LIFETIME = timedelta(minutes=5)
"""How long the permission to store one file is good for; we use it at once."""
PROBE = b"sav doctor was here"
PROBE_PREFIX = "probes/"
"""Where `sav doctor` writes: apart from attachments, so that nothing it may leave is taken for one."""


class S3Store:
    """One bucket of an S3 store; safe to share between threads, connects when first used."""

    def __init__(
        self,
        *,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        region: str,
        public_endpoint: str | None = None,
    ) -> None:
        """The endpoints are URLs such as `http://minio:9000`; their scheme says whether TLS is used.

        `public_endpoint` is the store as browsers reach it, for links.
        """
        self._bucket = bucket
        self._http = _http_client()

        def client(url: str) -> Minio:
            parts = urlsplit(url)
            return Minio(
                parts.netloc,
                access_key=access_key,
                secret_key=secret_key,
                secure=parts.scheme == "https",
                # Without it the client asks the store for the bucket's region before it does anything else.
                region=region,
                http_client=self._http,
            )

        self._client = client(endpoint)
        # It signs, and never connects: the address may mean nothing inside the cluster.
        self._signer = client(public_endpoint or endpoint)

    def check(self) -> None:
        """Returns when the bucket is there and our key may see it.

        Raises `NoPlaceForFiles` when the store says that there is none, else `StorageUnavailable`.
        """
        with _said():
            found = self._client.bucket_exists(self._bucket)
        if not found:
            raise NoPlaceForFiles(f"there is no bucket {self._bucket!r}")

    def make(self) -> None:
        with _said():
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                # Another process was quicker. Of all the world's it would be a mistake in the settings.
                if error.code != "BucketAlreadyOwnedByYou":
                    raise

    def probe(self) -> None:
        """Writes, reads and deletes an object of its own; raises `StorageUnavailable`."""
        key = f"{PROBE_PREFIX}{uuid4()}"
        with _said():
            self._client.put_object(self._bucket, key, BytesIO(PROBE), len(PROBE))
            try:
                with self._client.get_object(self._bucket, key) as answer:
                    same = answer.read() == PROBE
            finally:
                self._client.remove_object(self._bucket, key)
        if not same:
            raise StorageUnavailable("what was read is not what was written")

    def put(self, key: str, file: BinaryIO, *, length: int, mime_type: str) -> None:
        """One streamed request: the client's own way reads whole parts into memory, and a crash in the
        middle of several parts leaves them in the store, where no listing shows them."""
        with _said():
            url = self._client.get_presigned_url("PUT", self._bucket, key, expires=UPLOAD_LINK_LIFETIME)
            answer = self._http.request(
                "PUT",
                url,
                body=file,
                headers={"Content-Length": str(length), "Content-Type": mime_type},
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=UPLOAD_TIMEOUT_SECONDS),
            )
        if answer.status != 200:
            raise StorageUnavailable(f"the store answered {answer.status} to an upload")

    @contextmanager
    def open(self, key: str) -> Iterator[Iterator[bytes]]:
        with _said():
            answer = self._client.get_object(self._bucket, key)
        try:
            yield _blocks(answer)
        finally:
            # Not given back to the pool: what was not read to its end would be in the next one's way.
            answer.close()

    def delete(self, key: str) -> None:
        with _said():
            self._client.remove_object(self._bucket, key)

    def exists(self, key: str) -> bool:
        with _said():
            try:
                self._client.stat_object(self._bucket, key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return False
                raise
        return True

    def list(self, prefix: str, *, older_than: datetime) -> Iterator[StoredObject]:
        with _said():
            for item in self._client.list_objects(self._bucket, prefix=prefix, recursive=True):
                key, stored_at = item.object_name, item.last_modified
                if key and stored_at and stored_at < older_than:
                    yield StoredObject(key, stored_at)

    def remove_leftovers(self, *, older_than: datetime) -> None:
        """There are none: an object comes by one request, and is there when that has succeeded."""

    def signed_url(
        self, key: str, *, file_name: str, mime_type: str, now: datetime, lifetime: timedelta = LINK_LIFETIME
    ) -> str:
        return self._signer.get_presigned_url(
            "GET",
            self._bucket,
            key,
            expires=lifetime,
            request_date=now,
            response_headers={
                "response-content-disposition": content_disposition(file_name),
                "response-content-type": served_type(mime_type),
            },
        )


def _blocks(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    with _said():
        yield from answer.stream(READ_BYTES)


@contextmanager
def _said() -> Iterator[None]:
    """Says of everything that the store, or the way to it, does wrong that the store is not available."""
    try:
        yield
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        # The kind alone: the text may quote an address with a signature that opens the store.
        kind = getattr(error, "code", None) or type(getattr(error, "reason", None) or error).__name__
        raise StorageUnavailable(f"the store does not do as it is asked: {kind}") from error


def _http_client() -> urllib3.PoolManager:
    # The client's own default waits 300 seconds and tries five times.
    return urllib3.PoolManager(
        maxsize=CONNECTIONS_KEPT,
        timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        retries=urllib3.Retry(
            total=RETRIES, backoff_factor=RETRY_PAUSE_SECONDS, status_forcelist=(500, 502, 503, 504)
        ),
    )
