"""Since when an urgent ticket waits for an answer."""

from sav.models.schema import add_columns, add_indexes

atomic = False


def up(migrator, database):
    add_columns(database, "support_tickets", columns=["unanswered_since {datetime} NULL"])
    add_indexes(database, "support_tickets", indexes={"unanswered": "unanswered_since"})
