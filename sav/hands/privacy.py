"""`scripts/privacy`: what is known of a person, and its erasure, by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import structlog

from sav.bootstrap import object_store
from sav.domain.caller import SYSTEM
from sav.domain.email_addresses import mailbox
from sav.domain.errors import NotFound
from sav.domain.occasion import Occasion
from sav.domain.privacy import ExportNotReady, RequestKind, Subject, subject_hash
from sav.hands.commands import (
    CONTEXT_SETTINGS,
    Commands,
    embedded_option,
    open_database,
    operator,
    progress_bar,
    settings_for,
    with_logs,
)
from sav.models.person_sight import accounts_linked_by, accounts_written_to, how_much, subject_named
from sav.models.tables import PrivacyRequest
from sav.operations.privacy_requests import request_privacy
from sav.operations.receipts import BadReceipt, public_key, read_receipt, verified
from sav.operations.service_secrets import privacy_secret
from sav.queries.pages import PageRequest
from sav.queries.privacy_requests import erasure_progress, export_archive, list_requests, one_request
from sav.settings import Settings
from sav.storage.object_store import StorageUnavailable

POLL_SECONDS = 1.0
LISTED = 100
WORDS_LEFT = (
    "No search finds their words any more, but the full-text index keeps them until it is made anew: "
    "scripts/reindex_search, at a quiet hour."
)
log = structlog.get_logger(__name__)


@click.group(cls=Commands, context_settings=CONTEXT_SETTINGS)
def main() -> None:
    """Give out all that is known of a person, or erase it for ever.

    The workers do it, and go on whatever dies: these commands ask for it, and say how far it has come.
    docs/privacy.md says where personal data is, what an archive holds, and what stays after an erasure.

    \b
    Examples:
      scripts/privacy export --user-id 42 --email camille@example.com --wait --out camille.zip
      scripts/privacy erase --user-id 42 --dry-run
      scripts/privacy erase --user-id 42 --email camille@example.com --yes --wait --out receipt.json
      scripts/privacy status erasure 3
      scripts/privacy verify receipt.json --user-id 42 --email camille@example.com

    Asked again before it is done, it is the same request; asked again later, a new one that finds nothing.

    Exit codes: 0 done, or asked for; 1 it failed, nothing of that id is there, or a receipt is not good;
    2 wrong settings or options.
    """


def _person(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--email", help="Their e-mail address: what was written under it without an account."),
        click.option("--user-id", type=click.IntRange(min=1, max=2**63 - 1), help="The id of their account."),
    ):
        command = option(command)
    return command


def _require_somebody(user_id: int | None, email: str | None) -> None:
    if user_id is None and not email:
        raise click.UsageError("Say whom: --user-id, --email, or both.")
    if email and "@" not in email:
        raise click.UsageError("--email must be an address.")


_wait = click.option("--wait", is_flag=True, help="Wait until the workers have done it, with a progress bar.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say how much there is; change nothing.")


@main.command()
@_person
@_dry_run
@_wait
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to put the archive.")
@embedded_option
def export(
    user_id: int | None, email: str | None, dry_run: bool, wait: bool, out: Path | None, embedded: bool
) -> None:
    """Put everything about a person into one archive (a zip with a manifest)."""
    _require_somebody(user_id, email)
    settings = with_logs(settings_for(embedded=embedded))
    with open_database(settings):
        if dry_run:
            _say_how_much(user_id, email)
            return
        request = _ask("export", user_id, email)
        if wait or out:
            request = _wait_for(request)
            _say(request)
            if out:
                _fetch(settings, request.id, out)


@main.command()
@_person
@_dry_run
@click.option("--yes", is_flag=True, help="Do not ask.")
@_wait
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to put the receipt.")
@embedded_option
def erase(
    user_id: int | None,
    email: str | None,
    dry_run: bool,
    yes: bool,
    wait: bool,
    out: Path | None,
    embedded: bool,
) -> None:
    """Erase everything about a person, for ever; open tickets of theirs are closed."""
    _require_somebody(user_id, email)
    settings = with_logs(settings_for(embedded=embedded))
    with open_database(settings):
        _say_how_much(user_id, email)
        if dry_run:
            return
    if not yes:
        # A connection does not outlive a person who thinks.
        click.confirm("Erase it for ever?", abort=True)
    with open_database(settings):
        request = _ask("erasure", user_id, email)
        if wait or out:
            request = _wait_for(request)
            _say(request)
            if out:
                out.write_text(json.dumps(request.receipt, indent=2) + "\n", encoding="utf-8")
                click.echo(f"The receipt is in {out}.")
            click.echo(WORDS_LEFT)


@main.command()
@click.argument("kind", type=click.Choice(["export", "erasure"]), required=False)
@click.argument("request_id", type=click.IntRange(min=1), required=False)
@embedded_option
def status(kind: RequestKind | None, request_id: int | None, embedded: bool) -> None:
    """Say how far the requests have come: all, those of a KIND, or one by its REQUEST_ID."""
    settings = with_logs(settings_for(embedded=embedded))
    with open_database(settings):
        if kind and request_id:
            _say(_one(kind, request_id))
            return
        kinds: tuple[RequestKind, ...] = (kind,) if kind else ("export", "erasure")
        for each in kinds:
            for request in list_requests(kind=each, page=PageRequest(per_page=LISTED)).rows:
                click.echo(_line(request))


@main.command()
@click.argument("request_id", type=click.IntRange(min=1))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@embedded_option
def fetch(request_id: int, out: Path, embedded: bool) -> None:
    """Put the archive of a finished export into the file OUT."""
    settings = with_logs(settings_for(embedded=embedded))
    with open_database(settings):
        _fetch(settings, request_id, out)


@main.command()
@click.argument("receipt", type=click.File("rb"))
@_person
@embedded_option
def verify(receipt: IO[bytes], user_id: int | None, email: str | None, embedded: bool) -> None:
    """Say whether RECEIPT was signed by this service; with a person, whether it is about them.

    The person is to be named as in the request.
    """
    settings = with_logs(settings_for(embedded=embedded))
    with open_database(settings):
        secret = privacy_secret()
    try:
        statement = verified(read_receipt(receipt), public_key=public_key(secret))
    except BadReceipt:
        raise click.ClickException("This receipt was not signed here, or was changed since.") from None
    if user_id is not None or email:
        named = subject_hash(secret=secret, user_id=user_id, email=mailbox(email) if email else None)
        if statement["subject_hash"] != named:
            raise click.ClickException("It is good, but about somebody else, or named in another way.")
    click.echo(f"It is good: erasure {statement['erasure_id']}, finished {statement['finished_at']}.")


def _ask(kind: RequestKind, user_id: int | None, email: str | None) -> PrivacyRequest:
    request = request_privacy(
        kind=kind,
        occasion=Occasion(SYSTEM, datetime.now(UTC)),
        user_id=user_id,
        email=email,
        source="script",
    )
    # The operator by name, the person not at all.
    log.info("privacy request", action=kind, privacy_request_id=request.id, operator=operator())
    click.echo(f"{kind} {request.id} is {request.state}.")
    return request


def _say_how_much(user_id: int | None, email: str | None) -> None:
    subject = subject_named(user_id=user_id, email=email, accounts_by_email=True)
    click.echo(f"{len(subject.user_ids)} accounts")
    if email:
        _say_who_is_not_meant(email, subject)
    for name, number in how_much(subject).items():
        click.echo(f"{number} {name}")


def _say_who_is_not_meant(email: str, subject: Subject) -> None:
    had_it = accounts_linked_by(email) - subject.user_ids
    unproven = accounts_written_to(email) - subject.user_ids - had_it
    for why, accounts in (
        ("it was verified to be somebody else's since", had_it),
        ("nobody has verified the address to be theirs", unproven),
    ):
        if accounts:
            click.echo(f"Not meant, for {why}: accounts {', '.join(map(str, sorted(accounts)))}.")


def _wait_for(request: PrivacyRequest) -> PrivacyRequest:
    with progress_bar(1, request.kind) as bar:
        while True:
            current = PrivacyRequest.get_by_id(request.id)
            done, found = erasure_progress(request.id)
            bar.length = max(found, 1)
            bar.update(done - bar.pos)
            if current.state not in ("waiting", "running"):
                bar.update(bar.length - bar.pos)
                break
            time.sleep(POLL_SECONDS)
    if current.state != "finished":
        _say(current)
        raise click.ClickException(f"It is {current.state}.")
    return current


def _fetch(settings: Settings, request_id: int, out: Path) -> None:
    try:
        archive = export_archive(request_id=request_id)
        with object_store(settings).open(archive.object_key or "") as blocks, out.open("wb") as file:
            file.writelines(blocks)
    except ExportNotReady:
        raise click.ClickException(f"Export {request_id} is not ready yet.") from None
    except NotFound:
        raise click.ClickException(f"There is no archive of an export {request_id}.") from None
    except StorageUnavailable as error:
        raise click.ClickException(f"The store: {error}.") from None
    log.info("archive given out", action="download_export", export_id=request_id, operator=operator())
    click.echo(f"{archive.object_size} bytes are in {out}.")


def _one(kind: RequestKind, request_id: int) -> PrivacyRequest:
    try:
        return one_request(kind=kind, request_id=request_id)
    except NotFound:
        raise click.ClickException(f"There is no {kind} {request_id}.") from None


def _say(request: PrivacyRequest) -> None:
    click.echo(_line(request))
    for name, number in sorted(request.counts.items()):
        click.echo(f"  {number} {name}")


def _line(request: PrivacyRequest) -> str:
    when = request.finished_at or request.created_at
    done, found = erasure_progress(request.id) if request.kind == "erasure" else (0, 0)
    part = f", {done} of {found} tickets" if found else ""
    return (
        f"{request.kind} {request.id}: {request.state} ({request.step}{part}), {when:%Y-%m-%d %H:%M:%S} UTC"
    )


if __name__ == "__main__":
    main(prog_name="scripts/privacy")
