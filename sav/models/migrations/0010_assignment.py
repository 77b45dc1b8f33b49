"""The order in which open tickets are given out, and how much each agent has in hand, by index alone."""

from sav.models.schema import add_indexes

atomic = False


def up(migrator, database):
    add_indexes(
        database,
        "support_tickets",
        indexes={
            # One walk by id within each priority; it meets no deleted tickets, and needs no rows.
            "assignment_queue": "status, deleted_at, priority_rank, id, category, escalated_at",
            "assignee_load": "assigned_to, status, deleted_at",
        },
    )
