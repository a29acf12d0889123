-- Events waiting to be published, stored in the same transaction as the events themselves.
-- Loading it again changes nothing.

-- Until available_at the row is with a publisher, or waits for its next attempt.
CREATE TABLE IF NOT EXISTS event_outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    tenant_id TEXT,
    event_data TEXT NOT NULL,
    created_at TEXT NOT NULL,
    published_at TEXT,
    retry_count INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    status TEXT NOT NULL DEFAULT 'pending',
    available_at TEXT,
    CONSTRAINT chk_outbox_status CHECK (status IN ('pending', 'published', 'failed'))
);

CREATE INDEX IF NOT EXISTS idx_outbox_pending ON event_outbox (sequence)
    WHERE status = 'pending';

-- Is there an earlier event of the same stream that is not published yet?
CREATE INDEX IF NOT EXISTS idx_outbox_stream
    ON event_outbox (aggregate_id, aggregate_type, sequence) WHERE status <> 'published';
