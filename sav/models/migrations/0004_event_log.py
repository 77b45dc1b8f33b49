"""The event log and the effects that are owed because of it."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "ticket_events",
        columns=[
            "id {id}",
            "event_id CHAR(36) {exact} NOT NULL",
            "ticket_id BIGINT NOT NULL",
            "sequence INT NOT NULL",
            "published_sequence INT NULL",
            "name VARCHAR(64) {exact} NOT NULL",
            "data {json} NOT NULL",
            "changes {json} NOT NULL",
            "actor_id BIGINT NULL",
            "actor_role VARCHAR(10) {exact} NOT NULL",
            "request_id VARCHAR(128) {exact} NULL",
            "occurred_at {datetime} NOT NULL",
        ],
        unique={"ticket_sequence": "ticket_id, sequence"},
        indexes={"name": "name, occurred_at", "occurred": "occurred_at"},
    )
    create_table(
        database,
        "due_effects",
        columns=[
            "id {id}",
            "effect VARCHAR(64) {exact} NOT NULL",
            "ticket_id BIGINT NOT NULL",
            "sequence BIGINT NOT NULL",
            "due_at {datetime} NOT NULL",
            "lease_owner CHAR(36) {exact} NULL",
            "leased_until {datetime} NULL",
            "tries INT NOT NULL DEFAULT 0",
            "last_error VARCHAR(500) NULL",
            "failed_at {datetime} NULL",
            "created_at {datetime} NOT NULL",
        ],
        # The ticket first: whoever publishes takes all that a ticket owes, in order.
        unique={"owed": "ticket_id, effect, sequence"},
        indexes={"due": "due_at", "failed": "failed_at"},
    )
