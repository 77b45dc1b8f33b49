"""Statements that the server itself breaks off when they take too long."""

from functools import lru_cache
from typing import Any

import peewee

from sav.domain.errors import SavError
from sav.models.database import database, error_number, is_sqlite

SEARCH_SECONDS = 4.0
"""How long one statement of a search may take."""
_BROKEN_OFF = (1969, 3024, 3699)
"""MariaDB's number, MySQL's, and MySQL's for a single text that takes too long."""


class SearchTooSlow(SavError):
    """This search takes too long; give it a rarer word, or narrow it by a filter."""

    code = "search_too_slow"


def limited_rows(query: Any, *, seconds: float | None = None) -> list[tuple[Any, ...]]:
    """The rows of a SELECT, as tuples; raises `SearchTooSlow` after `seconds`, as a rule `SEARCH_SECONDS`."""
    seconds = seconds or SEARCH_SECONDS
    statement, parameters = query.sql()
    if not is_sqlite():
        if _is_mariadb(database.obj):
            statement = f"SET STATEMENT max_statement_time = {seconds} FOR {statement}"
        else:
            hint = f"SELECT /*+ MAX_EXECUTION_TIME({max(1, int(seconds * 1000))}) */ "
            statement = hint + statement.removeprefix("SELECT ")
    try:
        return list(database.execute_sql(statement, parameters).fetchall())
    except peewee.DatabaseError as error:
        if error_number(error) in _BROKEN_OFF:
            raise SearchTooSlow from error
        raise


# The database, and its replica where there is one.
@lru_cache(maxsize=2)
def _is_mariadb(server: peewee.Database) -> bool:
    ((version,),) = server.execute_sql("SELECT VERSION()").fetchall()
    return "mariadb" in version.lower()
