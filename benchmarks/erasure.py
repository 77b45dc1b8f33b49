"""Exports and erases a person with a long history, by real processes, a database server and an S3 store.

    python -m benchmarks.erasure --rows 10000 --objects 100

The servers are those that the tests would use (`SAV_TEST_*`, or the default ports). Afterwards every table,
column and object is searched for the person, and statistics are compared. Exit code 1 when anything is left,
is missing from the archive, or is another number.
"""

import hashlib
import io
import json
import os
import secrets
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
from minio import Minio

from tests.plugins.servers import broker_settings_at, bucket_settings_at, server_database_settings
from tests.servers import belongings
from tests.servers.find import at_default_port, at_environment
from tests.servers.kinds import BROKER, DATABASE, S3
from tests.servers.ports import wait_until
from tests.system.fleet import Admin, Fleet
from tests.system.persons import (
    EMAIL,
    MAILS,
    MARKER,
    MESSAGES,
    ROWS_A_TICKET,
    attach_files,
    places_of,
    tables,
    write_history,
)

USER_ID = 4_100_041
PATIENCE_SECONDS = 1800.0
REQUEST_TIMEOUT_SECONDS = 300
T = TypeVar("T")


@click.command(help=__doc__)
@click.option("--rows", default=10_000, show_default=True, help="Rows of the person.")
@click.option("--objects", default=100, show_default=True, help="Files of theirs.")
@click.option("--others", default=2_000, show_default=True, help="Tickets of somebody else.")
def main(rows: int, objects: int, others: int) -> None:
    with ExitStack() as stack:
        settings, store = _settings(stack)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = stack.enter_context(Fleet(settings, directory=directory))
        admin = stack.enter_context(Admin(fleet, 99))
        cursor = stack.enter_context(tables(settings))
        ids = write_history(cursor, user_id=USER_ID, tickets=rows // ROWS_A_TICKET)
        write_history(cursor, user_id=2, tickets=others, mark="somebodyelse")
        attach_files(fleet, ids, files=objects)
        before = admin.get("/tickets/statistics").json()

        export, seconds = _timed(lambda: _done(admin, "/privacy/exports"))
        problems = _incomplete(admin, export, tickets=len(ids), objects=objects)
        click.echo(f"export: {seconds:.1f} s, {export['archive_bytes']} bytes, {export['counts']}")
        erasure, seconds = _timed(lambda: _done(admin, "/privacy/erasures"))
        click.echo(f"erasure: {seconds:.1f} s, {erasure['counts']}")

        problems += [f"left in {place}" for place in sorted(places_of(cursor, MARKER))]
        left = [item.object_name for item in store.list_objects(settings["MINIO_BUCKET"], recursive=True)]
        problems += [f"left in the store: {key}" for key in left]
        if admin.get("/tickets/statistics").json() != before:
            problems.append("statistics have changed")
        peak = max(_peak(pid) for pid in _tree(fleet.pid("worker")))
        click.echo(f"most memory of a worker process: {peak:.0f} MiB")
        click.echo("\n".join(problems) or "nothing is left, nothing is missing, no number has changed")
        sys.exit(1 if problems else 0)


def _settings(stack: ExitStack) -> tuple[dict[str, str], Minio]:
    name = f"sav_erasure_{secrets.token_hex(4)}"
    database, broker, s3 = (
        (at_environment(kind) or at_default_port(kind)).address for kind in (DATABASE, BROKER, S3)
    )
    belongings.create_database(database, name)
    stack.callback(belongings.drop_database, database, name)
    bucket = name.replace("_", "-")
    belongings.create_bucket(s3, bucket)
    stack.callback(belongings.remove_bucket, s3, bucket)
    settings = {
        **server_database_settings(database, name),
        **broker_settings_at(broker, name),
        **bucket_settings_at(s3, bucket),
        "SAV_STORAGE": "s3",
    }
    return settings, belongings.s3_client(s3)


def _done(admin: Admin, path: str) -> dict[str, Any]:
    """Asks for it, and waits until it is finished."""
    asked = admin.post(path, {"user_id": USER_ID, "email": EMAIL})
    asked.raise_for_status()
    mine = asked.headers["Location"]
    wait_until(
        lambda: admin.get(mine).json()["state"] not in ("waiting", "running"),
        timeout_seconds=PATIENCE_SECONDS,
        what=mine,
    )
    document: dict[str, Any] = admin.get(mine).json()
    if document["state"] != "finished":
        raise click.ClickException(f"{mine}: {document}")
    return document


def _incomplete(admin: Admin, export: dict[str, Any], *, tickets: int, objects: int) -> list[str]:
    """What is missing from the archive, or is not as its manifest says."""
    link = admin.get(f"/privacy/exports/{export['id']}/download?redirect=false").json()["url"]
    content = httpx.get(link, timeout=REQUEST_TIMEOUT_SECONDS).raise_for_status().content
    archive = zipfile.ZipFile(io.BytesIO(content))
    files = json.loads(archive.read("manifest.json"))["files"]
    problems = [
        f"{name} is not what the manifest says"
        for name, said in files.items()
        if hashlib.sha256(archive.read(name)).hexdigest() != said.get("sha256")
    ]
    expected = {
        "tickets": tickets,
        # One message of each ticket is a note of the staff, and one fact of it was told to other services.
        "messages": tickets * (MESSAGES - 1),
        "history": tickets,
        "mails": tickets * MAILS,
        "attachments": objects,
    }
    rows = {name: len(json.loads(archive.read(f"{name}.json"))) for name in set(export["counts"]) - {"files"}}
    rows["files"] = sum(name.startswith("attachments/") for name in archive.namelist())
    expected |= dict.fromkeys(set(rows) - set(expected), 0) | {"files": objects}
    for who, said in (("the document", export["counts"]), ("the archive", rows)):
        if said != expected:
            problems.append(f"{who} has {said} instead of {expected}")
    return problems


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.monotonic()
    return work(), time.monotonic() - started


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            yield from _tree(int(child))


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main()
