"""Attachments in an S3 store: MinIO, or anything that speaks its protocol."""

from io import BytesIO
from urllib.parse import urlsplit
from uuid import uuid4

import urllib3
from minio import Minio
from minio.error import MinioException

from sav.storage.object_store import StorageUnavailable

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
"""How long the store may be silent in the middle of an answer."""
RETRIES = 1
"""A pooled connection may have died of age; a store that fails twice in a row is down."""
RETRY_PAUSE_SECONDS = 0.1
CONNECTIONS_KEPT = 10
PROBE = b"sav doctor was here"
PROBE_PREFIX = "probes/"
"""Where `sav doctor` writes: apart from attachments, so that nothing it may leave is taken for one."""


class S3Store:
    """One bucket of an S3 store; safe to share between threads, connects when first used."""

    def __init__(self, *, endpoint: str, access_key: str, secret_key: str, bucket: str, region: str) -> None:
        """`endpoint` is a URL such as `http://minio:9000`; its scheme says whether TLS is used."""
        url = urlsplit(endpoint)
        self._bucket = bucket
        self._client = Minio(
            url.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=url.scheme == "https",
            # Without it the client asks the store for the bucket's region before it does anything else.
            region=region,
            http_client=_http_client(),
        )

    def check(self) -> None:
        """Returns when the bucket is there and our key may see it; raises `StorageUnavailable`."""
        try:
            found = self._client.bucket_exists(self._bucket)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise StorageUnavailable(f"{type(error).__name__}: {error}") from error
        if not found:
            raise StorageUnavailable(f"there is no bucket {self._bucket!r}")

    def probe(self) -> None:
        """Writes, reads and deletes an object of its own; raises `StorageUnavailable`."""
        key = f"{PROBE_PREFIX}{uuid4()}"
        try:
            self._client.put_object(self._bucket, key, BytesIO(PROBE), len(PROBE))
            try:
                with self._client.get_object(self._bucket, key) as answer:
                    same = answer.read() == PROBE
            finally:
                self._client.remove_object(self._bucket, key)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise StorageUnavailable(f"{type(error).__name__}: {error}") from error
        if not same:
            raise StorageUnavailable("what was read is not what was written")


def _http_client() -> urllib3.PoolManager:
    # The client's own default waits 300 seconds and tries five times.
    return urllib3.PoolManager(
        maxsize=CONNECTIONS_KEPT,
        timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        retries=urllib3.Retry(
            total=RETRIES, backoff_factor=RETRY_PAUSE_SECONDS, status_forcelist=(500, 502, 503, 504)
        ),
    )
