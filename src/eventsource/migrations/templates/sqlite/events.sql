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
