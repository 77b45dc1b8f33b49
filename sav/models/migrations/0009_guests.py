"""What opens a guest's ticket, the language they chose, and how often strangers have knocked."""

from sav.models.schema import add_columns, create_table

atomic = False


def up(migrator, database):
    add_columns(
        database,
        "support_tickets",
        columns=[
            # SHA-256 of the access token; without it nobody writes to the ticket as its guest.
            "access_token_hash CHAR(64) {exact} NULL",
            "locale VARCHAR(5) {exact} NULL",
        ],
    )
    create_table(
        database,
        "rate_counters",
        # The key is a hash: neither addresses nor e-mails are kept.
        columns=[
            "key_hash CHAR(64) {exact} NOT NULL PRIMARY KEY",
            "hits INT NOT NULL",
            "expires_at {datetime} NOT NULL",
        ],
        indexes={"expires": "expires_at"},
    )
