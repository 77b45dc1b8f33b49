"""How every connection to RabbitMQ is opened: short of patience, so that a silent broker is noticed."""

from collections.abc import Callable

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from sav.settings import Settings

CONNECT_TIMEOUT_SECONDS = 2
"""How long the broker's machine may take to accept a connection."""
HANDSHAKE_TIMEOUT_SECONDS = 3
"""How long it may take, from the first packet on, until AMQP is spoken."""
HEARTBEAT_SECONDS = 10
"""Without a sign of life for this long, and five seconds more, a connection in use counts as dead."""
BLOCKED_TIMEOUT_SECONDS = 5
"""How long a broker that is out of memory or disk may hold back a publisher, before it counts as down."""
NOT_FOUND = 404
"""The reply code for a queue or an exchange that does not exist."""
RESOURCE_LOCKED = 405
"""That for a queue which is another connection's own."""


def connection_options(settings: Settings) -> list[dict[str, object]]:
    """For each node of the broker, in the order in which they are tried, pika's connection parameters."""
    common: dict[str, object] = {
        "virtual_host": settings.RABBITMQ_VHOST,
        "credentials": pika.PlainCredentials(
            settings.RABBITMQ_USER, settings.RABBITMQ_PASSWORD.get_secret_value()
        ),
        "client_properties": {"connection_name": settings.APP_NAME},
        "heartbeat": HEARTBEAT_SECONDS,
        "blocked_connection_timeout": BLOCKED_TIMEOUT_SECONDS,
        "socket_timeout": CONNECT_TIMEOUT_SECONDS,
        "stack_timeout": HANDSHAKE_TIMEOUT_SECONDS,
        # Whoever wants another try has a back-off of its own.
        "connection_attempts": 1,
    }
    return [{**common, "host": host, "port": port} for host, port in settings.broker_nodes]


def connect(settings: Settings) -> pika.BlockingConnection:
    """A connection to the first node that answers; raises what the last one raised."""
    return pika.BlockingConnection(
        [pika.ConnectionParameters(**options) for options in connection_options(settings)]
    )


def ensure_exchange(connection: pika.BlockingConnection, name: str) -> None:
    """Makes a durable topic exchange, unless there is one of that name, of whatever kind."""
    if not _exists(connection, lambda channel: channel.exchange_declare(name, passive=True)):
        connection.channel().exchange_declare(name, exchange_type="topic", durable=True)


def ensure_queue(connection: pika.BlockingConnection, name: str, *, queue_type: str) -> None:
    """Makes a durable queue, unless there is one of that name: with other arguments it would refuse ours."""
    if not _exists(connection, lambda channel: channel.queue_declare(name, passive=True)):
        connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": queue_type})


def _exists(connection: pika.BlockingConnection, ask: Callable[[BlockingChannel], object]) -> bool:
    channel = connection.channel()
    try:
        ask(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        # The question costs the channel when the answer is no.
        if error.reply_code != NOT_FOUND:
            raise
        return False
    channel.close()
    return True
