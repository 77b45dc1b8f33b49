"""The commands of the operations guide, run as they stand: back up under load, lose everything, restore."""

import itertools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.plugins.servers import FreshBroker, FreshBucket, FreshDatabase
from tests.servers.install import CannotInstall, install_debian_packages
from tests.servers.ports import wait_until
from tests.system.conftest import Site, site_at
from tests.system.doc_commands import ROOT, Commands, run_by
from tests.system.fleet import EVENTS_TIMEOUT_SECONDS, Admin, Customer, Fleet, opened, token

BLOCKS = run_by("tests/system/test_operations_guide.py")
FILES_ON_S3 = {"SAV_STORAGE": "s3"}
WRITERS = 3
TICKETS_BEFORE = 12
COMMANDS_TIMEOUT_SECONDS = 400.0
PROGRAMS = {"mysqldump": "default-mysql-client", "mysql": "default-mysql-client"}


STOP_WORDS = r"""
MYSQL_PWD=$DB_PASSWORD mysql --host="$DB_HOST" --port="$DB_PORT" --user="$DB_USERNAME" "$DB_DATABASE" \
  --batch --skip-column-names --execute "SELECT COUNT(*) FROM support_tickets
    WHERE MATCH (subject, description) AGAINST ('+the' IN BOOLEAN MODE)"
"""


def block(word: str) -> Commands:
    (found,) = [block for block in BLOCKS if word in block.text]
    return found


def run(commands: Commands, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.text],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=COMMANDS_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def client_programs() -> None:
    """What the commands call."""
    missing = {package for name, package in PROGRAMS.items() if shutil.which(name) is None}
    if not missing:
        return
    try:
        install_debian_packages(sorted(missing))
    except CannotInstall as reason:
        pytest.fail(f"no {', '.join(sorted(missing))}: {reason}", pytrace=False)


@pytest.fixture
def lost(
    tmp_path: Path, fresh_account: FreshDatabase, fresh_bucket: FreshBucket, fresh_broker: FreshBroker
) -> Iterator[Site]:
    """A fleet that will be lost, with its files on S3."""
    database = fresh_account("lost") | fresh_bucket() | FILES_ON_S3
    directory = tmp_path / "lost"
    directory.mkdir()
    with site_at(database=database, broker=fresh_broker(), directory=directory) as site:
        yield site


class Writer(threading.Thread):
    """A customer who opens tickets, replies and sends files until they are told to stop."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.user_id = site.someone_new()
        self.confirmed: list[int] = []
        self.stop = threading.Event()

    def run(self) -> None:
        with Customer(self.site.fleet, self.user_id) as customer:
            while not self.stop.is_set():
                ticket_id = opened(customer.open({"description": "The parcel never came."}))
                opened(customer.reply(ticket_id, f"About {ticket_id}"))
                attach(self.site.fleet, self.user_id, ticket_id)
                self.confirmed.append(ticket_id)


def broker_of(fleet: Fleet) -> dict[str, str]:
    return {name: value for name, value in fleet.environment.items() if name.startswith("RABBITMQ_")}


def attach(fleet: Fleet, user_id: int, ticket_id: int) -> None:
    answer = httpx.post(
        f"{fleet.url}/tickets/{ticket_id}/attachments",
        files={"file": ("notes.txt", f"the file of {ticket_id}".encode())},
        headers={"Authorization": f"Bearer {token('customer', user_id)}"},
        timeout=60,
    )
    assert answer.status_code == 201, answer.text


def test_a_secret_is_made() -> None:
    secret = run(block("secrets.token_urlsafe"), {"PATH": os.environ["PATH"]}).strip()
    assert re.fullmatch(r"[\w-]{40,}", secret)


@pytest.mark.timeout(900)
def test_what_was_confirmed_before_the_back_up_is_there_after_the_restore(
    lost: Site, tmp_path: Path, fresh_account: FreshDatabase, fresh_bucket: FreshBucket
) -> None:
    writers = [Writer(lost) for _ in range(WRITERS)]
    # What they owe the other services must wait: it is in the back-up as owed.
    lost.cable.cut()
    for writer in writers:
        writer.start()
    wait_until(
        lambda: sum(len(writer.confirmed) for writer in writers) >= TICKETS_BEFORE,
        timeout_seconds=EVENTS_TIMEOUT_SECONDS,
        what="tickets",
    )
    before = {writer.user_id: list(writer.confirmed) for writer in writers}
    backup = {"BACKUP": str(tmp_path / "backup")}
    run(block("mysqldump"), lost.fleet.environment | backup)
    for writer in writers:
        writer.stop.set()
    for writer in writers:
        writer.join()
    lost.fleet.close()

    again = fresh_account("restored") | fresh_bucket() | FILES_ON_S3
    lost.cable.mend()
    directory = tmp_path / "restored"
    directory.mkdir()
    restored = Fleet(broker_of(lost.fleet) | again, directory=directory)
    told = run(block("gunzip"), restored.environment | backup)
    assert "copied:" in told
    assert int(run(block("gunzip")._replace(text=STOP_WORDS), restored.environment)) > 0, "no stop words"
    with restored:
        for user_id, tickets in before.items():
            with Customer(restored, user_id) as customer:
                everything = {row["id"]: row for row in customer.all_rows("/tickets")}
                assert set(tickets) <= set(everything)
                for ticket_id in tickets:
                    assert_whole(restored, customer, ticket_id)
                # One that was torn by the copy would be half.
                for ticket_id in everything:
                    assert customer.get(f"/tickets/{ticket_id}").status_code == 200
        for ticket_id in itertools.chain.from_iterable(before.values()):
            stream = lost.listener.wait_for(ticket_id, 2)
            assert [delivery.event["sequence"] for delivery in stream] == list(range(1, len(stream) + 1))
            assert [delivery.event["event"] for delivery in stream][:2] == [
                "ticket.created",
                "ticket.message.new",
            ]
        with Admin(restored, lost.someone_new()) as admin:
            total = admin.get("/tickets?include_total=true&per_page=1").json()["meta"]["total"]
            assert admin.get("/tickets/statistics").json()["total"] == total
            new = opened(admin.open())
            assert lost.listener.wait_for(new, 1)


def assert_whole(fleet: Fleet, customer: Customer, ticket_id: int) -> None:
    ticket = customer.ticket(ticket_id)
    assert [message["content"] for message in ticket["messages"]] == [f"About {ticket_id}"]
    (file,) = ticket["attachments"]
    link = customer.get(f"/tickets/{ticket_id}/attachments/{file['id']}/download?redirect=false").json()
    assert httpx.get(link["url"]).text == f"the file of {ticket_id}"
