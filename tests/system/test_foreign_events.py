"""What other services send: each event has its effect once, and nothing that they send stops a worker."""

import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tests.plugins.servers import FreshBroker, FreshDatabase, Settings
from tests.servers.cable import Cable
from tests.servers.ports import wait_until
from tests.system.foreign import Shop, Tables, Workers, envelope

NUMBERS = itertools.count(1)
SEED = int(os.environ.get("SAV_TEST_SEED", "20261122"))

COPIES = 50
PUBLISHERS = 5
KILLS = 4
LONGEST_LIFE_SECONDS = 0.6
DONE_TIMEOUT_SECONDS = 90.0

CROWD = int(os.environ.get("SAV_TEST_CROWD", "2000"))
"""How many messages the great test sends: 10,000 take about a minute, and show nothing that 2,000 do not."""
GUESTS = CROWD * 2 // 100
ORDERS = CROWD * 8 // 100
PRODUCTS = CROWD * 2 // 100
STRANGERS = CROWD * 10 // 100
REPEATED = CROWD * 8 // 100
POISONED = CROWD * 60 // 100
HUGE = 5
DEEP = 20
CROWD_TIMEOUT_SECONDS = 420.0
GROWTH_MEGABYTES = 48.0
"""How much a worker may keep after all these messages, of which some have 10 MB: buffers, not messages."""

RECEIVED = "SELECT COUNT(*) FROM received_events"
WAITING_FOR_THE_TABLE = """
SELECT COUNT(*) FROM information_schema.processlist
WHERE db = %s AND state LIKE '%%metadata lock%%' AND info LIKE 'INSERT INTO%%received_events%%'
"""


@pytest.fixture
def settings(fresh_account: FreshDatabase, fresh_broker: FreshBroker) -> Settings:
    """An empty database with an account for the service, and a place on the broker."""
    return fresh_account(f"foreign{next(NUMBERS)}") | fresh_broker()


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    shop = Shop(settings)
    yield shop
    shop.purge()


@pytest.fixture
def tables(settings: Settings) -> Tables:
    return Tables(settings)


def test_fifty_copies_and_dying_workers_make_one_ticket(
    settings: Settings, shop: Shop, tables: Tables, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    body = envelope("order.issue", {"order_id": 7, "user_id": 1}, id="the-one")
    with Workers(settings, directory=tmp_path) as workers:
        shop.wait_for_consumers(2)
        with ThreadPoolExecutor(PUBLISHERS) as pool:
            share = [body] * (COPIES // PUBLISHERS)
            told = [pool.submit(shop.tell, share) for _ in range(PUBLISHERS)]
            for number in range(KILLS):
                time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
                workers.kill9(number % 2)
                workers.start(number % 2)
            for one in told:
                one.result()
        # One worker is enough to see the end of the queue; what the other one held is there again.
        workers.kill9(0)
        workers.kill9(1)
        workers.start(0)
        assert_one_ticket(shop, tables)


def test_a_worker_that_dies_between_its_commit_and_its_acknowledgement(
    settings: Settings, shop: Shop, tables: Tables, tmp_path: Path
) -> None:
    """The acknowledgement is lost on its way for certain: the copies come again, to another worker."""
    body = envelope("order.issue", {"order_id": 7, "user_id": 1}, id="the-one")
    with ExitStack() as stack:
        cable = stack.enter_context(Cable(settings["RABBITMQ_HOST"], int(settings["RABBITMQ_PORT"])))
        through_cable = settings | {"RABBITMQ_HOST": cable.host, "RABBITMQ_PORT": str(cable.port)}
        workers = stack.enter_context(Workers(through_cable, directory=tmp_path, count=1))
        shop.wait_for_consumers(1)
        with tables.connection() as locker, locker.cursor() as statements:
            statements.execute("LOCK TABLES received_events READ")
            shop.tell([body] * COPIES)
            wait_until(
                lambda: tables.number(WAITING_FOR_THE_TABLE, settings["DB_DATABASE"]) > 0,
                timeout_seconds=DONE_TIMEOUT_SECONDS,
                what="a worker that is about to write",
            )
            cable.black_hole()
            statements.execute("UNLOCK TABLES")
        wait_until(
            lambda: tables.number(RECEIVED) == 1,
            timeout_seconds=DONE_TIMEOUT_SECONDS,
            what="the commit",
        )
        workers.kill9(0)
        # What the dead worker has said since then is never heard.
        cable.cut()
        wait_until(
            lambda: shop.waiting() == COPIES, timeout_seconds=DONE_TIMEOUT_SECONDS, what="all copies, again"
        )
        cable.mend()
        workers.start(0)
        assert_one_ticket(shop, tables)


def assert_one_ticket(shop: Shop, tables: Tables) -> None:
    """Looks once the last copy was taken: to the only worker messages come in the order of the queue."""
    shop.tell([envelope("order.issue", {"order_id": 8, "user_id": 1}, id="the-last-one")])
    wait_until(
        lambda: tables.number(RECEIVED) == 2 and not tables.owed(),
        timeout_seconds=DONE_TIMEOUT_SECONDS,
        what="the end of the queue",
    )
    assert tables.metadata() == [{"order_id": 7}, {"order_id": 8}]
    assert tables.number("SELECT COUNT(*) FROM ticket_messages") == 0
    assert tables.rows("SELECT name, sequence FROM ticket_events") == [("ticket.created", 1)] * 2


@pytest.mark.timeout(600)
def test_thousands_of_good_and_poisonous_messages(
    settings: Settings, shop: Shop, tables: Tables, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    crowd = Crowd(chance)
    assert len(crowd.guests) + len(crowd.all) == CROWD
    with Workers(settings, directory=tmp_path) as workers:
        shop.wait_for_consumers(2)
        # Who registers later must have a ticket by then; and every buffer has its size afterwards.
        shop.tell([*crowd.guests, *huge_bodies(b"warm"), *deep_bodies(b"warm")])
        wait_until_done(shop, tables, received=GUESTS, buried=HUGE + DEEP)
        pids = [worker.pids for worker in workers.running]
        before = [worker.memory_megabytes for worker in workers.running]

        started_at = time.monotonic()
        shop.tell(crowd.all)
        wait_until_done(
            shop,
            tables,
            received=len(crowd.guests) + len(crowd.good),
            buried=HUGE + DEEP + len(crowd.poison),
        )
        seconds = time.monotonic() - started_at

        after = [worker.memory_megabytes for worker in workers.running]
        print(f"{len(crowd.all)} messages in {seconds:.1f} s: {len(crowd.all) / seconds:.0f}/s")
        print("memory of the workers before and after, MB:", *map(round, before), "->", *map(round, after))
        assert [worker.pids for worker in workers.running] == pids
        assert shop.consumers() == 2
        assert all(late - early < GROWTH_MEGABYTES for early, late in zip(before, after, strict=True))
    assert_effects(tables)
    assert_buried(shop, crowd.poison, exchange=settings["RABBITMQ_EXCHANGE"])


class Crowd:
    """Good events, copies of some of them, and poison, in a random order."""

    def __init__(self, chance: random.Random) -> None:
        self.guests = [
            envelope("order.issue", {"order_id": f"G{n}", "email": f"guest-{n}@example.com"}, id=f"guest-{n}")
            for n in range(GUESTS)
        ]
        self.good = [*first_reports(), *second_reports(), *product_issues(), *registrations()]
        repeated = chance.sample(self.good, REPEATED)
        self.poison = [*huge_bodies(b"x"), *deep_bodies(b"x")]
        self.poison += poison_bodies(POISONED - len(self.poison))
        self.all = [*self.good, *repeated, *self.poison]
        chance.shuffle(self.all)


def first_reports() -> list[bytes]:
    return [
        envelope("order.issue", {"order_id": n, "user_id": 1, "description": f"first {n}"}, id=f"first-{n}")
        for n in range(ORDERS)
    ]


def second_reports() -> list[bytes]:
    """Whichever of two reports comes first makes the ticket, the other one its message."""
    return [
        envelope("order.issue", {"order_id": n, "user_id": 1, "description": f"second {n}"}, id=f"second-{n}")
        for n in range(ORDERS)
    ]


def product_issues() -> list[bytes]:
    return [
        # Recognised by its content: neither an `id` nor a `message_id`.
        envelope("product.issue_reported", {"product_id": n, "user_id": 2, "description": "It is broken."})
        for n in range(PRODUCTS)
    ]


def registrations() -> list[bytes]:
    """Of each guest, and of people who have never written."""
    guests = [(5_000 + n, f"guest-{n}@example.com") for n in range(GUESTS)]
    strangers = [(9_000 + n, f"stranger-{n}@example.com") for n in range(STRANGERS)]
    return [
        envelope("user.registered", {"user_id": user_id, "email": email, "email_verified": True})
        for user_id, email in [*guests, *strangers]
    ]


def huge_bodies(mark: bytes) -> list[bytes]:
    return [
        b'{"event":"order.issue","data":{"%s":%d,"x":"%s"}}' % (mark, n, b"x" * 10_000_000)
        for n in range(HUGE)
    ]


def deep_bodies(mark: bytes) -> list[bytes]:
    return [
        b'{"event":"order.issue","data":{"%s":%d,"x":%s}}' % (mark, n, b"[" * 100_000 + b"]" * 100_000)
        for n in range(DEEP)
    ]


POISON: tuple[Callable[[int], bytes], ...] = (
    lambda n: b"",
    lambda n: b"hello %d" % n,
    lambda n: envelope("order.issue", {"order_id": n, "user_id": 1})[:-1],
    lambda n: f'{{"event": "é{n}"}}'.encode("latin-1"),
    lambda n: b"[%d]" % n,
    lambda n: b"null" + b" " * n,
    lambda n: b"%d" % n,
    lambda n: b'{"n": %d}' % n,
    lambda n: b'{"event": "order.issue", "n": %d}' % n,
    lambda n: envelope("order.issue", [n]),
    lambda n: envelope("order.issue", {"order_id": n}),
    lambda n: envelope("order.issue", {"user_id": n + 1}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": str(n)}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": True}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": -n}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": 2**63}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": 10**400}),
    lambda n: envelope("order.issue", {"order_id": n, "email": "nobody"}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": 1, "priority": "now"}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": 1, "subject": "x" * 256}),
    lambda n: envelope("order.issue", {"order_id": n, "user_id": 1, "description": "\ud800"}),
    lambda n: envelope("product.issue_reported", {"product_id": n, "user_id": 1, "description": " "}),
    lambda n: envelope("user.registered", {"user_id": n + 1, "email": "a@b.fr", "email_verified": "yes"}),
    lambda n: envelope("order.exploded", {"n": n}),
    lambda n: envelope("ticket.created", {"ticket_id": n}),
    lambda n: json.dumps({"event": n, "data": {}}).encode(),
    # Jobs of the workers' own, forged: to them the queue of other services is no queue of theirs.
    lambda n: json.dumps(
        {"queue_name": "sav_queue.effects", "actor_name": "publish_event", "args": [n], "kwargs": {},
         "options": {}, "message_id": f"forged-{n}", "message_timestamp": 1}
    ).encode(),
)  # fmt: skip


def poison_bodies(count: int) -> list[bytes]:
    return [POISON[n % len(POISON)](n) for n in range(count)]


def wait_until_done(shop: Shop, tables: Tables, *, received: int, buried: int) -> None:
    wait_until(
        lambda: tables.number(RECEIVED) == received and shop.buried() >= buried and not tables.owed(),
        timeout_seconds=CROWD_TIMEOUT_SECONDS,
        what=f"{received} events and {buried} dead letters",
    )


def assert_effects(tables: Tables) -> None:
    """Every good event has had its effect, and has had it once."""
    about = Counter(str(next(iter(item.items()))) for item in tables.metadata())
    expected = [("order_id", n) for n in range(ORDERS)]
    expected += [("product_id", n) for n in range(PRODUCTS)]
    assert about == Counter(map(str, expected + [("order_id", f"G{n}") for n in range(GUESTS)]))

    written = tables.rows(
        "SELECT t.description, m.content FROM support_tickets t JOIN ticket_messages m ON m.ticket_id = t.id"
    )
    assert sorted(map(sorted, written)) == sorted([f"first {n}", f"second {n}"] for n in range(ORDERS))

    owners = tables.rows("SELECT contact_email, user_id FROM support_tickets WHERE contact_email IS NOT NULL")
    assert sorted(owners) == sorted((f"guest-{n}@example.com", 5_000 + n) for n in range(GUESTS))


def assert_buried(shop: Shop, poison: list[bytes], *, exchange: str) -> None:
    """Everything that is no event lies in the dead letters, with why, when and where from."""
    letters = shop.dead_letters()
    sent = Counter(sha256(body).digest() for body in [*poison, *huge_bodies(b"warm"), *deep_bodies(b"warm")])
    buried = Counter(sha256(letter.body).digest() for letter in letters)
    assert buried.keys() == sent.keys()
    assert all(buried[body] >= times for body, times in sent.items())
    for letter in letters:
        assert letter.headers["x-sav-reason"]
        assert datetime.fromisoformat(letter.headers["x-sav-buried-at"]).tzinfo is not None
        assert letter.headers["x-sav-exchange"] == exchange
        assert letter.headers["x-sav-routing-key"] == "order.issue"
