-- When to wake process managers. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS process_timeouts (
    event_id UUID NOT NULL,
    process_type VARCHAR(255) NOT NULL,
    process_id UUID NOT NULL,
    name TEXT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT process_timeouts_pkey PRIMARY KEY (event_id)
);

CREATE INDEX IF NOT EXISTS idx_process_timeouts_due ON process_timeouts (process_type, due_at);
