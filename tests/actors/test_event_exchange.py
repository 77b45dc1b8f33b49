"""Publishing to RabbitMQ: confirmed, whatever has become of the connection meanwhile."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pika
import pika.exceptions
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout

from sav.actors import event_exchange
from sav.actors.event_exchange import EventExchange
from sav.operations.due_effects import Publication
from sav.settings import Settings
from tests.actors.conftest import Subscriber, parameters
from tests.servers.cable import Cable


def publication(sequence: int = 1) -> Publication:
    return Publication(
        token_id=1,
        event_id=str(uuid4()),
        name="ticket.created",
        published_sequence=sequence,
        data={"ticket_id": 7, "ticket_number": "TICKET-20260105-001", "user_id": None},
        request_id="request-7",
        occurred_at=datetime(2026, 1, 5, 9, 0, 0, 120_000, tzinfo=UTC),
        tries=0,
    )


@pytest.fixture
def exchange(settings_by_cable: Settings) -> Iterator[EventExchange]:
    exchange = EventExchange(settings_by_cable)
    yield exchange
    exchange.release()


def test_an_event_arrives_with_its_envelope_and_properties(
    exchange: EventExchange, subscriber: Subscriber
) -> None:
    sent = publication()
    exchange(sent)
    (event,) = subscriber.wait_for(1)
    assert event == {
        "event": "ticket.created",
        "timestamp": "2026-01-05T09:00:00.120000Z",
        "data": sent.data,
        "id": sent.event_id,
        "sequence": 1,
        "version": 1,
        "request_id": "request-7",
    }
    (properties,) = subscriber.properties
    assert properties.message_id == sent.event_id
    assert UUID(properties.message_id)
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert properties.content_type == "application/json"
    assert properties.headers == {"request_id": "request-7"}


def test_an_event_that_nobody_wants_is_no_error(exchange: EventExchange, settings: Settings) -> None:
    exchange(publication())
    # And the exchange is there now, durable, for those who will.
    with pika.BlockingConnection(parameters(settings)) as connection:
        connection.channel().exchange_declare(settings.RABBITMQ_EXCHANGE, "topic", durable=True)


def test_an_exchange_that_was_declared_otherwise_is_used_as_it_is(
    exchange: EventExchange, settings: Settings
) -> None:
    with pika.BlockingConnection(parameters(settings)) as connection:
        channel = connection.channel()
        channel.exchange_declare(settings.RABBITMQ_EXCHANGE, "fanout", durable=False)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, settings.RABBITMQ_EXCHANGE)
        exchange(publication())
        method, _, _ = channel.basic_get(queue, auto_ack=True)
        assert method is not None


def test_an_event_survives_a_connection_that_was_lost_before_it(
    exchange: EventExchange, subscriber: Subscriber, cable: Cable
) -> None:
    exchange(publication(1))
    cable.cut()
    cable.mend()
    exchange(publication(2))
    subscriber.wait_for(2)
    assert subscriber.first_sequences(7) == [1, 2]


def test_an_event_survives_an_exchange_that_was_deleted_before_it(
    exchange: EventExchange, settings: Settings
) -> None:
    exchange(publication(1))
    with pika.BlockingConnection(parameters(settings)) as connection:
        connection.channel().exchange_delete(settings.RABBITMQ_EXCHANGE)
        exchange(publication(2))
        connection.channel().exchange_declare(settings.RABBITMQ_EXCHANGE, passive=True)


def test_a_connection_that_was_idle_is_replaced_before_it_is_used(
    exchange: EventExchange, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    connect = pika.BlockingConnection

    def count(given: pika.ConnectionParameters) -> pika.BlockingConnection:
        opened.append(given)
        return connect(given)

    monkeypatch.setattr(pika, "BlockingConnection", count)
    exchange(publication(1))
    exchange(publication(2))
    assert len(opened) == 1
    monkeypatch.setattr(event_exchange, "LONGEST_IDLE_SECONDS", -1)
    exchange(publication(3))
    assert len(opened) == 2
    subscriber.wait_for(3)
    assert subscriber.first_sequences(7) == [1, 2, 3]


def test_without_a_broker_it_raises_and_knows_for_a_while(exchange: EventExchange, cable: Cable) -> None:
    assert not exchange.is_known_to_be_down
    cable.cut()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        exchange(publication())
    assert exchange.is_known_to_be_down
    cable.mend()
    exchange(publication())
    assert not exchange.is_known_to_be_down


def test_a_broker_that_accepts_and_says_nothing_is_given_up(exchange: EventExchange, cable: Cable) -> None:
    cable.black_hole()
    # None of AMQP's own errors, which is why everybody here catches Exception.
    with pytest.raises(AMQPConnectorStackTimeout):
        exchange(publication())
    assert exchange.is_known_to_be_down
