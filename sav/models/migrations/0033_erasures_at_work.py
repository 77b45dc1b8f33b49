"""Which tickets an erasure is about, while it is at work."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "erasure_tickets",
        columns=[
            "erasure_id BIGINT NOT NULL",
            "ticket_id BIGINT NOT NULL",
            "stage VARCHAR(16) {exact} NOT NULL",
            "place BIGINT NOT NULL DEFAULT 0",
        ],
        constraints=["PRIMARY KEY (erasure_id, ticket_id)"],
        indexes={"stage": "erasure_id, stage, ticket_id"},
    )
