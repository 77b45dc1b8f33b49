"""Sends many large files at the same time to a real `sav http`, and watches the memory of its processes.

    python -m benchmarks.uploads --clients 50 --megabytes 10

The database, the broker and the S3 store are those that the tests would use (`SAV_TEST_*`, or the default
ports). Every file must arrive, whole; then the figures are printed. Exit code 1 when a file is lost or half,
or when a process has ever held more than `--limit` MiB.
"""

import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import click
import httpx

from tests.plugins.servers import bucket_settings_at, server_database_settings
from tests.servers import belongings
from tests.servers.find import at_default_port, at_environment
from tests.servers.kinds import DATABASE, S3
from tests.system.fleet import Customer, Fleet, opened, token

MEBIBYTE = 1024 * 1024
REQUEST_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Sent:
    """One upload, as its client saw it."""

    status: int
    seconds: float
    number: int
    digest: str


@click.command(help=__doc__)
@click.option("--clients", default=50, show_default=True, help="Uploads at the same time.")
@click.option("--megabytes", default=10, show_default=True, help="The size of each file.")
@click.option("--limit", default=200, show_default=True, help="MiB that a web process may hold.")
@click.option("--storage", type=click.Choice(["s3", "disk"]), default="s3", show_default=True)
def main(clients: int, megabytes: int, limit: int, storage: str) -> None:
    with ExitStack() as stack:
        settings = _settings(stack, storage)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = Fleet(settings, directory=directory)
        stack.callback(fleet.close)
        fleet.start("http")
        before = max(_peaks(fleet))
        user_id = 1
        with Customer(fleet, user_id) as customer:
            path = f"{fleet.url}/tickets/{opened(customer.open())}/attachments"
            started = time.monotonic()
            with ThreadPoolExecutor(clients) as pool:
                sent = list(pool.map(lambda _: _send(path, user_id, megabytes), range(clients)))
            seconds = time.monotonic() - started
            wrong = [
                upload for upload in sent if upload.status != 201 or not _is_whole(customer, path, upload)
            ]
        peaks = _peaks(fleet)
        durations = sorted(upload.seconds for upload in sent)
        click.echo(f"{clients} uploads of {megabytes} MiB in {seconds:.1f} s, to {storage}")
        click.echo(f"lost or half: {len(wrong)}")
        click.echo(f"one upload: median {statistics.median(durations):.1f} s, longest {durations[-1]:.1f} s")
        click.echo(f"most memory of a process: {before:.0f} MiB before, {max(peaks):.0f} MiB at its peak")
        sys.exit(1 if wrong or max(peaks) > limit else 0)


def _settings(stack: ExitStack, storage: str) -> dict[str, str]:
    database = (at_environment(DATABASE) or at_default_port(DATABASE)).address
    name = f"sav_uploads_{secrets.token_hex(4)}"
    belongings.create_database(database, name)
    stack.callback(belongings.drop_database, database, name)
    # Nobody is told anything, and nothing but the web tier runs: the broker may be away.
    settings = {**server_database_settings(database, name), "RABBITMQ_HOST": "127.0.0.1"}
    if storage == "disk":
        return settings
    s3, bucket = (at_environment(S3) or at_default_port(S3)).address, name.replace("_", "-")
    belongings.create_bucket(s3, bucket)
    stack.callback(belongings.remove_bucket, s3, bucket)
    return {**settings, **bucket_settings_at(s3, bucket), "SAV_STORAGE": "s3"}


def _send(path: str, user_id: int, megabytes: int) -> Sent:
    # A text, so that nothing but its size is remarkable; each another one.
    content = (secrets.token_hex(512) + "\n").encode() * (megabytes * MEBIBYTE // 1025)
    content = content.ljust(megabytes * MEBIBYTE, b".")
    started = time.monotonic()
    answer = httpx.post(
        path,
        files={"file": ("large.log", content)},
        headers={"Authorization": f"Bearer {token('customer', user_id)}"},
        timeout=REQUEST_TIMEOUT_SECONDS,
    )
    number = int(answer.json()["id"]) if answer.status_code == 201 else 0
    return Sent(answer.status_code, time.monotonic() - started, number, sha256(content).hexdigest())


def _is_whole(customer: Customer, path: str, upload: Sent) -> bool:
    if upload.status != 201:
        return False
    url = customer.get(f"{path}/{upload.number}").json()["file_url"].replace("localhost", "127.0.0.1")
    return sha256(httpx.get(url, timeout=REQUEST_TIMEOUT_SECONDS).content).hexdigest() == upload.digest


def _peaks(fleet: Fleet) -> list[float]:
    """The most memory, in MiB, that each process of the web tier has ever held."""
    return [_peak(pid) for pid in _descendants(fleet.pid("http"))]


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            yield from _descendants(int(child))


if __name__ == "__main__":
    main()
