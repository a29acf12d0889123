-- Makes the table events of an older script, with or without global_position, the present one.
-- Load events.sql after it: get_schema('events_upgrade') is both. Loading it again changes nothing.
--
-- Every row is kept. Rows without a position are numbered in the order in which they were stored.
-- The table is locked and rewritten: plan a pause for a log of many millions.

DO $$
DECLARE
    old_key RECORD;
BEGIN
    IF to_regclass('events') IS NULL THEN
        RAISE EXCEPTION 'There is no table events to upgrade.'
            USING HINT = 'Load events.sql or all.sql, which create it.';
    END IF;
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('events') AND attname = 'transaction_id'
    ) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('events') AND attname = 'global_position'
    ) THEN
        ALTER TABLE events ADD COLUMN global_position BIGINT;
        -- A stream's versions keep their order even where the clock went back.
        UPDATE events SET global_position = numbered.place
        FROM (
            SELECT ctid AS row_id, row_number() OVER (
                ORDER BY stored_by, aggregate_id, aggregate_type, version
            ) AS place
            FROM (
                SELECT ctid, aggregate_id, aggregate_type, version,
                    max(created_at) OVER (
                        PARTITION BY aggregate_id, aggregate_type ORDER BY version
                    ) AS stored_by
                FROM events
            ) AS timed
        ) AS numbered
        WHERE events.ctid = numbered.row_id;
        CREATE SEQUENCE events_global_position_seq OWNED BY events.global_position;
        PERFORM setval(
            'events_global_position_seq',
            (SELECT coalesce(max(global_position), 0) + 1 FROM events),
            false
        );
        ALTER TABLE events
            ALTER COLUMN global_position SET DEFAULT nextval('events_global_position_seq'),
            ALTER COLUMN global_position SET NOT NULL;
    END IF;
    -- Two steps: a constant default for the rows there are needs no second rewrite.
    ALTER TABLE events ADD COLUMN transaction_id XID8 NOT NULL DEFAULT '0';
    ALTER TABLE events ALTER COLUMN transaction_id SET DEFAULT pg_current_xact_id();
    FOR old_key IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = to_regclass('events') AND contype IN ('p', 'u')
            AND conname <> 'uq_events_aggregate_version'
    LOOP
        EXECUTE 'ALTER TABLE events DROP CONSTRAINT ' || quote_ident(old_key.conname);
    END LOOP;
    ALTER TABLE events
        ADD CONSTRAINT events_pkey PRIMARY KEY (global_position),
        ADD CONSTRAINT uq_events_event_id UNIQUE (event_id);
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = to_regclass('events') AND conname = 'uq_events_aggregate_version'
    ) THEN
        ALTER TABLE events ADD CONSTRAINT uq_events_aggregate_version
            UNIQUE (aggregate_id, aggregate_type, version);
    END IF;
    -- events.sql defines these names anew, for more queries.
    DROP INDEX IF EXISTS
        idx_events_aggregate_id,
        idx_events_aggregate_type,
        idx_events_event_type,
        idx_events_timestamp,
        idx_events_aggregate_version,
        idx_events_tenant_id,
        idx_events_type_tenant;
END $$;
