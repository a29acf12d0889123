"""The SQL of the outbox. All that differs between databases is how entries are claimed."""

from datetime import datetime
from uuid import UUID, uuid4

from eventsource.events.base import DomainEvent

_ENTRIES = """
SELECT
    entry.id, entry.event_id, entry.event_type, entry.aggregate_id, entry.aggregate_type,
    entry.tenant_id, CAST(entry.event_data AS TEXT) AS event_data, entry.created_at, entry.status,
    entry.published_at, entry.retry_count, entry.last_error, entry.sequence
FROM event_outbox AS entry
"""

ADD = """
INSERT INTO event_outbox (
    id, event_id, event_type, aggregate_id, aggregate_type, tenant_id, event_data, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


def new_entry(event: DomainEvent, payload: str, now: datetime) -> tuple[UUID, *tuple[object, ...]]:
    """What ADD is given, the entry's id first."""
    return (
        uuid4(),
        event.event_id,
        event.event_type,
        event.aggregate_id,
        event.aggregate_type,
        event.tenant_id,
        payload,
        now,
    )


# The first pending entry of each stream among the oldest $3.
_FIRST = """
SELECT aggregate_id, aggregate_type, min(sequence) AS sequence FROM (
    SELECT aggregate_id, aggregate_type, sequence
    FROM event_outbox WHERE status = 'pending' ORDER BY sequence LIMIT $3
) AS oldest
GROUP BY aggregate_id, aggregate_type
ORDER BY sequence
"""

# Whether it is to be had now: no parked entry precedes it.
_TO_BE_HAD = """
head.status = 'pending' AND (head.available_at IS NULL OR head.available_at <= {now})
    AND head.sequence = (
        SELECT min(sequence) FROM event_outbox AS entry
        WHERE entry.aggregate_id = head.aggregate_id AND entry.aggregate_type = head.aggregate_type
            AND entry.status <> 'published'
    )
"""

# A head and the entries behind it, parked ones too.
_STREAM = """
{entries}
WHERE entry.aggregate_id = {aggregate_id} AND entry.aggregate_type = {aggregate_type}
    AND entry.sequence >= {sequence}
    AND entry.status <> 'published'
ORDER BY entry.sequence
LIMIT {share}
"""

_STREAM = _STREAM.replace("{entries}", _ENTRIES)

# Locks decide who gets a head; that it is theirs stands in available_at. A rival who waited with an
# older view skips a locked head, or sees it again as it is now, no longer available. So only heads
# are written, and no transaction stays open while events are published.
#
# LATERAL leaves the planner no choice but the index. What it believes about the number of pending
# entries is mostly out of date, and joins that suit an empty outbox take seconds in a full one.
CLAIM = """
WITH heads AS MATERIALIZED (
    SELECT head.* FROM ({first}) AS first CROSS JOIN LATERAL (
        SELECT head.id, head.aggregate_id, head.aggregate_type, head.sequence
        FROM event_outbox AS head
        WHERE head.aggregate_id = first.aggregate_id AND head.aggregate_type = first.aggregate_type
            AND head.sequence = first.sequence AND {to_be_had}
        FOR UPDATE SKIP LOCKED
    ) AS head
    LIMIT $1
), leased AS (
    UPDATE event_outbox SET available_at = now() + $2::interval
    FROM heads WHERE event_outbox.id = heads.id
)
SELECT found.* FROM heads CROSS JOIN LATERAL ({stream}) AS found
ORDER BY found.sequence
"""

CLAIM = (
    CLAIM.replace("{first}", _FIRST)
    .replace("{to_be_had}", _TO_BE_HAD.replace("{now}", "now()"))
    .replace(
        "{stream}",
        _STREAM.replace("{aggregate_id}", "heads.aggregate_id")
        .replace("{aggregate_type}", "heads.aggregate_type")
        .replace("{sequence}", "heads.sequence")
        .replace("{share}", "$1 / (SELECT count(*) FROM heads)"),
    )
)

HEADS_SQLITE = """
SELECT head.id, head.aggregate_id, head.aggregate_type, head.sequence
FROM ({first}) AS first JOIN event_outbox AS head ON head.sequence = first.sequence
WHERE {to_be_had}
ORDER BY head.sequence
LIMIT $1
"""

HEADS_SQLITE = HEADS_SQLITE.replace("{first}", _FIRST).replace(
    "{to_be_had}", _TO_BE_HAD.replace("{now}", "$2")
)

STREAM_SQLITE = (
    _STREAM.replace("{aggregate_id}", "$1")
    .replace("{aggregate_type}", "$2")
    .replace("{sequence}", "$3")
    .replace("{share}", "$4")
)

LEASE_SQLITE = "UPDATE event_outbox SET available_at = $2 WHERE id = $1"

MARK_PUBLISHED = """
UPDATE event_outbox SET status = 'published', published_at = $2, available_at = NULL
WHERE id {is_listed} AND status <> 'published'
"""

RELEASE = "UPDATE event_outbox SET available_at = NULL WHERE id {is_listed} AND status = 'pending'"

INCREMENT_RETRY = """
UPDATE event_outbox SET retry_count = retry_count + 1, last_error = $2, available_at = {later}
WHERE id = $1 AND status = 'pending'
"""

MARK_FAILED = """
UPDATE event_outbox SET status = 'failed', last_error = $2, available_at = NULL
WHERE id = $1 AND status = 'pending'
"""

REQUEUE = """
UPDATE event_outbox SET status = 'pending', retry_count = 0, available_at = NULL
WHERE id = $1 AND status = 'failed'
"""

WITH_STATUS = _ENTRIES + "WHERE entry.status = $1 ORDER BY entry.sequence LIMIT $2"

CLEANUP = """
DELETE FROM event_outbox WHERE status = 'published' AND published_at <= $1 RETURNING id
"""

STATS = """
SELECT count(*) FILTER (WHERE status = 'pending') AS pending_count,
    count(*) FILTER (WHERE status = 'published') AS published_count,
    count(*) FILTER (WHERE status = 'failed') AS failed_count,
    min(created_at) FILTER (WHERE status = 'pending') AS oldest_pending,
    avg(retry_count) FILTER (WHERE status = 'pending') AS avg_retries
FROM event_outbox
"""
