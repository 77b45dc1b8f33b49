"""The records of an import: lines of a file, and what each of them must be to become a ticket."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from sav.domain.locales import Locale
from sav.domain.ticket_lifecycle import SETTLED, Priority, Source, Status
from sav.http.payloads import Body, Category, Email, LongText, Metadata, Name, Subject, Tags, UserId, in_utc
from sav.operations.import_tickets import HistoricFile, HistoricMessage, HistoricTicket
from sav.storage.file_refusals import FileTypeNotAllowed
from sav.storage.file_types import FileType, recognise

LONGEST_RECORD_BYTES = 32 * 1024 * 1024
"""A longer line is no record, and is never held in memory."""
MOST_MESSAGES = 1_000
MOST_FILES = 100
CLOCK_SKEW = timedelta(minutes=5)
"""A record may be so much younger than our own clock."""
TAG_SEPARATOR = ";"

Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
ExternalId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
FilePath = Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"^[^\x00]+$")]


class FileRecord(Body):
    """A file: its path below the directory of `--files`, and its name when it had another one."""

    path: FilePath
    name: Name | None = None


class MessageRecord(Body):
    """A message of the conversation, or a note."""

    author: Literal["customer", "agent", "admin"]
    content: LongText
    created_at: Instant
    user_id: UserId | None = None
    author_name: Name | None = None
    author_email: Email | None = None
    is_internal: bool = False
    is_read: bool = True
    attachments: Annotated[list[FileRecord], Field(max_length=MOST_FILES)] = Field(default_factory=list)


class TicketRecord(Body):
    """A ticket of a former system. Fields that are null, or not there, are not known."""

    external_id: ExternalId
    number: Name | None = None
    subject: Subject
    description: LongText
    status: Status = "open"
    priority: Priority = "normal"
    category: Category | None = None
    source: Source = "web"
    tags: Tags = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)
    user_id: UserId | None = None
    contact_email: Email | None = None
    contact_name: Name | None = None
    locale: Locale | None = None
    assigned_to: UserId | None = None
    created_at: Instant
    updated_at: Instant | None = None
    first_response_at: Instant | None = None
    resolved_at: Instant | None = None
    closed_at: Instant | None = None
    resolution: LongText | None = None
    internal_notes: LongText | None = None
    satisfaction_rating: Annotated[int, Field(ge=1, le=5)] | None = None
    satisfaction_comment: Annotated[str, Field(max_length=5_000)] | None = None
    reopen_count: Annotated[int, Field(ge=0, le=10_000)] = 0
    messages: Annotated[list[MessageRecord], Field(max_length=MOST_MESSAGES)] = Field(default_factory=list)
    attachments: Annotated[list[FileRecord], Field(max_length=MOST_FILES)] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one field of a record."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the file, as JSON, or why it is none; and where the file goes on behind it."""

    number: int
    end: int
    text: bytes = b""
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file on the disk that was looked at."""

    file: HistoricFile
    path: Path
    kind: FileType
    size: int


@dataclass(slots=True)
class Examined:
    """A line: what it becomes, or everything that is wrong with it."""

    line: Line
    external_id: str | None = None
    ticket: HistoricTicket | None = None
    files: list[FoundFile] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)


class WrongHeader(Exception):
    """The first line of a CSV file names columns that no ticket has, or lacks some that each needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What records are held against: the clock, who may hold an unsettled ticket, and where files are."""

    now: datetime
    agents: frozenset[int]
    files: Path | None
    largest_file_bytes: int


def json_lines(file: BinaryIO) -> Iterator[Line]:
    """The records of a file of JSON lines; blank ones are none."""
    number = 0
    while text := file.readline(LONGEST_RECORD_BYTES):
        number += 1
        if len(text) == LONGEST_RECORD_BYTES and not text.endswith(b"\n"):
            _skip_line(file)
            yield Line(number, file.tell(), wrong=f"is longer than {LONGEST_RECORD_BYTES} bytes")
        elif text.strip():
            yield Line(number, file.tell(), text)


def csv_records(file: BinaryIO) -> Iterator[Line]:
    """The records of a CSV file in UTF-8, whose first line names the columns; an empty cell is not known."""
    csv.field_size_limit(LONGEST_RECORD_BYTES)
    end = 0

    def lines() -> Iterator[str]:
        nonlocal end
        for line in file:
            end += len(line)
            yield line.decode("utf-8", errors="surrogateescape")

    reader = csv.reader(lines(), strict=True)
    try:
        columns = _columns(next(reader, []))
    except csv.Error as error:
        raise WrongHeader(f"is no line of CSV: {error}") from None
    number = reader.line_num
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, end, wrong=f"is no line of CSV: {error}")
            continue
        if cells:
            yield _csv_line(number, end, columns, cells)


def examined(line: Line, desk: Desk) -> Examined:
    """Holds a line against everything that a record must be, and tells all that is wrong at once."""
    if line.wrong is not None:
        return Examined(line, wrong=[Wrong("", line.wrong)])
    try:
        record = TicketRecord.model_validate_json(line.text)
    except ValidationError as error:
        return Examined(line, _id_in(line.text), wrong=[_wrong(detail) for detail in error.errors()])
    wrong = [*_contradictions(record, desk)]
    files, wrong_files = _found_files(record, desk)
    if wrong or wrong_files:
        return Examined(line, record.external_id, wrong=[*wrong, *wrong_files])
    return Examined(line, record.external_id, _historic(record), files)


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(LONGEST_RECORD_BYTES)) and not rest.endswith(b"\n"):
        pass


_CSV_COLUMNS = tuple(name for name in TicketRecord.model_fields if name not in ("messages", "attachments"))
_NEEDED = tuple(name for name in _CSV_COLUMNS if TicketRecord.model_fields[name].is_required())


def _columns(header: list[str]) -> list[str]:
    columns = [name.strip().removeprefix("\ufeff") for name in header]
    unknown = sorted(set(columns) - set(_CSV_COLUMNS))
    missing = [name for name in _NEEDED if name not in columns]
    if unknown or missing or len(set(columns)) < len(columns):
        raise WrongHeader(
            f"unknown columns: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}; "
            f"each at most once. A file may have: {', '.join(_CSV_COLUMNS)}."
        )
    return columns


def _csv_line(number: int, end: int, columns: list[str], cells: list[str]) -> Line:
    if len(cells) != len(columns):
        return Line(number, end, wrong=f"has {len(cells)} cells instead of {len(columns)}")
    try:
        return Line(
            number, end, orjson.dumps({n: _cell(n, c) for n, c in zip(columns, cells, strict=True) if c})
        )
    except orjson.JSONEncodeError:
        return Line(number, end, wrong="is not UTF-8")


_NUMBERS = ("user_id", "assigned_to", "satisfaction_rating", "reopen_count")


def _cell(name: str, text: str) -> Any:
    """A cell as JSON would have it; what cannot be converted stays a text, and is told of as one."""
    if name in _NUMBERS:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
    if name == "tags":
        return [tag.strip() for tag in text.split(TAG_SEPARATOR) if tag.strip()]
    if name == "metadata":
        try:
            return orjson.loads(text)
        except ValueError:
            return text
    return text


def _id_in(text: bytes) -> str | None:
    """Whatever can be told of a wrong record for those who look for it."""
    try:
        document = orjson.loads(text)
    except ValueError:
        return None
    found = document.get("external_id") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def _wrong(detail: Any) -> Wrong:
    return Wrong(".".join(map(str, detail["loc"])), detail["msg"])


def _contradictions(record: TicketRecord, desk: Desk) -> Iterator[Wrong]:
    if record.user_id is None and record.contact_email is None:
        yield Wrong("user_id", "either this or contact_email must be known")
    yield from _wrong_times(record, desk.now + CLOCK_SKEW)
    is_settled = record.status in SETTLED
    if record.status == "open" and record.assigned_to is not None:
        yield Wrong("assigned_to", "an open ticket is nobody's yet")
    if not is_settled and record.status != "open" and record.assigned_to not in desk.agents:
        yield Wrong("assigned_to", "must be an active agent of the roster, unless the ticket is settled")
    if record.status == "resolved" and record.resolved_at is None:
        yield Wrong("resolved_at", "must be known of a resolved ticket")
    if record.status == "closed" and record.closed_at is None:
        yield Wrong("closed_at", "must be known of a closed ticket")
    if not is_settled and record.resolved_at is not None:
        yield Wrong("resolved_at", "is only known of settled tickets")
    if record.status != "closed" and record.closed_at is not None:
        yield Wrong("closed_at", "is only known of closed tickets")
    if record.satisfaction_rating is not None and not is_settled:
        yield Wrong("satisfaction_rating", "only settled tickets are rated")
    for place, message in enumerate(record.messages):
        if message.is_internal and message.author == "customer":
            yield Wrong(f"messages.{place}.is_internal", "customers write no notes")


def _wrong_times(record: TicketRecord, latest: datetime) -> Iterator[Wrong]:
    if record.created_at > latest:
        yield Wrong("created_at", "lies in the future")
    instants = {
        name: getattr(record, name)
        for name in ("updated_at", "first_response_at", "resolved_at", "closed_at")
    }
    instants |= {
        f"messages.{place}.created_at": message.created_at for place, message in enumerate(record.messages)
    }
    for name, instant in instants.items():
        if instant is not None and instant < record.created_at:
            yield Wrong(name, "lies before created_at")
        if instant is not None and instant > latest:
            yield Wrong(name, "lies in the future")


def _found_files(record: TicketRecord, desk: Desk) -> tuple[list[FoundFile], list[Wrong]]:
    wanted = [
        (f"attachments.{n}", None, record.created_at, file) for n, file in enumerate(record.attachments)
    ]
    wanted += [
        (f"messages.{place}.attachments.{n}", place, message.created_at, file)  # type: ignore[misc]
        for place, message in enumerate(record.messages)
        for n, file in enumerate(message.attachments)
    ]
    found, wrong = [], []
    for name, place, created_at, file in wanted:
        look = _look_at(file, desk)
        if isinstance(look, str):
            wrong.append(Wrong(name, look))
        else:
            path, kind, size = look
            historic = HistoricFile(name=file.name or path.name, message_place=place, created_at=created_at)
            found.append(FoundFile(historic, path, kind, size))
    return found, wrong


def _look_at(file: FileRecord, desk: Desk) -> tuple[Path, FileType, int] | str:
    if desk.files is None:
        return "name the directory of the files with --files"
    path = (desk.files / file.path).resolve()
    if not path.is_relative_to(desk.files) or not path.is_file():
        return "there is no such file below the directory of --files"
    size = path.stat().st_size
    if not 0 < size <= desk.largest_file_bytes:
        return f"must have 1 to {desk.largest_file_bytes} bytes"
    try:
        with path.open("rb") as content:
            return path, recognise(content, file_name=file.name or path.name), size
    except FileTypeNotAllowed as error:
        return error.detail or error.public_sentence()
    except OSError:
        return "cannot be read"


def _historic(record: TicketRecord) -> HistoricTicket:
    messages = [_historic_message(message, record) for message in record.messages]
    return HistoricTicket(
        external_id=record.external_id,
        fingerprint=_fingerprint(record),
        former_number=record.number,
        subject=record.subject,
        description=record.description,
        status=record.status,
        priority=record.priority,
        category=record.category,
        source=record.source,
        tags=record.tags,
        metadata=record.metadata,
        user_id=record.user_id,
        contact_email=record.contact_email,
        contact_name=record.contact_name,
        locale=record.locale,
        assigned_to=record.assigned_to,
        created_at=record.created_at,
        updated_at=_last_touched(record),
        first_response_at=record.first_response_at or _first_answer(messages),
        resolved_at=record.resolved_at,
        closed_at=record.closed_at,
        resolution_notes=record.resolution,
        internal_notes=record.internal_notes,
        satisfaction_rating=record.satisfaction_rating,
        satisfaction_comment=record.satisfaction_comment,
        reopen_count=record.reopen_count,
        messages=messages,
    )


def _fingerprint(record: TicketRecord) -> str:
    # Only what was said: a field that a later version adds makes no old record another one.
    said = record.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _last_touched(record: TicketRecord) -> datetime:
    if record.updated_at is not None:
        return record.updated_at
    known = (record.created_at, record.first_response_at, record.resolved_at, record.closed_at)
    # A note is nothing that a customer could tell from it.
    said = (m.created_at for m in record.messages if not m.is_internal)
    return max(instant for instant in chain(known, said) if instant)


def _first_answer(messages: list[HistoricMessage]) -> datetime | None:
    answers = [m.created_at for m in messages if m.author_role in ("agent", "admin") and not m.is_internal]
    return min(answers, default=None)


def _historic_message(message: MessageRecord, record: TicketRecord) -> HistoricMessage:
    is_guest = message.author == "customer" and record.user_id is None
    by_owner = message.author == "customer" and not is_guest
    return HistoricMessage(
        author_role="guest" if is_guest else message.author,
        user_id=None if is_guest else message.user_id or (record.user_id if by_owner else None),
        author_name=message.author_name
        or (message.author == "customer" and record.contact_name)
        or message.author.capitalize(),
        author_email=message.author_email or (message.author == "customer" and record.contact_email) or "",
        content=message.content,
        is_internal=message.is_internal,
        is_read=message.is_read,
        created_at=message.created_at,
    )


READERS: dict[str, Callable[[BinaryIO], Iterator[Line]]] = {"jsonl": json_lines, "csv": csv_records}
