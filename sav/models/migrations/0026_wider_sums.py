"""The desk's sums again, over more time each: empty, until whoever counts next finds that they are behind."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "wider_counts",
        columns=[
            "kind VARCHAR(20) {exact} NOT NULL",
            "width INT NOT NULL",
            "slot BIGINT NOT NULL",
            "label VARCHAR(100) {word} NOT NULL",
            "tickets BIGINT NOT NULL",
            "micros BIGINT NOT NULL",
        ],
        constraints=["PRIMARY KEY (kind, width, slot, label)"],
    )
