"""An erasure is done once, whole, and says so rightly, whoever is killed in its middle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.servers import FreshBroker, FreshDatabase
from tests.servers.ports import wait_until
from tests.system.conftest import Site, site_at
from tests.system.fleet import Admin
from tests.system.persons import (
    EMAIL,
    MARKER,
    MESSAGES,
    attach_files,
    count,
    places_of,
    tables,
    write_history,
)

TICKETS, FILES = 120, 6
DEATHS_AT = (0.05, 0.4)
"""How much of it is done when the workers are killed."""
# What a killed worker has leased waits for 30 seconds, each time; and other processes may be busy.
PATIENCE_SECONDS = 120.0


@pytest.fixture
def own_site(tmp_path: Path, fresh_account: FreshDatabase, fresh_broker: FreshBroker) -> Iterator[Any]:
    database = fresh_account("privacy")
    with site_at(database=database, broker=fresh_broker(), directory=tmp_path) as site:
        yield site, database


def test_a_worker_is_killed_in_the_middle_of_an_erasure(own_site: Any) -> None:
    site, database = own_site
    user_id = site.someone_new()
    with tables(database) as cursor, Admin(site.fleet, 99) as admin:
        ids = write_history(cursor, user_id=user_id, tickets=TICKETS)
        attach_files(site.fleet, ids, files=FILES)
        before = admin.get("/tickets/statistics").json()
        asked = admin.post("/privacy/erasures", {"user_id": user_id, "email": EMAIL})
        assert asked.status_code == 202, asked.text
        path = asked.headers["Location"]

        deaths = sum(_kill_at(site, admin, path, share) for share in DEATHS_AT)
        wait_until(
            lambda: _erasure(admin, path)["state"] == "finished",
            timeout_seconds=PATIENCE_SECONDS,
            what="the erasure",
        )

        assert deaths >= 1, "it was done before anybody could be killed"
        assert places_of(cursor, MARKER) == set()
        assert admin.get("/tickets/statistics").json() == before
        erasure = _erasure(admin, path)
        erased = erasure["receipt"]["statement"]["erased"]
        assert erased["tickets"] == TICKETS
        assert erased["messages"] == TICKETS * MESSAGES
        assert erased["attachments"] == FILES
        assert count(cursor, "SELECT COUNT(*) FROM ticket_events WHERE name = 'ticket.erased'") == TICKETS
        assert count(cursor, "SELECT COUNT(*) FROM ticket_attachments") == 0
    assert [path for path in _objects(site) if path.is_file()] == []
    for name in ("http", "worker"):
        assert MARKER not in site.fleet.log(name).read_text(errors="replace")


def _kill_at(site: Site, admin: Admin, path: str, share: float) -> bool:
    """Kills the workers when so much of it is done, and starts others; False when it was done before."""

    def is_far_enough() -> bool:
        erasure = _erasure(admin, path)
        return erasure["state"] == "finished" or bool(
            erasure["tickets_found"] and erasure["tickets_done"] >= share * TICKETS
        )

    wait_until(is_far_enough, timeout_seconds=PATIENCE_SECONDS, what="a part of the erasure")
    site.fleet.kill9("worker")
    was_in_its_middle = _erasure(admin, path)["state"] == "running"
    site.fleet.start("worker")
    return was_in_its_middle


def _erasure(admin: Admin, path: str) -> dict[str, Any]:
    answer = admin.get(path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def _objects(site: Site) -> list[Path]:
    return list((site.fleet.directory / "var" / "attachments" / "objects").rglob("*"))
