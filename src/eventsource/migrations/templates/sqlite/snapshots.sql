-- The latest snapshot of each aggregate: a cache that may be emptied at any time.
-- Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS snapshots (
    aggregate_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema_version INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    created_at TEXT NOT NULL,
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_id, aggregate_type)
);
