"""Indexes that newer ones begin with, or serve the same lists as: every write paid for them."""

from sav.models.schema import drop_indexes

atomic = False


def up(migrator, database):
    # `assignee_load` begins with the first; `assignment_queue` has tickets of a status in the second's order.
    drop_indexes(database, "support_tickets", indexes=["assignee_status", "status_priority"])
