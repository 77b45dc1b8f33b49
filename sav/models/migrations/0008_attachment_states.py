"""Whether a file is being stored, can be had, or is being removed."""

from sav.models.schema import add_columns, add_indexes

atomic = False


def up(migrator, database):
    # Rows of before are complete: nothing wrote any until now.
    columns = ["state VARCHAR(16) {exact} NOT NULL DEFAULT 'available'"]
    add_columns(database, "ticket_attachments", columns=columns)
    # For the sweep: of the files that are on their way in or out, the old ones.
    add_indexes(database, "ticket_attachments", indexes={"state": "state, updated_at"})
