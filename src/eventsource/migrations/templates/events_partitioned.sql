-- The event log in 16 partitions, for PostgreSQL 14 and later. Loading it again changes nothing.
--
-- A unique constraint of a partitioned table must contain the partition key. Partitions by time would
-- put the time into the version's constraint, and two writers could both store version 1. Partitions
-- by aggregate_id keep the guard. They keep event ids unique for each aggregate, not over the log.

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
    CONSTRAINT events_pkey PRIMARY KEY (global_position, aggregate_id),
    CONSTRAINT uq_events_event_id UNIQUE (event_id, aggregate_id),
    CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version)
) PARTITION BY HASH (aggregate_id);

DO $$
BEGIN
    FOR n IN 0..15 LOOP
        EXECUTE 'CREATE TABLE IF NOT EXISTS events_p' || n || ' PARTITION OF events '
            'FOR VALUES WITH (MODULUS 16, REMAINDER ' || n || ')';
    END LOOP;
END $$;

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

-- By row, which also covers statements sent to a partition; TRUNCATE has no rows.
CREATE OR REPLACE TRIGGER events_append_only
    BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_event_change();

DO $$
DECLARE
    part REGCLASS;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('events') LOOP
        EXECUTE 'CREATE OR REPLACE TRIGGER events_no_truncate BEFORE TRUNCATE ON ' || part
            || ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change()';
    END LOOP;
END $$;
