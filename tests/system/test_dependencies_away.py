"""What else can be away: the broker's memory, and the store of attachments."""

from pathlib import Path
from urllib.parse import urlsplit

from tests.plugins.servers import FreshDatabase, Settings, broker_settings_at
from tests.servers.cable import Cable
from tests.servers.ports import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.system.conftest import site_at
from tests.system.fleet import Customer, opened

EVENTS_TIMEOUT_SECONDS = 60.0
READY_TIMEOUT_SECONDS = 30.0
WRITES = 20


def test_a_broker_out_of_memory_holds_up_no_write(
    server_directory: Path, fresh_account: FreshDatabase, tmp_path: Path
) -> None:
    with PrivateRabbitMQ(server_directory / "broker") as broker:
        settings = broker_settings_at(broker.address, "alarm")
        with (
            site_at(database=fresh_account("alarm"), broker=settings, directory=tmp_path) as site,
            Customer(site.fleet, site.someone_new()) as customer,
        ):
            first = opened(customer.open())
            site.listener.wait_for(first, 1)
            broker.raise_memory_alarm()
            tickets = [opened(customer.open()) for _ in range(WRITES)]
            broker.clear_memory_alarm()
            for ticket in tickets:
                site.listener.wait_for(ticket, 1, timeout_seconds=EVENTS_TIMEOUT_SECONDS)


def test_without_the_store_nothing_but_readiness_suffers(
    fresh_account: FreshDatabase, broker_settings: Settings, bucket_settings: Settings, tmp_path: Path
) -> None:
    store = urlsplit(bucket_settings["MINIO_ENDPOINT"])
    assert store.hostname
    assert store.port
    with Cable(store.hostname, store.port) as way:
        by_cable = {"SAV_STORAGE": "s3", "MINIO_ENDPOINT": f"http://{way.host}:{way.port}"}
        database = fresh_account("store") | bucket_settings | by_cable
        with (
            site_at(database=database, broker=broker_settings, directory=tmp_path) as site,
            Customer(site.fleet, site.someone_new()) as customer,
        ):
            assert customer.get("/ready").json()["storage"] == "connected"
            for trouble in (way.cut, way.black_hole):
                trouble()
                answer = customer.get("/ready")
                assert (answer.status_code, answer.json()["storage"]) == (503, "disconnected")
                assert answer.json()["database"] == "connected"
                site.listener.wait_for(opened(customer.open()), 1)
                way.mend()
                wait_until(
                    lambda: customer.get("/ready").status_code == 200,
                    timeout_seconds=READY_TIMEOUT_SECONDS,
                    what="the store to be found again",
                )
