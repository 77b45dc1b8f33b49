"""Which tickets have changed since they were counted: at first, all."""

from sav.models.schema import add_columns, add_indexes

atomic = False


def up(migrator, database):
    add_columns(database, "support_tickets", columns=["uncounted BOOLEAN NOT NULL DEFAULT TRUE"])
    add_indexes(database, "support_tickets", indexes={"uncounted": "uncounted"})
