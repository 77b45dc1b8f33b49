"""What other services have told us, and which ticket each order's issue became."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "received_events",
        columns=[
            "id {id}",
            "dedup_key CHAR(64) {exact} NOT NULL",
            "name VARCHAR(64) {exact} NOT NULL",
            "envelope {text} NOT NULL",
            "request_id VARCHAR(128) {exact} NULL",
            "received_at {datetime} NOT NULL",
        ],
        unique={"dedup_key": "dedup_key"},
        indexes={"received": "received_at"},
    )
    create_table(
        database,
        "order_issues",
        columns=["issue_key CHAR(64) {exact} NOT NULL PRIMARY KEY", "ticket_id BIGINT NULL"],
    )
