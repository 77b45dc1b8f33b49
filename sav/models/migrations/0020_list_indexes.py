"""Indexes for the filters of a list that had none."""

from sav.models.schema import add_indexes

atomic = False


def up(migrator, database):
    # A source that hardly anybody uses is found without reading all tickets.
    add_indexes(database, "support_tickets", indexes={"source_created": "source, created_at"})
