-- The latest snapshot of each aggregate: a cache that may be emptied at any time.
-- Loading it again changes nothing.

-- JSON rather than JSONB: it keeps numbers and characters exactly as they were written.
CREATE TABLE IF NOT EXISTS snapshots (
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    version INTEGER NOT NULL,
    schema_version INTEGER NOT NULL DEFAULT 1,
    state JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_id, aggregate_type)
);
