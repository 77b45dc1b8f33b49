"""A real login at each kind of server: what tells one that answers from one that merely listens."""

import socket

from tests.servers.addresses import Address

LOGIN_TIMEOUT_SECONDS = 5.0
REGION = "us-east-1"


class LoginFailed(Exception):
    """Nobody there, the wrong program, or the wrong credentials; the text says which."""


def log_in(address: Address) -> str:
    """Log in and return what is there (`MariaDB 10.11.6`); LoginFailed otherwise."""
    try:
        # The clients wrap a refused connection in errors of theirs that say less.
        socket.create_connection((address.host, address.port), LOGIN_TIMEOUT_SECONDS).close()
        return LOGINS[address.scheme](address)
    except Exception as error:
        # Every client library has its own tree of errors; to the caller they are all one answer.
        raise LoginFailed(f"{type(error).__name__} {error}".strip()) from error


def log_in_to_database(address: Address) -> str:
    import pymysql

    connection = pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        connect_timeout=LOGIN_TIMEOUT_SECONDS,
        read_timeout=LOGIN_TIMEOUT_SECONDS,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        row = cursor.fetchone()
    version = str(row[0]) if row else ""
    return f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version.partition('-')[0]}"


def log_in_to_broker(address: Address) -> str:
    import pika

    parameters = pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.path or "/",
        credentials=pika.PlainCredentials(address.user, address.password),
        socket_timeout=LOGIN_TIMEOUT_SECONDS,
        blocked_connection_timeout=LOGIN_TIMEOUT_SECONDS,
        stack_timeout=LOGIN_TIMEOUT_SECONDS,
    )
    connection = pika.BlockingConnection(parameters)
    try:
        # pika keeps what the server said about itself, but offers it nowhere in public.
        about = connection._impl.server_properties
    finally:
        connection.close()
    return f"{_text(about['product'])} {_text(about['version'])}"


def log_in_to_s3(address: Address) -> str:
    import urllib3
    from minio import Minio

    http = urllib3.PoolManager(timeout=LOGIN_TIMEOUT_SECONDS, retries=False)
    client = Minio(
        endpoint=str(address),
        access_key=address.user,
        secret_key=address.password,
        secure=False,
        region=REGION,
        http_client=http,
    )
    client.list_buckets()
    about = http.request("GET", f"http://{address}/").headers.get("Server", "S3")
    return about.split()[0]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


LOGINS = {"mysql": log_in_to_database, "amqp": log_in_to_broker, "http": log_in_to_s3}
