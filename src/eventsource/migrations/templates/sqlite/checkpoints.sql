-- How far each projection has read. Loading it again changes nothing.

-- A position is a pair: transaction_id, then global_position, as in the events table.
CREATE TABLE IF NOT EXISTS projection_checkpoints (
    projection_name TEXT PRIMARY KEY,
    last_event_id TEXT,
    last_event_type TEXT,
    last_processed_at TEXT,
    transaction_id INTEGER,
    global_position INTEGER,
    events_processed INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
