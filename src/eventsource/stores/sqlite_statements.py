"""The SQL of the event stores on SQLite, in a file and in memory."""

TAKEN = """
SELECT event_id, aggregate_id, aggregate_type, version, global_position
FROM events
WHERE event_id IN (SELECT value FROM json_each($1))
"""

HEAD = """
SELECT version, global_position
FROM events
WHERE aggregate_id = $1 AND aggregate_type = $2
ORDER BY version DESC
LIMIT 1
"""

INSERT = """
INSERT INTO events (
    event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version, timestamp,
    payload, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

# Always at least one row, so that the stream's version is known whatever the filters leave.
STREAM = """
SELECT head.stream_version, head.only_type,
    part.event_id, part.aggregate_id, part.aggregate_type, part.event_type, part.version,
    part.payload
FROM (
    SELECT coalesce(max(version), 0) AS stream_version,
        CASE WHEN min(aggregate_type) = max(aggregate_type) THEN min(aggregate_type) END
            AS only_type
    FROM events
    WHERE aggregate_id = $1 AND ($2 IS NULL OR aggregate_type = $2)
) AS head
LEFT JOIN (
    SELECT event_id, aggregate_id, aggregate_type, event_type, version, payload
    FROM events
    WHERE aggregate_id = $1 AND ($2 IS NULL OR aggregate_type = $2)
        AND version > $3
        AND ($4 IS NULL OR timestamp >= $4)
        AND ($5 IS NULL OR timestamp <= $5)
) AS part ON true
ORDER BY part.version, part.aggregate_type
"""

_EVENTS = "SELECT event_id, aggregate_id, aggregate_type, event_type, version, payload FROM events"
_BY_TIME = " ORDER BY timestamp, global_position"

BY_TYPE = (
    _EVENTS
    + """
WHERE aggregate_type = $1
    AND ($2 IS NULL OR tenant_id = $2)
    AND ($3 IS NULL OR timestamp > $3)
"""
    + _BY_TIME
)

ALL = _EVENTS + _BY_TIME

AGGREGATE_IDS = "SELECT DISTINCT aggregate_id FROM events"

EVENT_EXISTS = "SELECT 1 FROM events WHERE event_id = $1"

FEED_END = "SELECT coalesce(max(global_position), 0) AS position FROM events"

LOG_REACHES = "SELECT 1 FROM events WHERE global_position >= $1 LIMIT 1"

# The bounds of a page exclude it: $1 and $2 stand before it, $9 and $10 behind it.
_PAGE = """
SELECT event_id, aggregate_id, aggregate_type, event_type, version, created_at, payload,
    global_position, 0 AS transaction_id
FROM events
WHERE ($4 IS NULL OR timestamp >= $4)
    AND ($5 IS NULL OR timestamp <= $5)
    AND ($6 IS NULL OR tenant_id = $6)
    AND ($7 IS NULL OR event_type IN (SELECT value FROM json_each($7)))
    AND ($8 IS NULL OR aggregate_type IN (SELECT value FROM json_each($8)))
"""

_STREAM_PAGE = (
    _PAGE
    + """
    AND aggregate_id = $11 AND ($12 IS NULL OR aggregate_type = $12)
    AND (version, aggregate_type) > ($1, $2) AND (version, aggregate_type) < ($9, $10)
"""
)

STREAM_PAGE_FORWARD = _STREAM_PAGE + "ORDER BY version, aggregate_type LIMIT $3"
STREAM_PAGE_BACKWARD = _STREAM_PAGE + "ORDER BY version DESC, aggregate_type DESC LIMIT $3"

# Positions are pairs everywhere; without concurrent writers the first number stays 0. To compare
# it as well, SQLite would walk from the beginning of the log to every page.
_FEED_PAGE = _PAGE + "AND global_position > $2 AND global_position < $10\n"

FEED_PAGE_FORWARD = _FEED_PAGE + "ORDER BY global_position LIMIT $3"
FEED_PAGE_BACKWARD = _FEED_PAGE + "ORDER BY global_position DESC LIMIT $3"
