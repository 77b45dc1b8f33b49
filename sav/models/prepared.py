"""Statements whose text is made once, and rows that are made quickly.

Peewee builds a statement's text anew each time, and fills a row's object field by field: on the paths that
most requests take, that was more work than everything else of the request together. What is here gives
the same statements and the same objects; the rest of the code goes on using peewee as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import peewee

from sav.models.database import database, execute_later, execute_together, is_sqlite
from sav.models.fields import JsonField, UtcDateTimeField

M = TypeVar("M", bound=peewee.Model)
N = TypeVar("N", bound=peewee.Model)

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
        return database.execute_sql(*self.filled(**values))

    def filled(self, **values: Any) -> tuple[str, list[Any]]:
        """The text for this kind of database, and its values."""
        if self._of is not type(database.obj):
            self._prepare(self._query())
        filled = [values[item.name] if isinstance(item, _Slot) else item for item in self._parameters]
        if not any(isinstance(value, list) for value in filled):
            return self._sql, filled
        pieces, mark = self._sql.split(self._mark), self._mark
        many = [value if isinstance(value, list) else [value] for value in filled]
        marks = (", ".join([mark] * len(each)) or "NULL" for each in many)
        text = "".join(part for pair in zip(pieces, [*marks, ""], strict=True) for part in pair)
        return text, [value for each in many for value in each]

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
        return self.made_of(self.run(**values).fetchall())

    def made_of(self, rows: Iterable[Sequence[Any]]) -> list[M]:
        """The objects of rows that this statement has found."""
        return [self._make(row) for row in rows]

    def first(self, **values: Any) -> M | None:
        """The first row, for a query that finds one at most."""
        found = self.rows(**values)
        return found[0] if found else None

    def _prepare(self, query: Any) -> None:
        self._make = _maker(query.model, tuple(query._returning))
        super()._prepare(query)


def rows_of_both(one: Prepared[M], other: Prepared[N], **values: Any) -> tuple[list[M], list[N]]:
    """What two statements find, in one trip to the server; each takes of the values those that it names."""
    found = execute_together([one.filled(**values), other.filled(**values)])
    return one.made_of(found[0]), other.made_of(found[1])


class InFull(Generic[M]):
    """Some fields of rows that another query has chosen: only that query's text is made anew each time."""

    def __init__(self, model: type[M], fields: Sequence[peewee.Field]) -> None:
        table = cast(Any, model)._meta.table_name
        columns = ", ".join(f"`whole`.`{field.column_name}`" for field in fields)
        self._ahead = f"SELECT {columns} FROM `{table}` AS `whole` INNER JOIN ("  # noqa: S608 - all of it is ours
        self._behind = ") AS `chosen` ON (`whole`.`id` = `chosen`.`id`)"
        self._make = _maker(model, fields)

    def of(self, chosen: Any) -> list[M]:
        """The objects, in no order; `chosen` is a SELECT with a column named `id`."""
        text, values = chosen.sql()
        found = database.execute_sql(self._ahead + text + self._behind, values).fetchall()
        return [self._make(row) for row in found]


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
    text, places, converters = _insertion(model, names, is_sqlite())
    values = [convert(row[name]) for row in rows for name, convert in zip(names, converters, strict=True)]
    return text + ", ".join([places] * len(rows)), values


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
) -> tuple[str, str, list[Callable[[Any], Any]]]:
    """The text up to the values, that of one row's values, and what converts these.

    Defaults of what is not named are part of the text.
    """
    meta: Any = model._meta
    missing = [field for field in meta.defaults if field.name not in names]
    fields = [meta.fields[name] for name in names]
    columns = ", ".join(f"`{field.column_name}`" for field in [*fields, *missing])
    places = ["?" if for_sqlite else "%s"] * len(fields)
    defaults = [_literal(field.db_value(meta.defaults[field])) for field in missing]
    return (
        f"INSERT INTO `{meta.table_name}` ({columns}) VALUES ",  # noqa: S608 - all of it is ours
        f"({', '.join([*places, *defaults])})",
        [field.db_value for field in fields],
    )


def _literal(value: Any) -> str:
    if isinstance(value, str) and value.isidentifier():
        return f"'{value}'"
    if not isinstance(value, int):
        raise TypeError("a default that needs escaping is not for the text of a statement")
    return str(int(value))


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
