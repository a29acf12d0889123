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
