"""Whom an export is about, as keyed hashes: the erasure of a person ends their exports, too."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "export_persons",
        columns=["person_hash CHAR(64) {exact} NOT NULL", "export_id BIGINT NOT NULL"],
        constraints=["PRIMARY KEY (person_hash, export_id)"],
        indexes={"export": "export_id"},
    )
