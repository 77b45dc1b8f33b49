"""Up to which slot of time each job was made due."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "scheduler_ticks",
        columns=[
            "job VARCHAR(64) {exact} NOT NULL PRIMARY KEY",
            "last_slot BIGINT NOT NULL",
            "recorded_at {datetime} NOT NULL",
        ],
    )
