"""The broker goes away while people write: nobody notices, and all that happened is told afterwards."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.plugins.servers import FreshDatabase, broker_settings_at
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.system.conftest import Site, site_at
from tests.system.fleet import Admin, ProcessName, median, quantile
from tests.system.writers import (
    PAUSE_SECONDS,
    Writers,
    assert_all_events_are_out,
    assert_nothing_is_lost_or_doubled,
)

BEFORE_SECONDS = 3.0
WINDOW_SECONDS = 2.0
LONG_OUTAGE_SECONDS = 30.0
LONG_OUTAGE_PAUSE_SECONDS = 0.2
TICKETS_AFTER_THE_RETURN = 5
# A publisher that was killed holds its lease for 30 seconds.
EVENTS_TIMEOUT_SECONDS = 60.0
SLOWEST_WRITE_SECONDS = 10.0


def test_thirty_seconds_without_rabbitmq(
    server_directory: Path, fresh_account: FreshDatabase, tmp_path: Path
) -> None:
    with PrivateRabbitMQ(server_directory / "broker") as broker:
        settings = broker_settings_at(broker.address, "outage")
        with site_at(database=fresh_account("outage"), broker=settings, directory=tmp_path) as site:
            write_through_an_outage(
                site,
                begin=broker.kill,
                end=broker.start,
                kill=("http", "worker"),
                seconds=LONG_OUTAGE_SECONDS,
                pause_seconds=LONG_OUTAGE_PAUSE_SECONDS,
            )


def test_a_cut_cable(site: Site) -> None:
    write_through_an_outage(site, begin=site.cable.cut, end=site.cable.mend)


def test_a_network_that_swallows_everything(site: Site) -> None:
    write_through_an_outage(site, begin=site.cable.black_hole, end=site.cable.mend, kill=("http", "worker"))


def write_through_an_outage(
    site: Site,
    *,
    begin: Callable[[], None],
    end: Callable[[], None],
    kill: tuple[ProcessName, ...] = (),
    seconds: float = 0.0,
    pause_seconds: float = PAUSE_SECONDS,
) -> None:
    """Writes before, during and after; in the middle of the outage processes are killed and started again."""
    with Writers(site, pause_seconds=pause_seconds) as writers:
        writers.wait_for_tickets(1)
        up_from = time.monotonic()
        time.sleep(BEFORE_SECONDS)
        began_at = time.monotonic()
        begin()
        down_from = time.monotonic()
        time.sleep(2 * WINDOW_SECONDS)
        for name in kill:
            site.fleet.kill9(name)
        site.fleet.start(*kill)
        writers.wait_for_tickets(1)
        at_work_again_at = time.monotonic()
        time.sleep(max(WINDOW_SECONDS, began_at + seconds - at_work_again_at))
        ended_at = time.monotonic()
        end()
        returned_at = time.monotonic()
        writers.wait_for_tickets(TICKETS_AFTER_THE_RETURN)

    assert writers.unanswered if "http" in kill else not writers.unanswered
    assert_as_quick_as_before(
        writers.seconds_between(up_from, began_at),
        [
            writers.seconds_between(down_from, down_from + WINDOW_SECONDS),
            writers.seconds_between(down_from + WINDOW_SECONDS, down_from + 2 * WINDOW_SECONDS),
            writers.seconds_between(at_work_again_at, ended_at),
        ],
    )
    with Admin(site.fleet, site.someone_new()) as admin:
        assert_all_events_are_out(
            site.listener, admin, writers.ticket_ids, timeout_seconds=EVENTS_TIMEOUT_SECONDS
        )
        assert not any(began_at + 1 < delivery.at < ended_at for delivery in site.listener.deliveries)
        last_at = max(delivery.at for delivery in site.listener.deliveries)
        print(f"the last event came {last_at - returned_at:.1f} s after the broker's return")
        assert_nothing_is_lost_or_doubled(writers, admin)


def assert_as_quick_as_before(up: list[float], down: list[list[float]]) -> None:
    """Compares with the quietest part of the outage: other work on the machine disturbs some, a wait for
    the broker all of them."""
    for name, values in (("up", up), *((f"down {n}", part) for n, part in enumerate(down))):
        print(
            f"{name}: n={len(values)} p50={median(values) * 1e3:.1f} ms "
            f"p95={quantile(values, 0.95) * 1e3:.1f} ms max={max(values) * 1e3:.1f} ms"
        )
    assert min(median(part) for part in down) <= 5 * median(up) + 0.05
    assert min(quantile(part, 0.95) for part in down) <= 5 * quantile(up, 0.95) + 0.05
    assert max(max(part) for part in down) < SLOWEST_WRITE_SECONDS
