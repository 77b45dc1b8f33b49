"""The private servers keep what they confirmed when they are killed, and the S3 server checks signatures."""

import urllib.error
import urllib.request
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import cast

import pika
import pymysql
import pytest

from tests.plugins.servers import ServerAddresses, Settings
from tests.servers.addresses import Address
from tests.servers.belongings import s3_client
from tests.servers.login import LoginFailed, log_in
from tests.servers.mysql import PrivateMySQL
from tests.servers.rabbitmq import PrivateRabbitMQ

REQUEST_TIMEOUT_SECONDS = 10.0


def test_rabbitmq_keeps_a_confirmed_message_over_a_kill(server_directory: Path) -> None:
    with PrivateRabbitMQ(server_directory / "broker") as broker:
        publish_durably(broker.address, b"survivor")
        # A message is on disk when it is confirmed; that its queue exists may take moments longer.
        broker.ctl("eval", "catch mnesia:sync_log().")
        broker.kill()
        with pytest.raises(LoginFailed):
            log_in(broker.address)
        broker.start()
        assert take(broker.address) == b"survivor"
        assert broker.node.split("@")[0] in broker.ctl("cluster_status")


def test_database_keeps_a_commit_over_a_kill(server_directory: Path) -> None:
    with PrivateMySQL(server_directory / "database") as database:
        run_sql(
            database.address,
            "CREATE DATABASE shop",
            "CREATE TABLE shop.t (n INT)",
            "INSERT INTO shop.t VALUES (7)",
        )
        database.kill()
        with pytest.raises(LoginFailed):
            log_in(database.address)
        database.start()
        assert run_sql(database.address, "SELECT n FROM shop.t") == ((7,),)


def test_s3_refuses_a_tampered_signature(
    server_addresses: ServerAddresses, bucket_settings: Settings
) -> None:
    client = s3_client(server_addresses.s3)
    bucket = bucket_settings["MINIO_BUCKET"]
    client.put_object(bucket, "letter.txt", BytesIO(b"dear customer"), length=13)
    url = client.presigned_get_object(bucket, "letter.txt", expires=timedelta(minutes=5))
    signature = url.rpartition("X-Amz-Signature=")[2]
    tampered = url.replace(signature, signature[::-1])

    assert fetch(url) == (200, b"dear customer")
    assert fetch(tampered)[0] == 403


def publish_durably(address: Address, body: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(address.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("letters", durable=True)
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", "letters", body, persistent, mandatory=True)


def take(address: Address) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(address.url)) as connection:
        _, _, body = connection.channel().basic_get("letters", auto_ack=True)
        return cast("bytes | None", body)


def run_sql(address: Address, *statements: str) -> tuple[tuple[object, ...], ...]:
    connection = pymysql.connect(
        host=address.host, port=address.port, user=address.user, password=address.password, autocommit=True
    )
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()
