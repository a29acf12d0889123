-- Events that a projection could not process. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS dead_letter_queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    projection_name TEXT NOT NULL,
    event_type TEXT NOT NULL,
    event_data TEXT NOT NULL,
    error_message TEXT NOT NULL,
    error_stacktrace TEXT NOT NULL,
    retry_count INTEGER NOT NULL DEFAULT 0,
    first_failed_at TEXT NOT NULL,
    last_failed_at TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'failed',
    resolved_at TEXT,
    resolved_by TEXT,
    CONSTRAINT uq_dlq_event_projection UNIQUE (event_id, projection_name),
    CONSTRAINT chk_dlq_status CHECK (status IN ('failed', 'retrying', 'resolved'))
);

-- Entries are listed by status, the latest first failure on top.
CREATE INDEX IF NOT EXISTS idx_dlq_status ON dead_letter_queue (status, first_failed_at);
