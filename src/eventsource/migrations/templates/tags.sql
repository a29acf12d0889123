-- Which events count for which rule, in order. Loading it again changes nothing.

CREATE TABLE IF NOT EXISTS event_tags (
    tag TEXT NOT NULL,
    version BIGINT NOT NULL,
    event_id UUID NOT NULL,
    CONSTRAINT event_tags_pkey PRIMARY KEY (tag, version)
);
