"""What is wrong with RabbitMQ, in words for the operator who has just tried to use it."""

import contextlib
import socket
from collections.abc import Iterator

import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException


class BrokerTrouble(Exception):
    """RabbitMQ could not be reached, refused us or broke off; `advice` says what to do about it."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice


@contextlib.contextmanager
def broker_trouble() -> Iterator[None]:
    """Raises `BrokerTrouble` in place of whatever the broker's client raises inside."""
    try:
        yield
    # What a broker that accepts and then says nothing leads to is none of pika's own AMQPErrors.
    except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
        raise BrokerTrouble(*_words(error)) from error


def _words(error: Exception) -> tuple[str, str]:
    match error:
        case pika.exceptions.ProbableAuthenticationError():
            return "the login is refused", "Correct RABBITMQ_USER and RABBITMQ_PASSWORD."
        case pika.exceptions.ProbableAccessDeniedError():
            return (
                "the virtual host is refused",
                "Correct RABBITMQ_VHOST, or make it: rabbitmqctl add_vhost, set_permissions.",
            )
        case socket.gaierror():
            return "no machine of that name is known", "Correct RABBITMQ_HOST."
        case pika.exceptions.ConnectionBlockedTimeout():
            return (
                "the broker takes no messages",
                "It is out of memory or disk: see rabbitmqctl status, Alarms.",
            )
        case pika.exceptions.ChannelClosedByBroker() | pika.exceptions.ConnectionClosedByBroker():
            return f"the broker refuses: {error.reply_text}", "Compare the user's permissions."
        case pika.exceptions.NackError():
            return "the broker did not take a message", "A queue is full or has lost its leader; try again."
        case pika.exceptions.AMQPConnectionError() | AMQPConnectorException() | OSError():
            return "it does not answer", "Start it, or correct RABBITMQ_HOST and RABBITMQ_PORT."
        case _:
            return type(error).__name__, "See the broker's log."
