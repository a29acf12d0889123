-- The event log, for SQLite 3.35 and later. Loading it again changes nothing.
--
-- UUIDs and JSON are text; times are ISO text in UTC of one width, which sorts as the times do.

-- SQLite has one writer at a time: positions are given in the order of commits.
CREATE TABLE IF NOT EXISTS events (
    global_position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    event_type TEXT NOT NULL,
    tenant_id TEXT,
    actor_id TEXT,
    version INTEGER NOT NULL,
    timestamp TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TEXT NOT NULL,
    CONSTRAINT uq_events_event_id UNIQUE (event_id),
    CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version)
);

-- Stores compare this version with theirs.
CREATE TABLE IF NOT EXISTS eventsource_schema (version INTEGER PRIMARY KEY);

INSERT OR IGNORE INTO eventsource_schema (version) VALUES (1);

CREATE INDEX IF NOT EXISTS idx_events_aggregate_type
    ON events (aggregate_type, timestamp, global_position);

CREATE INDEX IF NOT EXISTS idx_events_event_type ON events (event_type, global_position);

CREATE INDEX IF NOT EXISTS idx_events_tenant_id
    ON events (tenant_id, global_position) WHERE tenant_id IS NOT NULL;

-- Events are never changed. Who must (the law, a repair) drops the trigger and makes it again.
CREATE TRIGGER IF NOT EXISTS events_no_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'Events are append-only: UPDATE on events refused.');
END;

CREATE TRIGGER IF NOT EXISTS events_no_delete BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'Events are append-only: DELETE on events refused.');
END;

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

-- What each consumer has processed. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS event_inbox (
    consumer TEXT NOT NULL,
    event_id TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    CONSTRAINT event_inbox_pkey PRIMARY KEY (consumer, event_id)
);

-- Old entries are deleted by age.
CREATE INDEX IF NOT EXISTS idx_inbox_recorded_at ON event_inbox (recorded_at);

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

-- Which events count for which rule, in order. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS event_tags (
    tag TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    CONSTRAINT event_tags_pkey PRIMARY KEY (tag, version)
);

-- One encryption key for each person whose data is in events. Loading it again changes nothing.
--
-- Who destroys a key makes that person's data unreadable, in every copy of the log. So keep this
-- table out of the backups of the log: in a database of its own, whose backups are short-lived.

-- Keys are encrypted with a master key that is not in the database. A row without a key is a person
-- who was erased: it keeps a new key from being made.
CREATE TABLE IF NOT EXISTS personal_keys (
    subject TEXT NOT NULL,
    wrapped_key BLOB,
    master_key_id TEXT,
    created_at TEXT NOT NULL,
    erased_at TEXT,
    CONSTRAINT personal_keys_pkey PRIMARY KEY (subject),
    CONSTRAINT chk_personal_keys_erased CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);
