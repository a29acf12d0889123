-- Row-level security: each transaction sees and writes the rows of one tenant. Load it after the
-- tables; loading it again changes nothing.
--
-- The tenant is the setting eventsource.tenant_id of the transaction (SET LOCAL, never SET). Without
-- it there are no rows to see and none may be written. Superusers, and roles with BYPASSRLS, see
-- everything: let the application log in as neither, and workers that serve all tenants as the
-- latter. The application's role needs, here and on what other tables it uses,
--     GRANT SELECT, INSERT ON events TO ...
--     GRANT USAGE ON SEQUENCE events_global_position_seq TO ...

CREATE OR REPLACE FUNCTION event_tenant() RETURNS UUID
LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('eventsource.tenant_id', true), '')::uuid
$$;

ALTER TABLE events ENABLE ROW LEVEL SECURITY;

ALTER TABLE events FORCE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS one_tenant ON events;

CREATE POLICY one_tenant ON events USING (tenant_id = event_tenant());

-- A partition asked by its own name has no policy, and so shows nothing.
DO $$
DECLARE
    part REGCLASS;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('events') WHERE parentrelid IS NOT NULL LOOP
        EXECUTE 'ALTER TABLE ' || part || ' ENABLE ROW LEVEL SECURITY';
        EXECUTE 'ALTER TABLE ' || part || ' FORCE ROW LEVEL SECURITY';
    END LOOP;
END $$;

-- The other tables with what events say, as far as there are such tables: a snapshot or a dead letter
-- belongs to whoever may see its events.
DO $$
DECLARE
    guarded RECORD;
BEGIN
    FOR guarded IN
        SELECT * FROM (VALUES
            ('event_outbox', 'tenant_id = event_tenant()'),
            ('snapshots', 'EXISTS (SELECT FROM events WHERE events.aggregate_id = '
                'snapshots.aggregate_id AND events.aggregate_type = snapshots.aggregate_type)'),
            ('dead_letter_queue', 'EXISTS (SELECT FROM events WHERE events.event_id = '
                'dead_letter_queue.event_id)')
        ) AS known (name, rule)
        WHERE to_regclass(name) IS NOT NULL
    LOOP
        EXECUTE 'ALTER TABLE ' || guarded.name || ' ENABLE ROW LEVEL SECURITY';
        EXECUTE 'ALTER TABLE ' || guarded.name || ' FORCE ROW LEVEL SECURITY';
        EXECUTE 'DROP POLICY IF EXISTS one_tenant ON ' || guarded.name;
        EXECUTE 'CREATE POLICY one_tenant ON ' || guarded.name || ' USING (' || guarded.rule || ')';
    END LOOP;
END $$;
