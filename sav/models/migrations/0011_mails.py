"""Mails: whom they go to, each delivery and its state, who wants none, and the secret behind their links."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "contacts",
        columns=[
            "user_id BIGINT NOT NULL PRIMARY KEY",
            "email VARCHAR(255) NOT NULL",
            "name VARCHAR(255) NULL",
            "locale VARCHAR(5) {exact} NULL",
            "updated_at {datetime} NOT NULL",
        ],
    )
    create_table(
        database,
        "mail_deliveries",
        columns=[
            "id {id}",
            "message_id VARCHAR(255) {exact} NOT NULL",
            "ticket_id BIGINT NOT NULL",
            "sequence INT NOT NULL",
            "kind VARCHAR(32) {exact} NOT NULL",
            # Empty when nobody knows one: such a mail is there to be seen, and goes nowhere.
            "recipient VARCHAR(255) {word} NOT NULL",
            "recipient_name VARCHAR(255) NULL",
            "locale VARCHAR(5) {exact} NOT NULL",
            "state VARCHAR(16) {exact} NOT NULL",
            "reason VARCHAR(32) {exact} NULL",
            "tries INT NOT NULL DEFAULT 0",
            "last_error VARCHAR(500) NULL",
            "due_at {datetime} NOT NULL",
            "sent_at {datetime} NULL",
            "updated_at {datetime} NOT NULL",
        ],
        constraints=[
            "CONSTRAINT delivery_state CHECK (state IN ('due', 'sent', 'failed', 'recorded', 'suppressed'))"
        ],
        unique={"once": "ticket_id, sequence, kind, recipient"},
        indexes={"state": "state, updated_at"},
    )
    create_table(
        database,
        "mail_preferences",
        columns=[
            "address_hash CHAR(64) {exact} NOT NULL",
            "kind VARCHAR(32) {exact} NOT NULL",
            "created_at {datetime} NOT NULL",
        ],
        constraints=["PRIMARY KEY (address_hash, kind)"],
    )
    create_table(
        database,
        "service_secrets",
        columns=[
            "name VARCHAR(32) {exact} NOT NULL PRIMARY KEY",
            "secret CHAR(64) {exact} NOT NULL",
            "created_at {datetime} NOT NULL",
        ],
    )
