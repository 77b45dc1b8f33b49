"""Columns that mean the same on MySQL, MariaDB and SQLite."""

from datetime import UTC, datetime
from typing import Any

import orjson
import peewee


def utc_text(instant: datetime, between: str) -> str:
    """An aware instant in UTC, with microseconds and without a zone: always 26 characters."""
    # Without arguments and another object it takes two thirds of the time; a list has dozens of instants.
    text = instant.isoformat(between)
    return text[:26] if instant.microsecond else f"{text[:19]}.000000"


class UtcDateTimeField(peewee.Field):
    """An instant with microseconds: aware UTC in Python, DATETIME(6) or a sortable text in the database."""

    field_type = "DATETIME"

    def db_value(self, value: datetime | None) -> str | None:
        if value is None:
            return None
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        return utc_text(value, " ")

    def python_value(self, value: datetime | str | None) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return value if value.tzinfo is UTC else value.replace(tzinfo=UTC)


class JsonField(peewee.Field):
    """A JSON document. It is compared in Python only: servers store and order it differently."""

    field_type = "TEXT"

    def db_value(self, value: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def python_value(self, value: Any) -> Any:
        return orjson.loads(value) if isinstance(value, (str, bytes)) else value
