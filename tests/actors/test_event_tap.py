"""Foreign events from a real queue: good ones are written down once, poison is kept aside."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pytest

from sav.actors.event_tap import EventTap
from sav.models.tables import DueEffect, ReceivedEvent
from sav.settings import Settings
from tests.actors.conftest import eventually, parameters
from tests.servers.cable import Cable

TapFor = Callable[[Settings], EventTap]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"RABBITMQ_CONSUME_EXCHANGES": (f"{settings.RABBITMQ_EXCHANGE}_shop",)})


@pytest.fixture
def tap_for() -> Iterator[TapFor]:
    taps: list[EventTap] = []

    def start(settings: Settings) -> EventTap:
        tap = EventTap(settings)
        taps.append(tap)
        tap.start()
        return tap

    yield start
    for tap in taps:
        assert tap.stop()


class Shop:
    """Another service: publishes to its own exchange, to ours, or straight into the queue."""

    def __init__(self, connection: pika.BlockingConnection, settings: Settings) -> None:
        self.channel = connection.channel()
        self.channel.confirm_delivery()
        self.settings = settings
        self.numbers = itertools.count(1)

    def tell(
        self, body: bytes, *, exchange: str | None = None, key: str = "order.issue", **properties: Any
    ) -> None:
        exchange = self.settings.RABBITMQ_EXCHANGE if exchange is None else exchange
        self.channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties), mandatory=True)

    def issue(self, **members: Any) -> bytes:
        data = {"order_id": next(self.numbers), "user_id": 1}
        return json.dumps({"event": "order.issue", "data": data, **members}).encode()

    def dead(self) -> list[tuple[dict[str, Any], bytes]]:
        """Takes every dead letter: its headers and its body."""
        letters = []
        while (got := self.channel.basic_get(f"{self.settings.RABBITMQ_QUEUE}.dead", auto_ack=True))[0]:
            letters.append((got[1].headers, got[2]))
        return letters

    def waiting(self) -> int:
        count: int = self.channel.queue_declare(
            self.settings.RABBITMQ_QUEUE, passive=True
        ).method.message_count
        return count


@pytest.fixture
def shop(settings: Settings, tap_for: TapFor) -> Iterator[Shop]:
    """Somebody who publishes, once a tap has declared all that there is."""
    tap = tap_for(settings)
    with pika.BlockingConnection(parameters(settings)) as connection:
        shop = Shop(connection, settings)
        eventually(lambda: _is_declared(connection, settings), "the queues")
        assert tap.stop()
        yield shop
        channel = connection.channel()
        for queue in (settings.RABBITMQ_QUEUE, f"{settings.RABBITMQ_QUEUE}.dead"):
            channel.queue_delete(queue)
        for exchange in (settings.RABBITMQ_EXCHANGE, *settings.RABBITMQ_CONSUME_EXCHANGES):
            channel.exchange_delete(exchange)


def _is_declared(connection: pika.BlockingConnection, settings: Settings) -> bool:
    channel = connection.channel()
    try:
        channel.basic_publish(settings.RABBITMQ_EXCHANGE, "nothing", b"")
        channel.queue_declare(f"{settings.RABBITMQ_QUEUE}.dead", passive=True)
        return bool(channel.queue_declare(settings.RABBITMQ_QUEUE, passive=True).method.consumer_count)
    except pika.exceptions.ChannelClosedByBroker:
        return False


def received() -> int:
    return ReceivedEvent.select().count()


def test_events_come_from_every_exchange(settings: Settings, shop: Shop, tap_for: TapFor) -> None:
    shop.tell(shop.issue(id="a"))
    shop.tell(shop.issue(id="b"), exchange=settings.RABBITMQ_CONSUME_EXCHANGES[0])
    shop.tell(shop.issue(id="c"), exchange="", key=settings.RABBITMQ_QUEUE)
    tap_for(settings)

    eventually(lambda: received() == 3, "three events")
    assert DueEffect.select().count() == 3
    eventually(lambda: shop.waiting() == 0, "an empty queue")


def test_poison_is_kept_aside_with_its_reason_and_origin(
    settings: Settings, shop: Shop, tap_for: TapFor
) -> None:
    exchange = settings.RABBITMQ_CONSUME_EXCHANGES[0]
    shop.tell(b"\xff\xfe", exchange=exchange, key="product.issue_reported", message_id="m-1")
    shop.tell(shop.issue(id="good"))
    tap_for(settings)

    eventually(lambda: received() == 1, "the good event behind it")
    [(headers, body)] = shop.dead()
    assert body == b"\xff\xfe"
    assert headers["x-sav-reason"] == "not JSON in UTF-8"
    assert headers["x-sav-exchange"] == exchange
    assert headers["x-sav-routing-key"] == "product.issue_reported"
    assert headers["x-sav-buried-at"]


def test_good_and_bad_in_any_order_find_their_place(settings: Settings, shop: Shop, tap_for: TapFor) -> None:
    poison = [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"event": "order.issue"}',
        b"x" * 10_000_000,
        b'{"actor_name": "x"}',
    ]
    for number in range(300):
        shop.tell(shop.issue(id=f"e{number % 200}"))
        if number % 10 == 0:
            shop.tell(poison[number // 10 % len(poison)])
    for _ in range(2):
        tap_for(settings)

    eventually(lambda: shop.waiting() == 0 and received() == 200, "200 different events")
    assert len(shop.dead()) == 30


def test_what_a_tap_holds_when_the_broker_goes_away_comes_again(
    settings: Settings, settings_by_cable: Settings, cable: Cable, shop: Shop, tap_for: TapFor
) -> None:
    tap_for(settings.model_copy(update={"RABBITMQ_HOST": cable.host, "RABBITMQ_PORT": cable.port}))
    for number in range(100):
        if number in (20, 60):
            cable.cut()
        if number in (40, 80):
            cable.mend()
        shop.tell(shop.issue(id=f"e{number}"))

    eventually(lambda: received() == 100, "every event, once")
    assert DueEffect.select().count() == 100


def test_a_queue_that_somebody_else_declared_is_used_as_it_is(
    settings: Settings, shop: Shop, tap_for: TapFor
) -> None:
    shop.channel.queue_delete(settings.RABBITMQ_QUEUE)
    shop.channel.queue_declare(settings.RABBITMQ_QUEUE, durable=True, arguments={"x-max-length": 1000})
    tap_for(settings)
    eventually(
        lambda: shop.channel.queue_declare(settings.RABBITMQ_QUEUE, passive=True).method.consumer_count == 1,
        "a consumer",
    )
    shop.tell(shop.issue(), message_id="m")

    eventually(lambda: received() == 1, "its event")
