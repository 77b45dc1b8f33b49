"""The fleet that system tests share: one a test process, behind a cable to the broker that tests may cut."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.plugins.servers import FreshBroker, FreshDatabase, Settings
from tests.servers.belongings import prefix
from tests.servers.cable import Cable
from tests.system.fleet import Admin, Customer, ExchangeListener, Fleet, own_account

USER_IDS = count(10_001)

# It logs every connection that fails, which here are many and intended.
logging.getLogger("pika").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Site:
    """A fleet, the cable between it and the broker, and a listener that does not need the cable."""

    fleet: Fleet
    cable: Cable
    listener: ExchangeListener

    def someone_new(self) -> int:
        """A user id that no test before this one has used."""
        return next(USER_IDS)


@contextmanager
def site_at(*, database: Settings, broker: Settings, directory: Path) -> Iterator[Site]:
    """A new fleet on this database and this broker."""
    with ExitStack() as stack:
        cable = stack.enter_context(Cable(broker["RABBITMQ_HOST"], int(broker["RABBITMQ_PORT"])))
        listener = stack.enter_context(ExchangeListener(broker))
        through_cable = broker | {"RABBITMQ_HOST": cable.host, "RABBITMQ_PORT": str(cable.port)}
        fleet = Fleet(database | through_cable, directory=directory)
        stack.callback(lambda: listener.delete_queues(*fleet.effect_queues))
        stack.enter_context(fleet)
        yield Site(fleet, cable, listener)
        # Shown by pytest when a test has failed.
        print(fleet.end_of_logs())


@pytest.fixture(scope="session")
def fresh_account(fresh_database: FreshDatabase, run_id: str, worker: str) -> Iterator[FreshDatabase]:
    """`fresh_account("inbox")`: as `fresh_database`, with an account of its own for the service.

    No two fleets may share a database: each would publish the other's events on its own broker.
    """
    with ExitStack() as stack:

        def create(name: str) -> Settings:
            account = own_account(fresh_database(name), name=f"{prefix(run_id)}{worker}_{name}")
            return stack.enter_context(account)

        yield create


@pytest.fixture(scope="session")
def shared_site(
    tmp_path_factory: pytest.TempPathFactory, fresh_account: FreshDatabase, fresh_broker: FreshBroker
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("fleet")
    with site_at(database=fresh_account("fleet"), broker=fresh_broker(), directory=directory) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The shared fleet in one piece, whatever the test before has done to it."""
    shared_site.cable.mend()
    shared_site.fleet.make_whole()
    yield shared_site
    # Shown by pytest when the test has failed.
    print(shared_site.fleet.end_of_logs())


@pytest.fixture
def fleet(site: Site) -> Fleet:
    return site.fleet


@pytest.fixture
def listener(site: Site) -> ExchangeListener:
    return site.listener


@pytest.fixture
def customer(site: Site) -> Iterator[Customer]:
    """A customer whom nobody has seen before."""
    with Customer(site.fleet, site.someone_new()) as customer:
        yield customer


@pytest.fixture
def admin(site: Site) -> Iterator[Admin]:
    with Admin(site.fleet, site.someone_new()) as admin:
        yield admin
