"""django-helpdesk, in an environment of its own, on the same database server, behind the same gunicorn.

It is measured twice: as shipped, by its own API, and with its model behind stock Django REST views. The
choices are kind to it: a look-up of a token instead of a password with each request, kept connections, no
debug, no mails, and a list of all tickets instead of one customer's, which it has no index for.
"""

import random
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import pymysql

from benchmarks.bench.bounds import DIFFERENT_REQUESTS, HOT_REQUESTS, TICKETS
from benchmarks.bench.competitors import WebServer, gunicorn
from benchmarks.bench.ground import Ground, exists
from benchmarks.bench.processes import output_of
from benchmarks.bench.workloads import Requests, Workload, request
from tests.servers.addresses import Address
from tests.servers.belongings import create_database, drop_database
from tests.servers.ports import free_port

PACKAGES = (
    "django-helpdesk>=2.6,<3",
    "djangorestframework>=3.16,<4",
    "PyMySQL>=1.2,<2",
    "cryptography>=45",
    "gunicorn>=27,<28",
)
ENVIRONMENT = Path("var") / "bench" / "django-helpdesk"
SEED_TIMEOUT_SECONDS = 1800.0
SITE = "benchmarks.peers.helpdesk_site"


def install() -> Path:
    """Its environment, made when it is not there yet; returns where its programs are."""
    programs = ENVIRONMENT.absolute() / "bin"
    done = ENVIRONMENT / "installed-for"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        click.echo(f"installing django-helpdesk into {ENVIRONMENT} ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)  # noqa: S603
        pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)  # noqa: S603
        done.write_text(" ".join(PACKAGES))
    return programs


@dataclass(frozen=True, kw_only=True)
class Helpdesk:
    """A seeded site of one size, and how to ask it for things."""

    programs: Path
    address: Address
    token: str
    tickets: int

    @classmethod
    def seeded(cls, ground: Ground, size: str, *, reuse: bool) -> "Helpdesk":
        """Installs and fills it as far as that is not done."""
        programs = install()
        address = ground.server.with_path(f"{ground.prefix}_helpdesk_{size}")
        if not (reuse and exists(address)):
            drop(address)
            create_database(ground.server, address.path)
        click.echo(f"django-helpdesk with {TICKETS[size]:,} tickets in {address.path}")
        token = output_of(
            [str(programs / "python"), "-m", f"{SITE}.seed", str(TICKETS[size])],
            environment={"PEER_DATABASE": address.url},
            timeout=SEED_TIMEOUT_SECONDS,
        ).split()[-1]
        return cls(programs=programs, address=address, token=token, tickets=TICKETS[size])

    def server(self) -> WebServer:
        port = free_port()
        return WebServer(
            name="django-helpdesk",
            command=gunicorn(str(self.programs / "gunicorn"), f"{SITE}.wsgi:app", port),
            environment={"PEER_DATABASE": self.address.url},
            port=port,
            ready_path="/stock/",
        )

    def create(self, workload: Workload, root: str) -> Requests:
        """Tickets with the texts that the service gets."""
        new = [workload.new_ticket() for _ in range(HOT_REQUESTS)]
        return [
            self._ask(
                "POST",
                f"/{root}/tickets/",
                {
                    "title": ticket["subject"],
                    "description": ticket["description"],
                    "queue": 1,
                    "submitter_email": f"customer{number}@example.com",
                    "status": 1,
                    "priority": 3,
                },
            )
            for number, ticket in enumerate(new)
        ]

    def get(self, root: str) -> Requests:
        dice = random.Random(3)  # noqa: S311
        return [
            self._ask("GET", f"/{root}/tickets/{dice.randint(1, self.tickets)}/")
            for _ in range(DIFFERENT_REQUESTS)
        ]

    def list(self, root: str) -> Requests:
        """Its newest 25."""
        return [self._ask("GET", f"/{root}/tickets/")]

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        return request(method, path, authorization=f"Token {self.token}", body=body)


def drop(address: Address) -> None:
    with suppress(pymysql.MySQLError):
        drop_database(address.with_path(""), address.path)
