"""The roster of agents, the day's ticket numbers, and the first answers to repeated requests."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "agents",
        columns=[
            "user_id BIGINT NOT NULL PRIMARY KEY",
            "name VARCHAR(255) NULL",
            "email VARCHAR(255) NULL",
            "active BOOLEAN NOT NULL DEFAULT TRUE",
            "available BOOLEAN NOT NULL DEFAULT FALSE",
            "capacity INT NOT NULL",
            "categories {json} NOT NULL",
            "last_assigned_at {datetime} NULL",
            "created_at {datetime} NOT NULL",
            "updated_at {datetime} NOT NULL",
        ],
    )
    create_table(
        database,
        "ticket_number_sequences",
        columns=["day CHAR(8) {exact} NOT NULL PRIMARY KEY", "last_sequence INT NOT NULL"],
    )
    create_table(
        database,
        "idempotency_keys",
        columns=[
            "caller VARCHAR(64) {exact} NOT NULL",
            "key_hash CHAR(64) {exact} NOT NULL",
            "fingerprint CHAR(64) {exact} NOT NULL",
            "status SMALLINT NULL",
            "headers {json} NULL",
            "body {text} NULL",
            "created_at {datetime} NOT NULL",
        ],
        constraints=["PRIMARY KEY (caller, key_hash)"],
        indexes={"created": "created_at"},
    )
