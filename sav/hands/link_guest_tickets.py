"""`scripts/link_guest_tickets`: tickets that guests opened, given to the accounts that they have."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click
import structlog

from sav.domain.addresses import is_address
from sav.domain.email_addresses import mailbox
from sav.hands.commands import (
    CONTEXT_SETTINGS,
    Command,
    embedded_option,
    open_database,
    operator,
    printable,
    progress_bar,
    settings_for,
    with_logs,
)
from sav.hands.long_runs import (
    ResumeFile,
    Throttle,
    fingerprint_of,
    pause_option,
    rate_option,
    restart_option,
    resume_file_option,
)
from sav.operations.link_guest_tickets import guest_ticket_ids, link_tickets_of

COLUMNS = ["user_id", "email"]
LARGEST_ID = 2**63 - 1
SAVED_EVERY = 100
"""Accounts: what a run that was killed looks at again at most."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Account:
    line: int
    user_id: int
    email: str


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a run is: so many accounts are done."""

    accounts: int = 0
    linked: int = 0


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only count; change nothing.")
@rate_option
@pause_option
@resume_file_option
@restart_option
@embedded_option
def main(
    file: Path,
    dry_run: bool,
    rate: float | None,
    pause: float,
    resume_file: Path | None,
    restart: bool,
    embedded: bool,
) -> None:
    """Link the guest tickets of every account in FILE, a CSV file with the columns user_id and email.

    For accounts that were there before this service, which no `user.registered` will tell of. From then on
    the tickets are the account's alone. So FILE may name nothing but addresses that were verified to be the
    account's: whoever makes it vouches for that. Addresses that the service has met by itself (contacts) are
    not enough, as nobody need have verified them.

    Before anything is linked the whole file is examined; a wrong line, or an address of two accounts, is
    told, and nothing is done.

    \b
    Examples:
      scripts/link_guest_tickets verified.csv --dry-run
      scripts/link_guest_tickets verified.csv --rate 50

    A run that was broken off goes on where it was when the same command is given again; what is linked
    stays linked.

    Exit codes: 0 done; 1 the file is wrong, it failed or was broken off; 2 wrong settings or options.
    """
    settings = with_logs(settings_for(embedded=embedded))
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        accounts = read_accounts(text, name=printable(str(file)))
    with open_database(settings):
        if dry_run:
            _count(accounts)
            return
        stat = file.stat()
        fingerprint = fingerprint_of(file.resolve(), stat.st_size, stat.st_mtime_ns)
        resume = ResumeFile(resume_file or settings.SAV_DATA_DIR / f"link-{fingerprint}.json", fingerprint)
        kept = None if restart else resume.kept()
        if kept:
            click.echo(f"Going on after {kept['accounts']} accounts ({resume.path}).")
        _link(accounts, _Place(**(kept or {})), resume, Throttle(rate, pause))


def _count(accounts: list[_Account]) -> None:
    found = 0
    with progress_bar(len(accounts), "accounts") as bar:
        for account in accounts:
            found += len(guest_ticket_ids(account.email))
            bar.update(1)
    click.echo(f"{found} tickets would be linked to {len(accounts)} accounts.")


def _link(accounts: list[_Account], place: _Place, resume: ResumeFile, throttle: Throttle) -> None:
    log.info("linking begins", action="link_guest_tickets", operator=operator(), accounts=len(accounts))
    with progress_bar(len(accounts), "accounts") as bar:
        bar.update(place.accounts)
        for account in accounts[place.accounts :]:
            linked = link_tickets_of(email=account.email, user_id=account.user_id, now=datetime.now(UTC))
            place = replace(place, accounts=place.accounts + 1, linked=place.linked + linked)
            if linked or place.accounts % SAVED_EVERY == 0:
                resume.keep(asdict(place))
            throttle.wait_for(max(1, linked))
            bar.update(1)
    resume.remove()
    log.info("linking ended", action="link_guest_tickets", **asdict(place))
    click.echo(f"{place.linked} tickets were linked to {len(accounts)} accounts.")


def read_accounts(text: TextIO, *, name: str) -> list[_Account]:
    """Every account of a file of this name; raises `click.ClickException` with each wrong line."""
    accounts: list[_Account] = []
    wrong: list[str] = []
    owners: dict[str, _Account] = {}
    for line, cells in _rows(text, name):
        if cells is None or not _is_account(cells):
            wrong.append(f"line {line}: no user id and e-mail address")
            continue
        account = _Account(line, int(cells[0]), cells[1].strip())
        first = owners.setdefault(mailbox(account.email), account)
        if first.user_id != account.user_id:
            wrong.append(f"line {line}: the address is another account's on line {first.line}")
        elif first is account:
            accounts.append(account)
    if wrong:
        raise click.ClickException("\n".join([f"{name} is wrong; nothing was done.", *wrong]))
    return accounts


def _rows(text: TextIO, name: str) -> Iterator[tuple[int, list[str] | None]]:
    reader = csv.reader(text, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
    except csv.Error:
        columns = []
    if columns != COLUMNS:
        raise click.ClickException(f"The first line of {name} must be: {','.join(COLUMNS)}")
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield reader.line_num, None
            continue
        if cells:
            yield reader.line_num, cells


def _is_account(cells: list[str]) -> bool:
    if len(cells) != len(COLUMNS) or not is_address(cells[1].strip()):
        return False
    number = cells[0].strip()
    # Python reads no number of thousands of digits.
    is_number = number.isascii() and number.isdigit() and len(number) <= len(str(LARGEST_ID))
    return is_number and 0 < int(number) <= LARGEST_ID


if __name__ == "__main__":
    main(prog_name="scripts/link_guest_tickets")
