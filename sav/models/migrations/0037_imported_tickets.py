"""Which ticket each record of a former system became, so that no import makes it twice."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "imported_tickets",
        columns=[
            "origin VARCHAR(64) {word} NOT NULL",
            "external_id VARCHAR(255) {word} NOT NULL",
            # SHA-256 of the record as it was: one that says something else now is not the same again.
            "fingerprint CHAR(64) {exact} NOT NULL",
            "ticket_id BIGINT NOT NULL",
            "files_done INT NOT NULL DEFAULT 0",
            "imported_at {datetime} NOT NULL",
        ],
        constraints=["PRIMARY KEY (origin, external_id)"],
        unique={"ticket": "ticket_id"},
    )
