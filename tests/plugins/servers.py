"""Fixtures that give a test a database, a place on the broker, a bucket: its own, and only when asked for.

`./scripts/test` says where the servers are (`SAV_TEST_*`); plain `pytest` uses those at the default ports.
Settings come as the environment variables of the service, so that a test can start a process with them.
"""

import contextlib
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

from tests.servers import belongings
from tests.servers.addresses import Address
from tests.servers.clamd import PrivateClamd, installed_clamd
from tests.servers.find import NotThere, WrongURL, at_default_port, at_environment
from tests.servers.install import CannotInstall
from tests.servers.kinds import BROKER, DATABASE, S3, ServerKind
from tests.servers.login import LOGIN_TIMEOUT_SECONDS, REGION

Settings = dict[str, str]
FreshDatabase = Callable[[str], Settings]
FreshBroker = Callable[[], Settings]
FreshBucket = Callable[[], Settings]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("server", "sqlite"),
        default="server",
        help="what fresh_database creates: on the MySQL or MariaDB server (default), or as a SQLite file",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before xdist starts its workers, which inherit it.
    os.environ.setdefault("SAV_TEST_RUN_ID", secrets.token_hex(4))


class ServerAddresses:
    """Where the servers are; each is looked for when it is first asked for."""

    @cached_property
    def database(self) -> Address:
        return _find(DATABASE)

    @cached_property
    def broker(self) -> Address:
        return _find(BROKER)

    @cached_property
    def s3(self) -> Address:
        return _find(S3)


@pytest.fixture(scope="session")
def run_id() -> str:
    """Part of every name this run gives away; the same in all workers."""
    return os.environ["SAV_TEST_RUN_ID"]


@pytest.fixture(scope="session")
def worker() -> str:
    """`gw0`, `gw1`, … under xdist, else `main`; two steps of a run at the same time have others each."""
    # Short: a user's name on MySQL has 32 characters at most.
    return os.environ.get("SAV_TEST_STEP", "") + os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def server_addresses() -> ServerAddresses:
    return ServerAddresses()


@pytest.fixture(scope="session")
def fresh_database(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    server_addresses: ServerAddresses,
    run_id: str,
    worker: str,
) -> Iterator[FreshDatabase]:
    """`fresh_database("inbox")`: the `DB_*` settings of a new database, dropped when the session ends."""
    numbers = itertools.count(1)
    if request.config.getoption("--database") == "sqlite":
        yield lambda name: sqlite_settings(tmp_path_factory.mktemp("sqlite") / f"{name}.sqlite3")
        return
    with contextlib.ExitStack() as stack:

        def create(name: str) -> Settings:
            address = server_addresses.database
            full_name = belongings.database_name(run_id, worker, name, str(next(numbers)))
            belongings.create_database(address, full_name)
            stack.callback(belongings.drop_database, address, full_name)
            return server_database_settings(address, full_name)

        yield create


@pytest.fixture(scope="session")
def fresh_broker(server_addresses: ServerAddresses, run_id: str, worker: str) -> Iterator[FreshBroker]:
    """`fresh_broker()`: the `RABBITMQ_*` settings with an exchange and a queue that nobody else uses."""
    numbers = itertools.count(1)
    with contextlib.ExitStack() as stack:

        def create() -> Settings:
            name = f"{belongings.prefix(run_id)}{worker}_{next(numbers)}"
            settings = broker_settings_at(server_addresses.broker, name)
            stack.callback(_delete_queues, server_addresses.broker, settings)
            return settings

        yield create


@pytest.fixture(scope="session")
def fresh_bucket(server_addresses: ServerAddresses, run_id: str, worker: str) -> Iterator[FreshBucket]:
    """`fresh_bucket()`: the `MINIO_*` settings of a new, empty bucket, removed at the end of the session."""
    numbers = itertools.count(1)
    with contextlib.ExitStack() as stack:

        def create() -> Settings:
            address = server_addresses.s3
            name = f"{belongings.bucket_prefix(run_id)}{worker}-{next(numbers)}"
            belongings.create_bucket(address, name)
            stack.callback(belongings.remove_bucket, address, name)
            return bucket_settings_at(address, name)

        yield create


@pytest.fixture(scope="session")
def broker_settings(fresh_broker: FreshBroker) -> Settings:
    """One place on the broker for the whole session of this worker."""
    return fresh_broker()


@pytest.fixture(scope="session")
def bucket_settings(fresh_bucket: FreshBucket) -> Settings:
    """One bucket for the whole session of this worker."""
    return fresh_bucket()


@pytest.fixture(scope="module")
def clamd(run_id: str) -> Iterator[PrivateClamd]:
    """A running virus scanner that knows one virus; a test that stops it starts it again."""
    with _short_directory(run_id) as directory:
        try:
            server = installed_clamd(directory / "clamd")
        except CannotInstall as reason:
            pytest.fail(f"no clamd, and it could not be installed: {reason}", pytrace=False)
        with server:
            yield server


@pytest.fixture
def server_directory(run_id: str) -> Iterator[Path]:
    """A short directory that other accounts may pass through: the private servers run under such."""
    with _short_directory(run_id) as directory:
        yield directory


@pytest.fixture(scope="module")
def shared_server_directory(run_id: str) -> Iterator[Path]:
    """The same, for servers that the tests of a module share."""
    with _short_directory(run_id) as directory:
        yield directory


@contextlib.contextmanager
def _short_directory(run_id: str) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=belongings.prefix(run_id)))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def sqlite_settings(path: Path) -> Settings:
    return {
        "DB_CONNECTION": "sqlite",
        "DB_HOST": "",
        "DB_PORT": "",
        "DB_DATABASE": str(path),
        "DB_USERNAME": "",
        "DB_PASSWORD": "",
    }


def server_database_settings(address: Address, name: str) -> Settings:
    return {
        "DB_CONNECTION": "mysql",
        "DB_HOST": address.host,
        "DB_PORT": str(address.port),
        "DB_DATABASE": name,
        "DB_USERNAME": address.user,
        "DB_PASSWORD": address.password,
    }


def broker_settings_at(address: Address, name: str) -> Settings:
    return {
        "RABBITMQ_HOST": address.host,
        "RABBITMQ_PORT": str(address.port),
        "RABBITMQ_USER": address.user,
        "RABBITMQ_PASSWORD": address.password,
        "RABBITMQ_VHOST": address.path or "/",
        "RABBITMQ_EXCHANGE": f"{name}_events",
        "RABBITMQ_QUEUE": f"{name}_inbox",
    }


def bucket_settings_at(address: Address, name: str) -> Settings:
    return {
        "MINIO_ENDPOINT": f"http://{address}",
        "MINIO_ACCESS_KEY": address.user,
        "MINIO_SECRET_KEY": address.password,
        "MINIO_BUCKET": name,
        "MINIO_REGION": REGION,
    }


def _find(kind: ServerKind) -> Address:
    try:
        return (at_environment(kind) or at_default_port(kind)).address
    except (NotThere, WrongURL) as reason:
        pytest.fail(f"no {kind.name} server: {reason}. ./scripts/test starts one.", pytrace=False)


def _delete_queues(address: Address, settings: Settings) -> None:
    # With a virtual host of its own the run deletes that as a whole; this is for the shared one.
    import pika

    parameters = pika.URLParameters(address.with_path(address.path or "/").url)
    parameters.socket_timeout = LOGIN_TIMEOUT_SECONDS
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.exchange_delete(settings["RABBITMQ_EXCHANGE"])
    for suffix in ("", ".dead", ".effects", ".effects.DQ", ".effects.XQ"):
        channel.queue_delete(settings["RABBITMQ_QUEUE"] + suffix)
    connection.close()
