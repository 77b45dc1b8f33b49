"""What a run makes on servers it may share: databases, buckets, a virtual host, all named after the run."""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.servers.addresses import Address
from tests.servers.find import Found
from tests.servers.login import LOGIN_TIMEOUT_SECONDS, REGION, log_in

if TYPE_CHECKING:
    from minio import Minio
    from pymysql.cursors import Cursor

STATEMENT_TIMEOUT_SECONDS = 30.0
LOCK_WAIT_SECONDS = 10
MAX_DATABASE_NAME = 64


def prefix(run_id: str) -> str:
    """What the names of this run's databases, virtual host and directories begin with."""
    return f"sav_test_{run_id}_"


def bucket_prefix(run_id: str) -> str:
    """The same for buckets, whose names may not contain an underscore."""
    return prefix(run_id).replace("_", "-")


def database_name(run_id: str, *parts: str) -> str:
    """A database name of this run; ValueError when it is longer than a server allows."""
    name = prefix(run_id) + "_".join(re.sub(r"[^a-z0-9]+", "_", part.lower()) for part in parts)
    if len(name) > MAX_DATABASE_NAME:
        raise ValueError(f"the database name {name} is longer than {MAX_DATABASE_NAME} characters")
    return name


def create_database(address: Address, name: str) -> None:
    """An empty database with the service's character set."""
    with _statements(address) as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")


def drop_database(address: Address, name: str) -> None:
    with _statements(address) as cursor:
        _drop(cursor, name)


def drop_databases(address: Address, run_id: str) -> None:
    """Drop this run's databases, and no other."""
    with _statements(address) as cursor:
        cursor.execute("SHOW DATABASES")
        for (name,) in cursor.fetchall():
            if name.startswith(prefix(run_id)):
                _drop(cursor, name)


def create_bucket(address: Address, name: str) -> None:
    s3_client(address).make_bucket(name)


def remove_bucket(address: Address, name: str) -> None:
    """Remove a bucket and everything in it."""
    client = s3_client(address)
    for found in client.list_objects(name, recursive=True):
        client.remove_object(name, str(found.object_name))
    client.remove_bucket(name)


def remove_buckets(address: Address, run_id: str) -> None:
    """Remove this run's buckets, and no other."""
    for bucket in s3_client(address).list_buckets():
        if bucket.name.startswith(bucket_prefix(run_id)):
            remove_bucket(address, bucket.name)


def s3_client(address: Address) -> "Minio":
    import urllib3
    from minio import Minio

    return Minio(
        endpoint=str(address),
        access_key=address.user,
        secret_key=address.password,
        secure=False,
        region=REGION,
        http_client=urllib3.PoolManager(timeout=STATEMENT_TIMEOUT_SECONDS, retries=False),
    )


@contextlib.contextmanager
def own_virtual_host(broker: Found, run_id: str) -> Iterator[Address]:
    """The broker's address with a virtual host of this run, or as it was when we may not make one there.

    A virtual host named in the URL is kept. Without one of our own, only the unique names of exchanges and
    queues keep runs apart.
    """
    address, ctl = broker.address, broker.rabbitmqctl
    name = f"{prefix(run_id)}vhost"
    if address.path not in ("", "/") or ctl is None:
        yield address
        return
    try:
        ctl("add_vhost", name)
    except Exception:
        # No permission, no such node, no answer: whatever it was, we are not the ones to ask that node.
        yield address
        return
    try:
        yield address.with_path(name) if _is_usable(broker, name) else address
    finally:
        ctl("delete_vhost", name)


def _is_usable(broker: Found, name: str) -> bool:
    # The node that obeys `rabbitmqctl` need not be the one at this address.
    assert broker.rabbitmqctl is not None
    try:
        broker.rabbitmqctl("set_permissions", "--vhost", name, broker.address.user, ".*", ".*", ".*")
        log_in(broker.address.with_path(name))
    except Exception:
        return False
    return True


def _drop(cursor: "Cursor", name: str) -> None:
    # A connection that a killed process left in a transaction would make DROP wait.
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
    for (connection_id,) in cursor.fetchall():
        with contextlib.suppress(Exception):
            cursor.execute("KILL %s", [connection_id])
    cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")


@contextlib.contextmanager
def _statements(address: Address) -> Iterator["Cursor"]:
    import pymysql

    connection = pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        connect_timeout=LOGIN_TIMEOUT_SECONDS,
        read_timeout=STATEMENT_TIMEOUT_SECONDS,
        init_command=f"SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}",
    )
    with connection, connection.cursor() as cursor:
        yield cursor
