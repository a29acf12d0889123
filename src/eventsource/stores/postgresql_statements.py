"""The SQL of the PostgreSQL event store.

{position} and {transaction} stand for the columns global_position and transaction_id, or for 0
where the table has none.
"""

# One statement is one transaction and one round trip. Its guard is the unique constraint on
# (aggregate_id, aggregate_type, version); comparing with the head as well turns an expected version
# that is too high into a conflict rather than a gap. -1 and -2 are ExpectedVersion's ANY and
# STREAM_EXISTS; only then is the version unknown to the caller, who otherwise wrote it into the
# payload.
_STORE = """
WITH head AS (
    SELECT coalesce(max(version), 0) AS version
    FROM events
    WHERE aggregate_id = $1 AND aggregate_type = $2
), stored AS (
    INSERT INTO events (
        event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version,
        timestamp, payload
    )
    SELECT
        new.event_id, $1, $2, new.event_type, new.tenant_id, new.actor_id,
        head.version + new.place,
        new.occurred_at,
        CASE WHEN $3::bigint >= 0 THEN new.payload::jsonb
            ELSE new.payload::jsonb
                || jsonb_build_object('aggregate_version', head.version + new.place)
        END
    FROM head, unnest(
        $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::timestamptz[], $9::text[]
    ) WITH ORDINALITY AS new (
        event_id, event_type, tenant_id, actor_id, occurred_at, payload, place
    )
    WHERE CASE $3::bigint
        WHEN -1 THEN true
        WHEN -2 THEN head.version > 0
        ELSE head.version = $3::bigint
    END
    ORDER BY new.place
    RETURNING version, {position} AS position, {transaction} AS transaction"""

_LAST_STORED = ") SELECT * FROM stored ORDER BY version DESC LIMIT 1"

# The text in the middle serves tenant columns of type UUID and VARCHAR.
_OUTBOX = """,
    event_id, event_type, aggregate_id, aggregate_type, tenant_id::text::uuid AS tenant_id, payload
), queued AS (
    INSERT INTO event_outbox (
        event_id, event_type, aggregate_id, aggregate_type, tenant_id, event_data
    )
    SELECT event_id, event_type, aggregate_id, aggregate_type, tenant_id, payload
    FROM stored
    ORDER BY version
"""

APPEND = _STORE + _LAST_STORED
APPEND_WITH_OUTBOX = _STORE + _OUTBOX + _LAST_STORED

# Why an append stored nothing: the stream's version, and which of the event ids are taken.
DIAGNOSE = """
SELECT head.version AS head_version, taken.event_id, taken.aggregate_id, taken.aggregate_type,
    taken.version, taken.position, taken.transaction
FROM (
    SELECT coalesce(max(version), 0) AS version
    FROM events
    WHERE aggregate_id = $1 AND aggregate_type = $2
) AS head
LEFT JOIN (
    SELECT *, {position} AS position, {transaction} AS transaction
    FROM events
    WHERE event_id = ANY($3::uuid[])
) AS taken ON true
ORDER BY taken.version
"""

HEAD = """
SELECT version, {position} AS position, {transaction} AS transaction
FROM events
WHERE aggregate_id = $1 AND aggregate_type = $2
ORDER BY version DESC
LIMIT 1
"""

STREAM = """
SELECT version AS stream_version, aggregate_type, event_type, version, payload::text AS payload
FROM events
WHERE aggregate_id = $1 AND aggregate_type = $2
ORDER BY version
"""

# Always at least one row, so that the stream's version is known whatever the filters leave.
_STREAM_PART = """
SELECT head.stream_version, head.only_type,
    part.aggregate_type, part.event_type, part.version, part.payload
FROM (
    SELECT coalesce(max(version), 0) AS stream_version,
        CASE WHEN min(aggregate_type) = max(aggregate_type) THEN min(aggregate_type) END
            AS only_type
    FROM events
    WHERE aggregate_id = $1 AND {of_type}
) AS head
LEFT JOIN (
    SELECT aggregate_type, event_type, version, payload::text AS payload
    FROM events
    WHERE aggregate_id = $1 AND {of_type}
        AND version > $3::bigint
        AND ($4::timestamptz IS NULL OR timestamp >= $4)
        AND ($5::timestamptz IS NULL OR timestamp <= $5)
) AS part ON true
ORDER BY part.version, part.aggregate_type
"""

# Two texts: with an OR, the index would not lead to the one stream.
STREAM_PART = _STREAM_PART.replace("{of_type}", "aggregate_type = $2")
STREAMS_OF_ID = _STREAM_PART.replace("{of_type}", "$2::text IS NULL")

# $2 says whether any tenant will do: an untyped $3 then fits tenant columns of both types.
BY_TYPE = """
SELECT aggregate_id, aggregate_type, event_type, version, payload::text AS payload
FROM events
WHERE aggregate_type = $1
    AND ($2 OR tenant_id = $3)
    AND ($4::timestamptz IS NULL OR timestamp > $4)
ORDER BY timestamp, {position}, aggregate_id, version
"""

EVENT_EXISTS = "SELECT FROM events WHERE event_id = $1 LIMIT 1"

_PAGE_COLUMNS = """
SELECT aggregate_id, aggregate_type, event_type, version, created_at, payload::text AS payload,
    {position} AS position, {transaction} AS transaction
FROM events
"""

# In coalesce, because the planner would multiply its guesses at these conditions, take nearly
# nothing to be left, and then prefer to sort all rows over walking the index to the first page.
_PAGE_FILTERS = """
    AND coalesce(
        ($4::timestamptz IS NULL OR timestamp >= $4)
        AND ($5::timestamptz IS NULL OR timestamp <= $5)
        AND ($6 OR tenant_id = $7)
        AND ($8::text[] IS NULL OR event_type = ANY($8))
        AND ($9::text[] IS NULL OR aggregate_type = ANY($9)),
        false
    )
"""

_STREAM_PAGE = (
    _PAGE_COLUMNS
    + """
WHERE aggregate_id = $12 AND ($13::text IS NULL OR aggregate_type = $13)
    AND (version, aggregate_type) > ($1::bigint, $2::text)
    AND (version, aggregate_type) < ($10::bigint, $11::text)
"""
    + _PAGE_FILTERS
)

STREAM_PAGE_FORWARD = _STREAM_PAGE + "ORDER BY version, aggregate_type LIMIT $3"
STREAM_PAGE_BACKWARD = _STREAM_PAGE + "ORDER BY version DESC, aggregate_type DESC LIMIT $3"

# Positions are taken when a row is inserted and seen when its transaction commits, which may be
# much later. Below the horizon every transaction has ended: nothing can appear there any more.
# The horizon cuts the end off a page in order, so it may stand outside: one guess less to make.
# The last parameter is the horizon that this reader knows already.
_CUT_OFF = "SELECT * FROM ("
FEED_PAGE_FORWARD = (
    _CUT_OFF
    + _PAGE_COLUMNS
    + "WHERE (transaction_id, global_position) > ($1, $2)"
    + _PAGE_FILTERS
    + """
    ORDER BY transaction_id, global_position
    LIMIT $3
) AS page
WHERE transaction < greatest((SELECT event_feed_horizon()), $10)
"""
)

FEED_PAGE_BACKWARD = (
    _PAGE_COLUMNS
    + """
WHERE transaction_id < greatest((SELECT event_feed_horizon()), $12)
    AND (transaction_id, global_position) > ($1, $2)
    AND (transaction_id, global_position) < ($10, $11)
"""
    + _PAGE_FILTERS
    + "ORDER BY transaction_id DESC, global_position DESC LIMIT $3"
)

FEED_END = """
SELECT transaction_id AS transaction, global_position AS position
FROM events
WHERE transaction_id < greatest((SELECT event_feed_horizon()), $1)
ORDER BY transaction_id DESC, global_position DESC
LIMIT 1
"""

FIND_POSITION = "SELECT transaction_id FROM events WHERE global_position = $1 LIMIT 1"

LOG_REACHES = """
SELECT
FROM events
WHERE (transaction_id, global_position) >= ($1, $2)
ORDER BY transaction_id DESC, global_position DESC
LIMIT 1
"""
