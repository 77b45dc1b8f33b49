"""Finds the accounts of an address, and the order's issues of a ticket."""

from sav.models.schema import add_indexes

atomic = False


def up(migrator, database):
    add_indexes(database, "contacts", indexes={"email": "email"})
    add_indexes(database, "order_issues", indexes={"ticket": "ticket_id"})
