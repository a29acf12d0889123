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
