"""The desk's numbers, kept: what each ticket was counted as, and the sums."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "counted_tickets",
        columns=[
            "ticket_id BIGINT NOT NULL PRIMARY KEY",
            "status VARCHAR(20) {exact} NOT NULL",
            "priority VARCHAR(10) {exact} NOT NULL",
            "category VARCHAR(100) {word} NULL",
            "source VARCHAR(10) {exact} NOT NULL",
            "assigned_to BIGINT NULL",
            "rating SMALLINT NULL",
            "escalated BOOLEAN NOT NULL",
            "reopened BOOLEAN NOT NULL",
            "created_at {datetime} NOT NULL",
            "resolved_at {datetime} NULL",
            "closed_at {datetime} NULL",
            "first_response_micros BIGINT NULL",
            "resolution_micros BIGINT NULL",
        ],
        indexes={
            "created": "created_at",
            "resolved": "resolved_at",
            "closed": "closed_at",
            # Medians are read off these, in order; the second column leaves out what lies beside the span.
            "first_response": "first_response_micros, created_at",
            "resolution": "resolution_micros, created_at",
        },
    )
    create_table(
        database,
        "desk_counts",
        columns=[
            "kind VARCHAR(20) {exact} NOT NULL",
            "slot BIGINT NOT NULL",
            "label VARCHAR(100) {word} NOT NULL",
            "tickets BIGINT NOT NULL",
            "micros BIGINT NOT NULL",
        ],
        constraints=["PRIMARY KEY (kind, slot, label)"],
    )
