"""Makes the full-text index over tickets anew.

It keeps itself up to date with each write. To make it anew is for an index that was damaged, or made with
other rules (MySQL reads its stop words and shortest words when an index is made).
"""

from collections.abc import Iterator
from typing import Literal

import peewee

from sav.models.database import database, error_number, is_lock_timeout, is_sqlite, transaction

INDEX = "search"
DRAFT = "search_rebuilt"
TABLE_LOCK_SECONDS = 5
"""How long a change of the table waits for statements that use it; all that come after it wait behind."""

_DONE_BY_ANOTHER = (1061, 1091, 1176)
"""The server's numbers for a key that is there already, that is not there, or no longer under its old name.

A run that was killed leaves its last statement to the server, which ends it while the next run waits.
"""

Step = Literal["build", "swap"]


class TableInUse(Exception):
    """Statements that were running for longer than we wait for hold the table."""


def is_whole() -> bool:
    """What the database itself says of its index; only SQLite can tell."""
    if is_sqlite():
        try:
            with transaction():
                # With a rank other than 0 the texts themselves are compared.
                database.execute_sql(
                    "INSERT INTO ticket_search(ticket_search, rank) VALUES ('integrity-check', 1)"
                )
        except peewee.DatabaseError:
            return False
    return True


def rebuild_steps() -> list[Step]:
    """What is to be done; what a run that was broken off has built is not built again."""
    return ["swap"] if not is_sqlite() and _has(DRAFT) else ["build", "swap"]


def rebuild(step: Step) -> None:
    """Does one step; raises `TableInUse`.

    A server builds the new index beside the old one: searches go on, while writes wait until it is built.
    Then the two change places, which takes no time. SQLite makes it anew in one statement, before which
    nothing has changed, and then its whole file, without what was deleted from it; it lets reads go on.
    """
    if is_sqlite():
        _rebuild_sqlite(step)
        return
    database.execute_sql("SET SESSION lock_wait_timeout = %s", (TABLE_LOCK_SECONDS,))
    # As the first one was made: English stop words would make "the" or "de" find nothing.
    database.execute_sql("SET SESSION innodb_ft_enable_stopword = OFF")
    for statement in _statements(step):
        _change_table(statement)


def _change_table(statement: str) -> None:
    try:
        database.execute_sql(statement)
    except peewee.DatabaseError as error:
        if is_lock_timeout(error):
            raise TableInUse from None
        if error_number(error) not in _DONE_BY_ANOTHER:
            raise


def _rebuild_sqlite(step: Step) -> None:
    if step == "build":
        with transaction():
            database.execute_sql("INSERT INTO ticket_search(ticket_search) VALUES ('rebuild')")
    else:
        # Free pages, and the journal, keep the words of what was deleted, or erased.
        database.execute_sql("VACUUM")
        database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _statements(step: Step) -> Iterator[str]:
    if step == "build":
        yield f"ALTER TABLE support_tickets ADD FULLTEXT KEY {DRAFT} (subject, description)"
        return
    if not _has(DRAFT):
        # Another run has put it in its place, and it must not be dropped from there.
        return
    if _has(INDEX):
        # By itself, and from then on searches use the new one. Were both changes one, MariaDB would see the
        # same index in the end, keep the old one, and drop the one that was just built.
        yield f"ALTER TABLE support_tickets DROP INDEX {INDEX}"
    yield f"ALTER TABLE support_tickets RENAME INDEX {DRAFT} TO {INDEX}"


def _has(name: str) -> bool:
    return name in {index.name for index in database.get_indexes("support_tickets")}
