"""How a table is declared once for MySQL, MariaDB and SQLite; used by the migrations alone."""

from collections.abc import Mapping, Sequence

import peewee

# Words in braces stand for what differs between the servers.
_SERVER_TYPES = {
    "id": "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
    "datetime": "DATETIME(6)",
    "json": "JSON",
    "text": "MEDIUMTEXT",
    # Compared byte by byte: hashes and identifiers, where case matters.
    "exact": "CHARACTER SET ascii COLLATE ascii_bin",
    # The same for words that people choose: a tag in capitals is another tag.
    "word": "COLLATE utf8mb4_bin",
    # Capitals make no difference, as everywhere on a server.
    "anycase": "",
}
_SQLITE_TYPES = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "datetime": "TEXT",
    "json": "TEXT",
    "text": "TEXT",
    "exact": "",
    "word": "",
    "anycase": "COLLATE NOCASE",
}


def create_table(
    database: peewee.Database,
    name: str,
    *,
    columns: Sequence[str],
    constraints: Sequence[str] = (),
    indexes: Mapping[str, str] | None = None,
    unique: Mapping[str, str] | None = None,
) -> None:
    """Creates a table with its indexes; does nothing for what a broken-off run has already made."""
    sqlite = is_sqlite_database(database)
    types = _SQLITE_TYPES if sqlite else _SERVER_TYPES
    keys = [(key, text, "UNIQUE ") for key, text in (unique or {}).items()]
    keys += [(key, text, "") for key, text in (indexes or {}).items()]
    lines = [*columns, *constraints]
    if not sqlite:
        lines += [f"{kind}KEY {key} ({text})" for key, text, kind in keys]
    table = f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(lines)})".format_map(types)
    # Named, because the servers' own defaults differ and change with their versions.
    options = "" if sqlite else " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
    database.execute_sql(table + options)
    if sqlite:
        for key, text, kind in keys:
            database.execute_sql(f"CREATE {kind}INDEX IF NOT EXISTS {name}_{key} ON {name} ({text})")


def add_columns(database: peewee.Database, name: str, *, columns: Sequence[str]) -> None:
    """Adds columns to a table; leaves out those that a broken-off run has already added."""
    types = _SQLITE_TYPES if is_sqlite_database(database) else _SERVER_TYPES
    there = {column.name for column in database.get_columns(name)}
    for column in columns:
        if column.split()[0] not in there:
            database.execute_sql(f"ALTER TABLE {name} ADD COLUMN {column}".format_map(types))


def add_indexes(
    database: peewee.Database,
    name: str,
    *,
    indexes: Mapping[str, str] | None = None,
    unique: Mapping[str, str] | None = None,
) -> None:
    """Adds indexes to a table; leaves out those that a broken-off run has already added."""
    prefix = f"{name}_" if is_sqlite_database(database) else ""
    there = {index.name for index in database.get_indexes(name)}
    keys = [(key, text, "") for key, text in (indexes or {}).items()]
    keys += [(key, text, "UNIQUE ") for key, text in (unique or {}).items()]
    for key, text, kind in keys:
        if prefix + key not in there:
            database.execute_sql(f"CREATE {kind}INDEX {prefix}{key} ON {name} ({text})")


def drop_indexes(database: peewee.Database, name: str, *, indexes: Sequence[str]) -> None:
    """Drops indexes of a table; leaves out those that are gone already."""
    sqlite = is_sqlite_database(database)
    prefix = f"{name}_" if sqlite else ""
    there = {index.name for index in database.get_indexes(name)}
    for key in indexes:
        if prefix + key in there:
            database.execute_sql(f"DROP INDEX {prefix}{key}" + ("" if sqlite else f" ON {name}"))


def replace_indexes(database: peewee.Database, name: str, *, indexes: Mapping[str, str]) -> None:
    """Gives indexes of a table other columns; leaves out those that have them already.

    On a server in one statement, so that no list meets the table without one of them.
    """
    prefix = f"{name}_" if is_sqlite_database(database) else ""
    there = {index.name: list(index.columns) for index in database.get_indexes(name)}
    wanted = {key: text for key, text in indexes.items() if there.get(prefix + key) != text.split(", ")}
    if not is_sqlite_database(database):
        changes = [f"DROP KEY {key}" for key in wanted if key in there]
        changes += [f"ADD KEY {key} ({text})" for key, text in wanted.items()]
        if changes:
            database.execute_sql(f"ALTER TABLE {name} {', '.join(changes)}")
        return
    for key, text in wanted.items():
        database.execute_sql(f"DROP INDEX IF EXISTS {prefix}{key}")
        database.execute_sql(f"CREATE INDEX {prefix}{key} ON {name} ({text})")


def is_sqlite_database(database: peewee.Database) -> bool:
    """Whether this is SQLite, which takes other types and one change at a time."""
    return isinstance(database, peewee.SqliteDatabase)
