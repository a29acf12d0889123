-- When to wake process managers. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS process_timeouts (
    event_id TEXT NOT NULL,
    process_type TEXT NOT NULL,
    process_id TEXT NOT NULL,
    name TEXT NOT NULL,
    due_at TEXT NOT NULL,
    CONSTRAINT process_timeouts_pkey PRIMARY KEY (event_id)
);

CREATE INDEX IF NOT EXISTS idx_process_timeouts_due ON process_timeouts (process_type, due_at);
