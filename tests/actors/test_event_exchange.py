"""Publishing to RabbitMQ: confirmed, whatever has become of the connection meanwhile."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pika
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout

from sav.actors import event_exchange
from sav.actors.confirmed_line import ConfirmedLine, Nacked, NotConfirmed
from sav.actors.envelope import Outgoing
from sav.actors.event_exchange import EventExchange
from sav.operations.due_effects import Publication
from sav.settings import Settings
from tests.actors.conftest import Subscriber, parameters
from tests.servers.cable import Cable


def publication(sequence: int = 1) -> Publication:
    return Publication(
        token_id=1,
        ticket_id=7,
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
    assert exchange([Outgoing(sent)]) == [None]
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


def test_many_at_once_arrive_in_their_order(exchange: EventExchange, subscriber: Subscriber) -> None:
    count = 300
    assert exchange([Outgoing(publication(sequence)) for sequence in range(1, count + 1)]) == [None] * count
    subscriber.wait_for(count)
    assert subscriber.first_sequences(7) == list(range(1, count + 1))
    assert len(subscriber.properties) == count, "and none of them twice"


@contextmanager
def refusing(settings: Settings, name: str) -> Iterator[None]:
    """Meanwhile the broker takes no event of this name: a queue that wants it is full."""
    with pika.BlockingConnection(parameters(settings)) as connection:
        channel = connection.channel()
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        queue = channel.queue_declare("", exclusive=True, arguments=full).method.queue
        channel.queue_bind(queue, settings.RABBITMQ_EXCHANGE, name)
        yield


def test_one_that_the_broker_cannot_take_is_named_and_the_others_are_out(
    exchange: EventExchange, settings: Settings, subscriber: Subscriber
) -> None:
    exchange([Outgoing(publication(1))])
    with refusing(settings, "ticket.closed"):
        wanted_by_a_full_queue = dataclasses.replace(publication(3), name="ticket.closed")
        events = [publication(2), wanted_by_a_full_queue, publication(4)]
        outcomes = exchange([Outgoing(event) for event in events])
    assert [type(outcome) for outcome in outcomes] == [type(None), Nacked, type(None)]
    subscriber.wait_for(3)
    exchange([Outgoing(publication(5))])
    subscriber.wait_for(4)
    assert {1, 2, 4, 5} <= set(subscriber.first_sequences(7))


def test_nothing_is_sent_again_when_the_time_of_a_wave_is_over(
    exchange: EventExchange,
    settings: Settings,
    subscriber: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_exchange, "WAVE_SECONDS", 0.0)
    with refusing(settings, "ticket.closed"):
        refused = [dataclasses.replace(publication(number), name="ticket.closed") for number in (2, 3)]
        outcomes = exchange([Outgoing(event) for event in (publication(1), *refused)])
    assert [type(outcome) for outcome in outcomes] == [type(None), NotConfirmed, NotConfirmed]
    subscriber.wait_for(1)
    exchange([Outgoing(publication(4))])
    subscriber.wait_for(2)
    assert len([each for each in subscriber.properties if each.type == "ticket.closed"]) <= len(refused)


def test_an_event_that_nobody_wants_is_no_error(exchange: EventExchange, settings: Settings) -> None:
    exchange([Outgoing(publication())])
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
        exchange([Outgoing(publication())])
        method, _, _ = channel.basic_get(queue, auto_ack=True)
        assert method is not None


def test_an_event_survives_a_connection_that_was_lost_before_it(
    exchange: EventExchange, subscriber: Subscriber, cable: Cable
) -> None:
    exchange([Outgoing(publication(1))])
    cable.cut()
    cable.mend()
    exchange([Outgoing(publication(2))])
    subscriber.wait_for(2)
    assert subscriber.first_sequences(7) == [1, 2]


def test_an_event_survives_an_exchange_that_was_deleted_before_it(
    exchange: EventExchange, settings: Settings
) -> None:
    exchange([Outgoing(publication(1))])
    with pika.BlockingConnection(parameters(settings)) as connection:
        connection.channel().exchange_delete(settings.RABBITMQ_EXCHANGE)
        exchange([Outgoing(publication(2))])
        connection.channel().exchange_declare(settings.RABBITMQ_EXCHANGE, passive=True)


def test_a_connection_that_was_idle_is_replaced_before_it_is_used(
    exchange: EventExchange, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    class Counted(ConfirmedLine):
        def __init__(self, settings: Settings, *, exchange: str) -> None:
            opened.append(self)
            super().__init__(settings, exchange=exchange)

    monkeypatch.setattr(event_exchange, "ConfirmedLine", Counted)
    exchange([Outgoing(publication(1))])
    exchange([Outgoing(publication(2))])
    assert len(opened) == 1
    monkeypatch.setattr(event_exchange, "LONGEST_IDLE_SECONDS", -1)
    exchange([Outgoing(publication(3))])
    assert len(opened) == 2
    subscriber.wait_for(3)
    assert subscriber.first_sequences(7) == [1, 2, 3]


def test_a_line_that_is_let_go_leaves_no_connection_behind(settings: Settings) -> None:
    line = ConfirmedLine(settings, exchange=settings.RABBITMQ_EXCHANGE)
    line.close()
    assert line.is_closed


def test_without_a_broker_it_raises_and_knows_for_a_while(exchange: EventExchange, cable: Cable) -> None:
    assert not exchange.is_known_to_be_down
    cable.cut()
    with pytest.raises(ConnectionRefusedError):
        exchange([Outgoing(publication())])
    assert exchange.is_known_to_be_down
    cable.mend()
    exchange([Outgoing(publication())])
    assert not exchange.is_known_to_be_down


def test_a_broker_that_accepts_and_says_nothing_is_given_up(exchange: EventExchange, cable: Cable) -> None:
    cable.black_hole()
    # None of AMQP's own errors, which is why everybody here catches Exception.
    with pytest.raises(AMQPConnectorStackTimeout):
        exchange([Outgoing(publication())])
    assert exchange.is_known_to_be_down
