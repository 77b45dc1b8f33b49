"""Statements whose text is made once, and rows that are made quickly.

Peewee builds a statement's text anew each time, and fills a row's object field by field: on the paths that
most requests take, that was more work than everything else of the request together. What is here gives
the same statements and the same objects; the rest of the code goes on using peewee as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import peewee

from sav.models.database import database, execute_later, is_sqlite
from sav.models.fields import JsonField, UtcDateTimeField

M = TypeVar("M", bound=peewee.Model)

_CONVERTED = (UtcDateTimeField, JsonField, peewee.BooleanField)
"""Of all other fields the driver gives the very value that belongs into the object."""
TEXTS_KEPT = 1_000
"""How many texts of one kind are remembered: there are as many as there are sets of columns."""


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


def given(name: str) -> Any:
    """Stands in a prepared query for a value that is given each time, as the database takes it."""
    return peewee.Value(_Slot(name), converter=False)


class Statement:
    """Any query whose text is made once for each kind of database; what it finds is as the driver gives it.

    A list that is given stands for its values: `field.in_([given("ids")])`; nothing is in an empty one.
    """

    def __init__(self, query: Callable[[], Any]) -> None:
        self._query = query
        self._of: type[peewee.Database] | None = None

    def run(self, **values: Any) -> Any:
        """The cursor; `values` are as the database takes them."""
        if self._of is not type(database.obj):
            self._prepare(self._query())
        filled = [values[item.name] if isinstance(item, _Slot) else item for item in self._parameters]
        if not any(isinstance(value, list) for value in filled):
            return database.execute_sql(self._sql, filled)
        pieces, mark = self._sql.split(self._mark), self._mark
        many = [value if isinstance(value, list) else [value] for value in filled]
        marks = (", ".join([mark] * len(each)) or "NULL" for each in many)
        text = "".join(part for pair in zip(pieces, [*marks, ""], strict=True) for part in pair)
        return database.execute_sql(text, [value for each in many for value in each])

    def _prepare(self, query: Any) -> None:
        self._sql, parameters = query.sql()
        self._mark = "?" if is_sqlite() else "%s"
        self._parameters = tuple(parameters)
        self._of = type(database.obj)


class Prepared(Statement, Generic[M]):
    """A SELECT of one model's columns, told by a function that is called once for each kind of database.

    What else it selects must have an alias, and becomes an attribute of the object.
    """

    def __init__(self, query: Callable[[], peewee.ModelSelect[M]]) -> None:
        super().__init__(query)

    def rows(self, **values: Any) -> list[M]:
        """All rows, as objects of the model; `values` are those that the query names as `given`."""
        found = self.run(**values).fetchall()
        return [self._make(row) for row in found]

    def first(self, **values: Any) -> M | None:
        """The first row, for a query that finds one at most."""
        found = self.rows(**values)
        return found[0] if found else None

    def _prepare(self, query: Any) -> None:
        self._make = _maker(query.model, tuple(query._returning))
        super()._prepare(query)


def objects(query: peewee.ModelSelect[M]) -> list[M]:
    """The rows of any such query as objects, made quickly."""
    return Prepared(lambda: query).rows()


def insert_rows(model: type[peewee.Model], rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts rows that all name the same fields, in one statement; returns the id of the first or only one.

    (Of several rows SQLite tells the last one's.)
    """
    return int(database.execute_sql(*_insert(model, rows)).lastrowid or 0)


def insert_rows_later(model: type[peewee.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """The same within a transaction, with one of its next statements: for rows whose ids nobody asks for."""
    execute_later(*_insert(model, rows))


def _insert(model: type[peewee.Model], rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[Any]]:
    names = tuple(rows[0])
    if any(len(row) != len(names) for row in rows):
        raise ValueError("rows of one insert must name the same fields")
    text, converters, defaults = _insertion(model, names, is_sqlite())
    one = text + ", ".join([_places(len(converters) + len(defaults), is_sqlite())] * len(rows))
    values = [
        value
        for row in rows
        for value in (
            *(convert(row[name]) for name, convert in zip(names, converters, strict=True)),
            *defaults,
        )
    ]
    return one, values


def insert_new(row: Any) -> None:
    """Inserts an object that was just made, and gives it its id."""
    row.id = insert_rows(type(row), [row.__data__])
    row._dirty.clear()


def update_changed(row: Any) -> None:
    """Writes the fields of an object that were set since it was read, in the running transaction."""
    model: type[peewee.Model] = type(row)
    names = tuple(sorted(row._dirty))
    text, converters = _update(model, names, is_sqlite())
    values = [convert(row.__data__[name]) for name, convert in zip(names, converters, strict=True)]
    execute_later(text, [*values, row._pk])
    row._dirty.clear()


def _maker(model: type[M], selected: Sequence[Any]) -> Callable[[Sequence[Any]], M]:
    fields = [item if isinstance(item, peewee.Field) else None for item in selected]
    names = [item.name if isinstance(item, peewee.Field) else item._alias for item in selected]
    converted = [
        (name, field.python_value)
        for name, field in zip(names, fields, strict=True)
        if isinstance(field, _CONVERTED)
    ]
    beside = [name for name, field in zip(names, fields, strict=True) if field is None]

    def make(row: Sequence[Any]) -> M:
        data = dict(zip(names, row, strict=True))
        for name, convert in converted:
            if data[name] is not None:
                data[name] = convert(data[name])
        made = model(__no_default__=True)
        for name in beside:
            setattr(made, name, data.pop(name))
        made.__data__ = data
        return made

    return make


@lru_cache(TEXTS_KEPT)
def _insertion(
    model: type[peewee.Model], names: tuple[str, ...], for_sqlite: bool
) -> tuple[str, list[Callable[[Any], Any]], list[Any]]:
    """The text up to the values, and for these the converters and the defaults of what is not named."""
    meta = model._meta
    missing = [field for field in meta.defaults if field.name not in names]
    fields = [meta.fields[name] for name in names]
    columns = ", ".join(f"`{field.column_name}`" for field in [*fields, *missing])
    defaults = [field.db_value(meta.defaults[field]) for field in missing]
    return (
        f"INSERT INTO `{meta.table_name}` ({columns}) VALUES ",  # noqa: S608 - all of it is ours
        [field.db_value for field in fields],
        defaults,
    )


@lru_cache(TEXTS_KEPT)
def _update(
    model: type[peewee.Model], names: tuple[str, ...], for_sqlite: bool
) -> tuple[str, list[Callable[[Any], Any]]]:
    meta: Any = model._meta
    place = "?" if for_sqlite else "%s"
    fields = [meta.fields[name] for name in names]
    changes = ", ".join(f"`{field.column_name}` = {place}" for field in fields)
    where = f"`{meta.primary_key.column_name}` = {place}"
    text = f"UPDATE `{meta.table_name}` SET {changes} WHERE {where}"  # noqa: S608 - all of it is ours
    return text, [field.db_value for field in fields]


@lru_cache(TEXTS_KEPT)
def _places(count: int, for_sqlite: bool) -> str:
    return f"({', '.join(['?' if for_sqlite else '%s'] * count)})"
