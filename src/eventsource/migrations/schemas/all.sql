-- The event log, for PostgreSQL 14 and later. Loading it again changes nothing.

DO $$
BEGIN
    IF to_regclass('events') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass('events') AND attname = 'transaction_id'
    ) THEN
        RAISE EXCEPTION 'The table events has no column transaction_id: an older script made it.'
            USING HINT = 'Load events_upgrade.sql first; it keeps every row.';
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS events (
    event_id UUID NOT NULL,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    actor_id VARCHAR(255),
    version INTEGER NOT NULL,
    timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    global_position BIGSERIAL,
    transaction_id XID8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT events_pkey PRIMARY KEY (global_position),
    CONSTRAINT uq_events_event_id UNIQUE (event_id),
    CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version)
);

-- Stores compare this version with theirs.
COMMENT ON TABLE events IS 'eventsource schema 1';

-- Streams are read through uq_events_aggregate_version; the indexes below serve everything else.

-- The feed: every event in the order in which transactions became visible.
CREATE INDEX IF NOT EXISTS idx_events_feed ON events (transaction_id, global_position);

-- get_events_by_type, for everybody and for one tenant.
CREATE INDEX IF NOT EXISTS idx_events_aggregate_type
    ON events (aggregate_type, timestamp, global_position);

CREATE INDEX IF NOT EXISTS idx_events_type_tenant
    ON events (aggregate_type, tenant_id, timestamp) WHERE tenant_id IS NOT NULL;

-- The feed of one event type, and of one tenant.
CREATE INDEX IF NOT EXISTS idx_events_event_type
    ON events (event_type, transaction_id, global_position);

CREATE INDEX IF NOT EXISTS idx_events_tenant_id
    ON events (tenant_id, transaction_id, global_position) WHERE tenant_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_events_timestamp ON events (timestamp);

-- Which aggregates exist: one entry a stream.
CREATE INDEX IF NOT EXISTS idx_events_aggregate_id
    ON events (aggregate_id, aggregate_type) WHERE version = 1;

-- Which streams have grown long: one entry in a hundred events.
CREATE INDEX IF NOT EXISTS idx_events_aggregate_version
    ON events (aggregate_type, version, aggregate_id) WHERE mod(version, 100) = 0;

-- How far this log's transaction ids run ahead of the cluster's; only event_log_adopt() sets it.
DO $$
BEGIN
    IF to_regprocedure('event_log_offset()') IS NULL THEN
        CREATE FUNCTION event_log_offset() RETURNS BIGINT LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION event_log_transaction(id XID8) RETURNS XID8
LANGUAGE sql IMMUTABLE AS $$
    SELECT (id::text::bigint + event_log_offset())::text::xid8
$$;

-- Readers of the feed stop below this transaction: whatever may still add an event is above it.
-- Transactions that run in other databases of the cluster share the ids but cannot add one. A
-- standby cannot list what runs on its primary, so there the oldest transaction of all decides.
CREATE OR REPLACE FUNCTION event_feed_horizon() RETURNS XID8
LANGUAGE sql STABLE AS $$
    SELECT event_log_transaction(least(
        CASE WHEN pg_is_in_recovery() THEN pg_snapshot_xmin(pg_current_snapshot()) END,
        pg_current_xact_id_if_assigned(),
        (
            SELECT running
            FROM pg_snapshot_xip(pg_current_snapshot()) AS running
            WHERE NOT EXISTS (
                SELECT
                FROM pg_locks
                JOIN pg_stat_activity USING (pid)
                WHERE locktype = 'transactionid'
                    AND mode = 'ExclusiveLock'
                    AND transactionid = running::xid
                    AND datname <> current_database()
            )
            ORDER BY running
            LIMIT 1
        ),
        pg_snapshot_xmax(pg_current_snapshot())
    ))
$$;

-- True when the log was copied here from a cluster whose transaction counter stood higher.
CREATE OR REPLACE FUNCTION event_log_is_ahead() RETURNS BOOLEAN
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT transaction_id FROM events ORDER BY transaction_id DESC LIMIT 1)
            >= event_log_transaction(pg_snapshot_xmax(pg_current_snapshot())),
        false
    )
$$;

-- Run once after restoring the log into another cluster: SELECT event_log_adopt();
-- New events then continue behind the restored ones, whose positions stay as they are.
CREATE OR REPLACE FUNCTION event_log_adopt() RETURNS BIGINT
LANGUAGE plpgsql AS $$
DECLARE
    last_transaction BIGINT;
    oldest_running BIGINT;
BEGIN
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    IF event_log_is_ahead() THEN
        SELECT transaction_id::text INTO last_transaction
        FROM events ORDER BY transaction_id DESC LIMIT 1;
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text INTO oldest_running;
        EXECUTE 'CREATE OR REPLACE FUNCTION event_log_offset() RETURNS BIGINT LANGUAGE sql '
            'IMMUTABLE AS ' || quote_literal(
                'SELECT ' || last_transaction + 1 - oldest_running || '::bigint'
            );
        ALTER TABLE events ALTER COLUMN transaction_id
            SET DEFAULT event_log_transaction(pg_current_xact_id());
    END IF;
    RETURN event_log_offset();
END $$;

-- Events are never changed. A transaction that must (the law, a repair) says so first.
CREATE OR REPLACE FUNCTION refuse_event_change() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('eventsource.allow_mutation', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = 'Events are append-only: ' || TG_OP || ' on ' || TG_TABLE_NAME || ' refused.',
            HINT = 'If history must change: SET LOCAL eventsource.allow_mutation = ''on'' in '
                'the same transaction.';
    END IF;
    IF TG_LEVEL = 'ROW' AND TG_OP = 'UPDATE' THEN
        RETURN NEW;
    ELSIF TG_LEVEL = 'ROW' THEN
        RETURN OLD;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER events_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change();

-- Events waiting to be published, stored in the same transaction as the events themselves.
-- Loading it again changes nothing; a table of an older script keeps its rows.

CREATE TABLE IF NOT EXISTS event_outbox (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id UUID NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    event_data JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    published_at TIMESTAMP WITH TIME ZONE,
    retry_count INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    status VARCHAR(20) NOT NULL DEFAULT 'pending',
    CONSTRAINT chk_outbox_status CHECK (status IN ('pending', 'published', 'failed'))
);

-- What publishing needs beyond that. Clocks differ and tie: the sequence is the order of appends to
-- each stream. Until available_at the row is with a publisher, or waits for its next attempt.
ALTER TABLE event_outbox
    ADD COLUMN IF NOT EXISTS sequence BIGINT GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS available_at TIMESTAMP WITH TIME ZONE;

-- Older scripts gave this name to an index by time.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indexrelid = to_regclass('idx_outbox_pending') AND attname <> 'sequence'
    ) THEN
        DROP INDEX idx_outbox_pending;
    END IF;
END $$;

CREATE INDEX IF NOT EXISTS idx_outbox_pending ON event_outbox (sequence)
    WHERE status = 'pending';

-- Is there an earlier event of the same stream that is not published yet?
CREATE INDEX IF NOT EXISTS idx_outbox_stream
    ON event_outbox (aggregate_id, aggregate_type, sequence) WHERE status <> 'published';

-- How far each projection has read. Loading it again changes nothing.

-- A position is a pair: transaction_id, then global_position, as in the events table.
CREATE TABLE IF NOT EXISTS projection_checkpoints (
    projection_name VARCHAR(255) PRIMARY KEY,
    last_event_id UUID,
    last_event_type VARCHAR(255),
    last_processed_at TIMESTAMP WITH TIME ZONE,
    transaction_id BIGINT,
    global_position BIGINT,
    events_processed BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

-- Events that a projection could not process. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS dead_letter_queue (
    id BIGSERIAL PRIMARY KEY,
    event_id UUID NOT NULL,
    projection_name VARCHAR(255) NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    event_data JSONB NOT NULL,
    error_message TEXT NOT NULL,
    error_stacktrace TEXT NOT NULL,
    retry_count INTEGER NOT NULL DEFAULT 0,
    first_failed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    last_failed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    status VARCHAR(20) NOT NULL DEFAULT 'failed',
    resolved_at TIMESTAMP WITH TIME ZONE,
    resolved_by VARCHAR(255),
    CONSTRAINT uq_dlq_event_projection UNIQUE (event_id, projection_name),
    CONSTRAINT chk_dlq_status CHECK (status IN ('failed', 'retrying', 'resolved'))
);

-- Entries are listed by status, the latest first failure on top.
CREATE INDEX IF NOT EXISTS idx_dlq_status ON dead_letter_queue (status, first_failed_at);

-- What each consumer has processed. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS event_inbox (
    consumer VARCHAR(255) NOT NULL,
    event_id UUID NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT event_inbox_pkey PRIMARY KEY (consumer, event_id)
);

-- Old entries are deleted by age.
CREATE INDEX IF NOT EXISTS idx_inbox_recorded_at ON event_inbox (recorded_at);

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

-- Which events count for which rule, in order. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS event_tags (
    tag TEXT NOT NULL,
    version BIGINT NOT NULL,
    event_id UUID NOT NULL,
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
    wrapped_key BYTEA,
    master_key_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    erased_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT personal_keys_pkey PRIMARY KEY (subject),
    CONSTRAINT chk_personal_keys_erased CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);
