"""What was asked for about persons' data: exports and erasures."""

from sav.models.schema import create_table

atomic = False


def up(migrator, database):
    create_table(
        database,
        "privacy_requests",
        columns=[
            "id {id}",
            "kind VARCHAR(16) {exact} NOT NULL",
            "state VARCHAR(16) {exact} NOT NULL",
            "source VARCHAR(16) {exact} NOT NULL",
            "requested_by BIGINT NULL",
            "request_id VARCHAR(128) {exact} NULL",
            "subject_hash CHAR(64) {exact} NOT NULL",
            # Whom it is about, until it is done.
            "subject {json} NULL",
            # The kind and the subject's hash, until it is done: nobody asks twice at once.
            "active_key VARCHAR(96) {exact} NULL",
            "step VARCHAR(32) {exact} NOT NULL",
            "place BIGINT NOT NULL DEFAULT 0",
            "counts {json} NOT NULL",
            "receipt {json} NULL",
            "object_key VARCHAR(255) {exact} NULL",
            "object_size BIGINT NULL",
            "object_sha256 CHAR(64) {exact} NULL",
            "failure VARCHAR(64) {exact} NULL",
            "expires_at {datetime} NULL",
            "created_at {datetime} NOT NULL",
            "started_at {datetime} NULL",
            "finished_at {datetime} NULL",
            "updated_at {datetime} NOT NULL",
        ],
        constraints=[
            "CONSTRAINT privacy_kind CHECK (kind IN ('export', 'erasure'))",
            "CONSTRAINT privacy_state CHECK "
            "(state IN ('waiting', 'running', 'finished', 'failed', 'expired'))",
        ],
        unique={"active": "active_key"},
        indexes={"kind": "kind, id"},
    )
