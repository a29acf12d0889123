-- Events waiting to be published, stored in the same transaction as the events themselves.
-- Loading it again changes nothing.

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
    sequence BIGINT GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT chk_outbox_status CHECK (status IN ('pending', 'published', 'failed'))
);

-- Clocks differ and tie; the sequence is the order of appends to each stream.
CREATE INDEX IF NOT EXISTS idx_outbox_pending ON event_outbox (sequence)
    WHERE status = 'pending';
