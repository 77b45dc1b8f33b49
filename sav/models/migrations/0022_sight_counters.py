"""Counters that tell whether what somebody may see has changed. A row is made when it is first advanced."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "sight_counters",
        columns=["slot INT NOT NULL PRIMARY KEY", "changes BIGINT NOT NULL"],
    )
