-- What each consumer has processed. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS event_inbox (
    consumer TEXT NOT NULL,
    event_id TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    CONSTRAINT event_inbox_pkey PRIMARY KEY (consumer, event_id)
);

-- Old entries are deleted by age.
CREATE INDEX IF NOT EXISTS idx_inbox_recorded_at ON event_inbox (recorded_at);
