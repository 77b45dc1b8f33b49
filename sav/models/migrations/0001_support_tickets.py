"""The heads of tickets, with every index that the lists of customers, agents and admins read."""

from sav.models.schema import create_table

# DDL commits by itself on MySQL; every statement here can be run again after a crash.
atomic = False


def up(migrator, database):
    create_table(
        database,
        "support_tickets",
        columns=[
            "id {id}",
            "ticket_number VARCHAR(64) {exact} NOT NULL",
            "user_id BIGINT NULL",
            "assigned_to BIGINT NULL",
            "subject VARCHAR(255) NOT NULL",
            "description {text} NOT NULL",
            "status VARCHAR(20) {exact} NOT NULL",
            "priority VARCHAR(10) {exact} NOT NULL",
            "category VARCHAR(100) {word} NULL",
            "source VARCHAR(10) {exact} NOT NULL",
            "contact_email VARCHAR(255) {anycase} NULL",
            "contact_name VARCHAR(255) NULL",
            "first_response_at {datetime} NULL",
            "resolved_at {datetime} NULL",
            "closed_at {datetime} NULL",
            "escalated_at {datetime} NULL",
            "resolution_notes {text} NULL",
            "internal_notes {text} NULL",
            "satisfaction_rating SMALLINT NULL",
            "satisfaction_comment {text} NULL",
            "tags {json} NOT NULL",
            "metadata {json} NOT NULL",
            "reopen_count INT NOT NULL DEFAULT 0",
            "version INT NOT NULL DEFAULT 1",
            "read_marks INT NOT NULL DEFAULT 0",
            "event_count INT NOT NULL DEFAULT 0",
            "published_event_count INT NOT NULL DEFAULT 0",
            "created_at {datetime} NOT NULL",
            "updated_at {datetime} NOT NULL",
            "deleted_at {datetime} NULL",
            # Kept by the database itself, so that sorting by priority can use an index.
            "priority_rank SMALLINT GENERATED ALWAYS AS (CASE priority WHEN 'low' THEN 1 "
            "WHEN 'normal' THEN 2 WHEN 'high' THEN 3 ELSE 4 END) STORED",
        ],
        constraints=[
            "CONSTRAINT ticket_status CHECK (status IN "
            "('open', 'assigned', 'in_progress', 'waiting_customer', 'resolved', 'closed'))",
            "CONSTRAINT ticket_priority CHECK (priority IN ('low', 'normal', 'high', 'urgent'))",
            "CONSTRAINT ticket_source CHECK (source IN ('web', 'email', 'phone', 'chat'))",
            "CONSTRAINT ticket_rating CHECK (satisfaction_rating BETWEEN 1 AND 5)",
        ],
        unique={"ticket_number": "ticket_number"},
        indexes={
            "owner_created": "user_id, created_at",
            "owner_updated": "user_id, updated_at",
            "owner_priority": "user_id, priority_rank",
            "assignee_created": "assigned_to, created_at",
            "assignee_updated": "assigned_to, updated_at",
            "assignee_priority": "assigned_to, priority_rank",
            "assignee_status": "assigned_to, status",
            "status_created": "status, created_at",
            "status_updated": "status, updated_at",
            "status_priority": "status, priority_rank",
            "priority_created": "priority, created_at",
            "category_created": "category, created_at",
            "contact_email": "contact_email",
            "created": "created_at",
            "updated": "updated_at",
            "priority_rank": "priority_rank",
        },
    )
