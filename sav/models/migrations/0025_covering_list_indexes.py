"""Lists walk index entries alone until the page is chosen, and spans of time are read in any order."""

from sav.models.schema import add_indexes, is_sqlite_database, replace_indexes

atomic = False

MONTH = (
    "ALTER TABLE support_tickets ADD COLUMN created_month INT "
    "GENERATED ALWAYS AS (EXTRACT(YEAR_MONTH FROM created_at)) VIRTUAL"
)


def up(migrator, database):
    # Behind the order, so that it stays one; with it no row is looked at to leave out what was deleted.
    replace_indexes(
        database,
        "support_tickets",
        indexes={
            "owner_created": "user_id, created_at, deleted_at",
            "owner_updated": "user_id, updated_at, deleted_at",
            "owner_priority": "user_id, priority_rank, deleted_at",
            "assignee_created": "assigned_to, created_at, deleted_at",
            "assignee_updated": "assigned_to, updated_at, deleted_at",
            "assignee_priority": "assigned_to, priority_rank, deleted_at",
            "status_created": "status, created_at, deleted_at",
            "status_updated": "status, updated_at, deleted_at",
            "priority_created": "priority, created_at, deleted_at",
            "category_created": "category, created_at, deleted_at",
            "source_created": "source, created_at, deleted_at",
            "created": "created_at, deleted_at",
            "updated": "updated_at, deleted_at",
            "priority_rank": "priority_rank, deleted_at",
        },
    )
    if is_sqlite_database(database):
        # Its planner chooses its roads itself, and never these.
        return
    if "created_month" not in {column.name for column in database.get_columns("support_tickets")}:
        database.execute_sql(MONTH)
    add_indexes(
        database,
        "support_tickets",
        indexes={
            "month_updated": "created_month, updated_at, id, deleted_at, created_at",
            "month_priority": "created_month, priority_rank, id, deleted_at, created_at",
        },
    )
