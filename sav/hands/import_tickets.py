"""`scripts/import_tickets`: tickets of a former system, from CSV or JSON lines, each once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
import structlog

from sav.bootstrap import object_store
from sav.hands.commands import (
    CONTEXT_SETTINGS,
    Command,
    embedded_option,
    open_database,
    operator,
    progress_bar,
    settings_for,
    with_logs,
)
from sav.hands.import_records import READERS, Desk, Examined, FoundFile, Line, Wrong, WrongHeader, examined
from sav.hands.long_runs import (
    ResumeFile,
    Throttle,
    fingerprint_of,
    pause_option,
    rate_option,
    restart_option,
    resume_file_option,
)
from sav.models.tables import Agent
from sav.operations.attach_files import ArrivalState
from sav.operations.import_tickets import (
    Imported,
    ImportRules,
    attach_historic_file,
    import_tickets,
    known_records,
)
from sav.settings import Settings
from sav.storage.object_store import ObjectStore, StorageUnavailable

RECORDS_A_BATCH = 200
BYTES_A_BATCH = 4 * 1024 * 1024
"""What one transaction writes at most, unless a single record is larger."""
DIFFERS = "was imported before from a record that said something else"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far an import is: so many records are done, and so long is the file of what was wrong."""

    records: int = 0
    imported: int = 0
    known: int = 0
    rejected: int = 0
    rejects_bytes: int = 0


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(sorted(READERS)), help="What the file is (its suffix).")
@click.option("--origin", default="import", show_default=True, help="The former system: ids are its own.")
@click.option(
    "--files",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory below which attachments are.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write what is wrong with which line (FILE.rejects.jsonl).",
)
@click.option("--dry-run", is_flag=True, help="Only examine every line; change nothing.")
@rate_option
@pause_option
@resume_file_option
@restart_option
@embedded_option
def main(
    file: Path,
    form: str | None,
    origin: str,
    files: Path | None,
    rejects: Path | None,
    dry_run: bool,
    rate: float | None,
    pause: float,
    resume_file: Path | None,
    restart: bool,
    embedded: bool,
) -> None:
    """Import the tickets of FILE, with their conversations, files and times.

    Every line is examined. Those that are wrong are listed, with all reasons, in a file of rejects; the
    others go in. A record is known by its external_id: what is in already is left alone, so the same file
    may be given again, corrected or after a kill, and makes no ticket twice.

    Nobody is told of what was imported: no events leave the service, and no mails. Statistics count it and
    searches find it. Tickets that are still open are work of the desk from then on. docs/backfills.md
    describes the fields.

    \b
    Examples:
      scripts/import_tickets old.jsonl --dry-run
      scripts/import_tickets old.jsonl --origin zendesk --files ./old-files
      scripts/import_tickets old.csv --rate 500

    An import that was broken off goes on where it was when the same command is given again.

    Exit codes: 0 everything is in; 1 it failed or was broken off, or some lines were rejected; 2 wrong
    settings or options.
    """
    form = form or file.suffix.removeprefix(".").replace("ndjson", "jsonl")
    if form not in READERS:
        raise click.UsageError("Say what the file is: --format csv or --format jsonl.")
    if not 0 < len(origin) <= 64 or not origin.isprintable():
        raise click.UsageError("--origin must have 1 to 64 characters.")
    settings = with_logs(settings_for(embedded=embedded))
    rejects = rejects or file.with_name(f"{file.name}.rejects.jsonl")
    with open_database(settings):
        run = _Run(settings, file, READERS[form], origin, files, dry_run, Throttle(rate, pause))
        stat = file.stat()
        fingerprint = fingerprint_of(file.resolve(), stat.st_size, stat.st_mtime_ns, origin, form, dry_run)
        resume = ResumeFile(resume_file or settings.SAV_DATA_DIR / f"import-{fingerprint}.json", fingerprint)
        kept = None if restart or dry_run else resume.kept()
        if kept:
            click.echo(f"Going on after {kept['records']} records ({resume.path}).")
        try:
            place = run.through(_Place(**(kept or {})), rejects, None if dry_run else resume)
        except WrongHeader as error:
            raise click.UsageError(f"The first line of {file}: {error}") from None
        except StorageUnavailable:
            raise click.ClickException(
                "The attachment store cannot be used; `sav doctor` says more. The same command goes on."
            ) from None
    _tell(place, rejects, dry_run)


def _tell(place: _Place, rejects: Path, dry_run: bool) -> None:
    verb = "would be imported" if dry_run else "were imported"
    click.echo(
        f"{place.imported} tickets {verb}, {place.known} were in already, {place.rejected} were rejected."
    )
    if place.rejected:
        click.echo(f"What is wrong with them is in {rejects}.")
        click.get_current_context().exit(1)


class _Rejects:
    """The file of rejects: one JSON object for each line that is wrong."""

    def __init__(self, path: Path, *, length: int) -> None:
        self._path = path
        # Whoever may read it learns what was wrong, but no more than ids of what people wrote.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "r+b")
        self._file.truncate(length)
        self._file.seek(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, record: Examined) -> None:
        errors = [asdict(wrong) for wrong in record.wrong]
        document = {"line": record.line.number, "external_id": record.external_id, "errors": errors}
        self._file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")

    def length(self) -> int:
        """How long it is, all of it being on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()


class _Run:
    """One run over one file."""

    def __init__(
        self,
        settings: Settings,
        file: Path,
        read: Callable[[Any], Iterator[Line]],
        origin: str,
        files: Path | None,
        dry_run: bool,
        throttle: Throttle,
    ) -> None:
        self._file = file
        self._read = read
        self._dry_run = dry_run
        self._throttle = throttle
        self._rules = ImportRules(
            origin=origin,
            number_prefix=settings.TICKET_NUMBER_PREFIX,
            closes_quiet_after=timedelta(days=settings.AUTO_CLOSE_RESOLVED_DAYS),
        )
        self._desk = Desk(
            now=datetime.now(UTC),
            agents=frozenset(row.user_id for row in Agent.select(Agent.user_id).where(Agent.active)),
            files=files.resolve() if files else None,
            largest_file_bytes=settings.maximum_file_bytes,
        )
        self._arrival: ArrivalState = "quarantined" if settings.CLAMAV_HOST else "available"
        self._store: ObjectStore | None = object_store(settings) if files else None

    def through(self, place: _Place, rejects_path: Path, resume: ResumeFile | None) -> _Place:
        """Imports all that is left; the place is kept after each transaction."""
        log.info("import begins", action="import_tickets", operator=operator(), origin=self._rules.origin)
        with (
            self._file.open("rb") as content,
            _Rejects(rejects_path, length=place.rejects_bytes) as rejects,
            progress_bar(self._file.stat().st_size, "bytes") as bar,
        ):
            for batch in _batches(self._read(content), skip=place.records):
                place = self._one(batch, place, rejects)
                if resume:
                    resume.keep(asdict(place))
                bar.update(batch[-1].end - bar.pos)
            bar.update(self._file.stat().st_size - bar.pos)
        if resume:
            resume.remove()
        if not place.rejected:
            rejects_path.unlink()
        log.info("import ended", action="import_tickets", **asdict(place))
        return place

    def _one(self, lines: Sequence[Line], place: _Place, rejects: _Rejects) -> _Place:
        records = [examined(line, self._desk) for line in lines]
        sound = [record for record in records if record.ticket is not None]
        done = self._compare(sound) if self._dry_run else self._import(sound)
        for record, result in zip(sound, done, strict=True):
            if result.outcome == "differs":
                record.wrong.append(Wrong("external_id", DIFFERS))
            elif not self._dry_run:
                self._attach(record.files, result)
        wrong = [record for record in records if record.wrong]
        for record in wrong:
            rejects.add(record)
        outcomes = [result.outcome for result in done]
        return replace(
            place,
            records=place.records + len(lines),
            imported=place.imported + outcomes.count("imported"),
            known=place.known + outcomes.count("known"),
            rejected=place.rejected + len(wrong),
            rejects_bytes=rejects.length(),
        )

    def _import(self, records: Sequence[Examined]) -> list[Imported]:
        tickets = [record.ticket for record in records if record.ticket]
        if not tickets:
            return []
        done = import_tickets(tickets, rules=self._rules, now=datetime.now(UTC))
        self._throttle.wait_for(len(tickets))
        return done

    def _compare(self, records: Sequence[Examined]) -> list[Imported]:
        tickets = [record.ticket for record in records if record.ticket]
        known = known_records([ticket.external_id for ticket in tickets], origin=self._rules.origin)
        done = []
        for ticket in tickets:
            row = known.get(ticket.external_id)
            if row is None:
                done.append(Imported("imported", 0))
            else:
                same = row.fingerprint == ticket.fingerprint
                done.append(Imported("known" if same else "differs", row.ticket_id))
        return done

    def _attach(self, files: Sequence[FoundFile], imported: Imported) -> None:
        """Attaches what is not attached yet: of a new ticket all, else what a killed run has left."""
        for found in files[imported.files_done :]:
            if self._store is None:
                raise click.UsageError("Name the directory of the files: --files.")
            with found.path.open("rb") as content:
                imported = attach_historic_file(
                    found.file,
                    content,
                    imported=imported,
                    kind=found.kind,
                    size=found.size,
                    store=self._store,
                    arrival=self._arrival,
                    now=datetime.now(UTC),
                )


def _batches(lines: Iterator[Line], *, skip: int) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for number, line in enumerate(lines):
        if number < skip:
            continue
        if batch and (len(batch) == RECORDS_A_BATCH or size + len(line.text) > BYTES_A_BATCH):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.text)
    if batch:
        yield batch


if __name__ == "__main__":
    main(prog_name="scripts/import_tickets")
