"""A new version takes the old one's place while people work: no request fails, no effect is lost or doubled.

Between two releases it is done by `benchmarks/upgrade.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.plugins.servers import FreshBroker
from tests.servers.balancer import Balancer
from tests.servers.cable import Cable
from tests.system.conftest import Site
from tests.system.deployment import Deployment
from tests.system.fleet import Admin, ExchangeListener, Fleet
from tests.system.writers import Writers, assert_all_events_are_out, assert_nothing_is_lost_or_doubled

REPLICAS = 2
WRITERS = 3
TICKETS_BETWEEN = 3


@pytest.fixture
def deployment(
    tmp_path: Path, fresh_account: Callable[[str], dict[str, str]], fresh_broker: FreshBroker
) -> Iterator[tuple[Deployment, Site]]:
    broker = fresh_broker()
    with ExitStack() as stack:
        cable = stack.enter_context(Cable(broker["RABBITMQ_HOST"], int(broker["RABBITMQ_PORT"])))
        listener = stack.enter_context(ExchangeListener(broker))
        balancer = stack.enter_context(Balancer())
        # Not started: it is the address that everybody knows, and the settings.
        fleet = Fleet({**fresh_account("rolling"), **broker}, directory=tmp_path, port=balancer.port)
        stack.callback(lambda: listener.delete_queues(*fleet.effect_queues))
        deployment = Deployment(fleet.environment, directory=tmp_path, balancer=balancer)
        stack.callback(deployment.close)
        yield deployment, Site(fleet, cable, listener)


@pytest.mark.timeout(900)
def test_a_new_version_of_each_tier_under_load_fails_nothing(deployment: tuple[Deployment, Site]) -> None:
    tiers, site = deployment
    web = [tiers.start("http") for _ in range(REPLICAS)]
    workers = [tiers.start("worker") for _ in range(REPLICAS)]
    codes = []
    with Writers(site, count=WRITERS) as writers:
        writers.wait_for_tickets(TICKETS_BETWEEN)
        for name, old_ones in (("http", web), ("worker", workers)):
            for old in old_ones:
                tiers.start(name)
                codes.append(tiers.end(old))
                writers.wait_for_tickets(TICKETS_BETWEEN)

    assert codes == [0] * 2 * REPLICAS
    print(
        f"{len(writers.answers)} requests: {dict(writers.statuses)}; without an answer: {writers.unanswered}"
    )
    assert writers.unanswered == []
    assert set(writers.statuses) == {200, 201}
    with Admin(site.fleet, site.someone_new()) as admin:
        assert_nothing_is_lost_or_doubled(writers, admin)
        assert_all_events_are_out(site.listener, admin, writers.ticket_ids)
    # Who ends in good order tells nothing twice.
    ids = [delivery.event["id"] for delivery in site.listener.deliveries]
    assert len(ids) == len(set(ids))
