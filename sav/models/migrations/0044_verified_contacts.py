"""The address that was verified to be an account's, beside the one that it is written to."""

from sav.models.schema import add_columns, add_indexes

atomic = False


def up(migrator, database):
    # An address of its own and no mark beside the other: older code changes that one and knows of no mark.
    add_columns(database, "contacts", columns=["verified_email VARCHAR(255) {word} NULL"])
    add_indexes(database, "contacts", indexes={"verified": "verified_email"})
