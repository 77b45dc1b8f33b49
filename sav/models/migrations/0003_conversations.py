"""Messages, who has read them, files, and tags."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "ticket_messages",
        columns=[
            "id {id}",
            "ticket_id BIGINT NOT NULL",
            "user_id BIGINT NULL",
            "author_role VARCHAR(10) {exact} NOT NULL",
            "author_name VARCHAR(255) NOT NULL",
            "author_email VARCHAR(255) NOT NULL",
            "content {text} NOT NULL",
            "is_internal BOOLEAN NOT NULL",
            "is_read BOOLEAN NOT NULL DEFAULT FALSE",
            "read_at {datetime} NULL",
            "version INT NOT NULL DEFAULT 1",
            "created_at {datetime} NOT NULL",
            "updated_at {datetime} NOT NULL",
            "deleted_at {datetime} NULL",
        ],
        constraints=["CONSTRAINT message_ticket FOREIGN KEY (ticket_id) REFERENCES support_tickets (id)"],
        indexes={"ticket": "ticket_id, id"},
    )
    create_table(
        database,
        "message_receipts",
        columns=[
            "message_id BIGINT NOT NULL",
            "reader_id BIGINT NOT NULL",
            "ticket_id BIGINT NOT NULL",
            "read_at {datetime} NOT NULL",
        ],
        constraints=[
            "PRIMARY KEY (message_id, reader_id)",
            "CONSTRAINT receipt_message FOREIGN KEY (message_id) REFERENCES ticket_messages (id)",
        ],
        indexes={"reader": "ticket_id, reader_id"},
    )
    create_table(
        database,
        "ticket_attachments",
        columns=[
            "id {id}",
            "ticket_id BIGINT NOT NULL",
            "message_id BIGINT NULL",
            "user_id BIGINT NULL",
            "file_name VARCHAR(255) NOT NULL",
            "file_path VARCHAR(512) NOT NULL",
            "file_type VARCHAR(50) NOT NULL",
            "file_size BIGINT NOT NULL",
            "mime_type VARCHAR(127) NOT NULL",
            "created_at {datetime} NOT NULL",
            "updated_at {datetime} NOT NULL",
        ],
        constraints=[
            "CONSTRAINT attachment_ticket FOREIGN KEY (ticket_id) REFERENCES support_tickets (id)",
            "CONSTRAINT attachment_message FOREIGN KEY (message_id) REFERENCES ticket_messages (id)",
        ],
        indexes={"ticket": "ticket_id, id", "message": "message_id"},
    )
    create_table(
        database,
        "ticket_tags",
        columns=["ticket_id BIGINT NOT NULL", "tag VARCHAR(50) {word} NOT NULL"],
        constraints=[
            "PRIMARY KEY (tag, ticket_id)",
            "CONSTRAINT tag_ticket FOREIGN KEY (ticket_id) REFERENCES support_tickets (id)",
        ],
        indexes={"ticket": "ticket_id"},
    )
