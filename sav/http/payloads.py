"""What may be sent: bodies and query strings, field by field."""

import re
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import WithJsonSchema

from sav.domain.locales import Locale
from sav.domain.statistics import LONGEST_SPAN, Span, start_of_day
from sav.domain.ticket_lifecycle import Priority, Source, Status
from sav.http.requests import LARGEST_ID, repeatable
from sav.queries.ticket_inbox import Order

MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 20
"""MariaDB refuses documents nested deeper than 32."""


def _with_words(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    return text


def _small_metadata(document: dict[str, Any]) -> dict[str, Any]:
    if _depth(document) > MAX_METADATA_DEPTH:
        raise ValueError(f"must not be nested deeper than {MAX_METADATA_DEPTH} levels")
    if len(orjson.dumps(document)) > MAX_METADATA_BYTES:
        raise ValueError(f"must not be larger than {MAX_METADATA_BYTES} bytes")
    return document


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [
        child
        for item in level
        if isinstance(item, (dict, list))
        for child in (item.values() if isinstance(item, dict) else item)
    ]:
        depth += 1
    return depth


def _whole(value: Any) -> Any:
    # JSON has one kind of number: 2.0 is 2.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


Whole = BeforeValidator(_whole)


def _distinct(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _text(*, max_length: int) -> Any:
    # The pattern says in the document's words what `_with_words` asks. It must take linear time: what
    # repeats may not overlap with what follows.
    not_blank: dict[str, Any] = {"pattern": r"^\s*[^\x00\s][^\x00]*$"}
    return Field(min_length=1, max_length=max_length, json_schema_extra=not_blank)


WithWords = AfterValidator(_with_words)
OneLine = AfterValidator(lambda text: _with_words(text).strip())
LongText = Annotated[str, _text(max_length=20_000), WithWords]
Subject = Annotated[str, _text(max_length=255), OneLine]
Category = Annotated[str, _text(max_length=100), OneLine]
Tag = Annotated[str, _text(max_length=50), OneLine]
Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(_distinct)]
Metadata = Annotated[dict[str, Any], AfterValidator(_small_metadata)]
UserId = Annotated[int, Field(ge=1, le=LARGEST_ID), Whole]
Name = Annotated[str, _text(max_length=255), OneLine]
# No control characters: some of them are white space to one regular expression and not to another.
_WORD = r"[^@\s\x00-\x1f\x7f-\x9f]+"
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=255, pattern=rf"^{_WORD}@{_WORD}\.{_WORD}$"),
]


# The value is never looked at: changes are read with `exclude_unset`. A null is no way to leave a field out.
NOT_GIVEN: Any = Field(default_factory=lambda: None)


class Body(BaseModel):
    """JSON is typed, so nothing is converted; and a field that nobody knows is a mistake."""

    model_config = ConfigDict(strict=True, extra="forbid")


class NewTicketBody(Body):
    """A new ticket. The last five fields are for staff."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {
                "properties": {"contact_name": {"type": "string"}, "user_id": {"type": "null"}},
                "required": ["contact_name"],
            },
            "then": {"properties": {"contact_email": {"type": "string"}}, "required": ["contact_email"]},
        }
    )

    subject: Subject
    description: LongText
    priority: Priority = "normal"
    category: Category | None = None
    tags: Tags = []
    metadata: Metadata = {}
    source: Source = "web"
    user_id: UserId | None = None
    contact_email: Email | None = None
    contact_name: Name | None = None

    @field_validator("contact_name")
    @classmethod
    def _with_an_address(cls, name: str | None, info: ValidationInfo) -> str | None:
        # A field that is itself wrong is not there, and is told of by itself.
        if name and info.data.get("contact_email", "") is None and info.data.get("user_id", 0) is None:
            raise ValueError("needs contact_email beside it: a guest is answered by e-mail")
        return name


class NewGuestTicketBody(Body):
    """A new ticket of somebody without an account."""

    email: Email
    name: Name | None = None
    subject: Subject
    description: LongText
    category: Category | None = None
    locale: Locale | None = None


class GuestMessageBody(Body):
    """What a guest writes."""

    content: LongText


class TicketChangesBody(Body):
    """The fields to change; those that are not given stay. The last three are for staff."""

    subject: Subject = NOT_GIVEN
    description: LongText = NOT_GIVEN
    priority: Priority = NOT_GIVEN
    category: Category | None = NOT_GIVEN
    tags: Tags = NOT_GIVEN
    status: Status = NOT_GIVEN
    internal_notes: LongText | None = NOT_GIVEN
    metadata: Metadata = NOT_GIVEN


class AssignBody(Body):
    """Who gets the ticket."""

    agent_id: UserId


class ResolveBody(Body):
    """How the problem was solved."""

    resolution: LongText


class CloseBody(Body):
    """Why the ticket is closed."""

    reason: Annotated[str, _text(max_length=500), OneLine] | None = None


class NothingBody(Body):
    """Nothing needs to be said."""


class SatisfactionBody(Body):
    """How the owner rates the help, from 1 to 5."""

    rating: Annotated[int, Field(ge=1, le=5), Whole]
    comment: Annotated[str, _text(max_length=5_000), WithWords] | None = None


class NewMessageBody(Body):
    """A reply, or a note for staff only."""

    content: LongText
    is_internal: bool = False


class MessageChangesBody(Body):
    """A corrected text."""

    content: LongText


class AgentBody(Body):
    """What an admin says of an agent; fields that are not given stay."""

    name: Name | None = NOT_GIVEN
    email: Email | None = NOT_GIVEN
    active: bool = NOT_GIVEN
    capacity: Annotated[int, Field(ge=0, le=10_000), Whole] = NOT_GIVEN
    categories: Annotated[list[Category], Field(max_length=50)] = NOT_GIVEN


class AvailabilityBody(Body):
    """Whether the agent takes new tickets now."""

    available: bool


class Query(BaseModel):
    """Parameters are texts and are converted; one that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")


def _number(value: Any) -> Any:
    # "1_0", "+1" and " 1 " are numbers to Python only.
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("must be a whole number in decimal digits")
    return value


Number = BeforeValidator(_number)
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID), Number]


class ListQuery(Query):
    """Which part of a list."""

    per_page: Annotated[int, Field(ge=1, le=100), Number] = Field(25, description="Rows a page.")
    cursor: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="From `meta.next_cursor`."
    )
    page: Annotated[int, Field(ge=1, le=LARGEST_ID), Number] = Field(
        1, description="From 1, up to the 10,000th row; not with `cursor`."
    )
    include_total: bool = Field(False, description="Count all rows into `meta.total`.")

    @field_validator("page")
    @classmethod
    def _not_with_cursor(cls, page: int, info: ValidationInfo) -> int:
        if info.data.get("cursor") is not None:
            raise ValueError("cannot be given together with cursor")
        return page


class ThreadQuery(Query):
    """Which part of a guest's conversation."""

    per_page: Annotated[int, Field(ge=1, le=100), Number] = Field(100, description="Messages a page.")
    cursor: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="From `meta.next_cursor`."
    )


class DownloadQuery(Query):
    """How the link to a file is given."""

    redirect: bool = Field(True, description="`false` gives the link in a document instead of going there.")


def _since(value: Any) -> Any:
    return _instant(value, time.min)


def _until(value: Any) -> Any:
    return _instant(value, time.max)


def _instant(value: Any, time_of_day: time) -> Any:
    if not isinstance(value, str) or not _INSTANT_OR_DAY.fullmatch(value):
        raise ValueError("must be a day, or a time with its offset from UTC, as RFC 3339 writes them")
    # A day alone means the whole of it, in UTC.
    if len(value) == len("2026-03-29"):
        return datetime.combine(date.fromisoformat(value), time_of_day, UTC)
    return value


def in_utc(instant: datetime) -> datetime:
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    # What MySQL can compare with.
    if in_utc.year < 1000:
        raise ValueError("is out of range")
    return in_utc


_INSTANT_OR_DAY = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?", re.ASCII
)
_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string", "format": f} for f in ("date-time", "date")]})
Since = Annotated[AwareDatetime, BeforeValidator(_since), AfterValidator(in_utc), _SCHEMA]
Until = Annotated[AwareDatetime, BeforeValidator(_until), AfterValidator(in_utc), _SCHEMA]
Repeatable = BeforeValidator(repeatable)


_ID = re.compile(r"[1-9][0-9]{0,18}")


def _assignee(value: Any) -> Any:
    if value in ("me", "none"):
        return value
    if not isinstance(value, str) or not _ID.fullmatch(value) or int(value) > LARGEST_ID:
        raise ValueError("must be an agent's id, `me` or `none`")
    return int(value)


Assignee = Annotated[
    int | Literal["me", "none"],
    PlainValidator(_assignee),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST_ID}, {"enum": ["me", "none"]}]}
    ),
]


class TicketListQuery(ListQuery):
    """Which tickets, and in which order. Repeated parameters mean "one of these"."""

    status: Annotated[list[Status], Repeatable, Field(max_length=6)] = []
    priority: Annotated[list[Priority], Repeatable, Field(max_length=4)] = []
    category: Annotated[list[Category], Repeatable, Field(max_length=20)] = []
    source: Annotated[list[Source], Repeatable, Field(max_length=4)] = []
    tag: Annotated[list[Tag], Repeatable, Field(max_length=20)] = []
    assigned_to: Assignee | None = Field(None, description="An id, `me` or `none`.")
    user_id: RowId | None = Field(None, description="The owner; for staff.")
    created_from: Since | None = None
    created_to: Until | None = None
    updated_from: Since | None = None
    q: Annotated[str, _text(max_length=200), OneLine] | None = Field(
        None, description="Words that the subject or the description contains."
    )
    sort: Order = "-created_at"


ZONES = frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
"""The same names on every machine; what the system knows of a zone counts before the package does."""
LAST_YEAR = 9998


def _zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError("must be the name of an IANA time zone, such as Europe/Paris")
    return name


def _from_day(value: Any, info: ValidationInfo) -> Any:
    return _moment(value, info, days_after=0)


def _to_day(value: Any, info: ValidationInfo) -> Any:
    return _moment(value, info, days_after=1)


def _moment(value: Any, info: ValidationInfo, *, days_after: int) -> Any:
    instant = _instant(value, time.min)
    if not isinstance(instant, datetime):
        return instant
    # A day alone means the whole of it, in the zone that is asked for; UTC when that one is wrong.
    if instant.year > LAST_YEAR:
        raise ValueError("is out of range")
    return start_of_day(instant.date() + timedelta(days=days_after), ZoneInfo(info.data.get("tz", "UTC")))


def _listable(instant: datetime) -> datetime:
    if instant.year > LAST_YEAR:
        raise ValueError("is out of range")
    return instant


From = Annotated[
    AwareDatetime, BeforeValidator(_from_day), AfterValidator(in_utc), AfterValidator(_listable), _SCHEMA
]
To = Annotated[
    AwareDatetime, BeforeValidator(_to_day), AfterValidator(in_utc), AfterValidator(_listable), _SCHEMA
]


class StatisticsQuery(Query):
    """Which span of time, and in which time zone its days are."""

    tz: Annotated[str, Field(min_length=1, max_length=50), AfterValidator(_zone)] = Field(
        "UTC", description="The IANA time zone of the days."
    )
    since: From | None = Field(
        None, alias="from", description="A time, or a day of `tz`; without it from the first ticket on."
    )
    until: To | None = Field(
        None,
        alias="to",
        description="A time, or a day of `tz` which is then included; up to 1,830 days after `from`.",
    )

    @field_validator("until")
    @classmethod
    def _behind_from(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if since is not None and until is not None:
            if until <= since:
                raise ValueError("must lie after from")
            if until - since > LONGEST_SPAN:
                raise ValueError(f"must lie at most {LONGEST_SPAN.days} days after from")
        return until

    @property
    def span(self) -> Span:
        return Span(self.since, self.until)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)


class SurveyQuery(Query):
    """The rating that was chosen in the mail: it is only marked, until the form is sent."""

    rating: Annotated[int, Field(ge=1, le=5)] | None = None


class PersonBody(Body):
    """Whom a request about personal data is about: an account, an e-mail address, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("user_id", "email")
            ]
        }
    )

    user_id: UserId | None = None
    email: Email | None = Field(None, validate_default=True)

    @field_validator("email")
    @classmethod
    def _somebody(cls, email: str | None, info: ValidationInfo) -> str | None:
        # A field that is itself wrong is not there, and is told of by itself.
        if email is None and info.data.get("user_id", 0) is None:
            raise ValueError("user_id or email is required")
        return email
