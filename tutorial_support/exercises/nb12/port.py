"""Exercise 12.1: a query that only PostgreSQL understands, on SQLite."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    DatabaseError,
    EventStore,
    PostgreSQLEventStore,
    SchemaError,
    SQLiteDatabase,
    SQLiteEventStore,
)
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

MOMENT = datetime(2026, 1, 4, 23, tzinfo=UTC)  # midnight in Berlin
ORIGINAL = """
SELECT DISTINCT ON (payload ->> 'customer_id')
       payload ->> 'customer_id' AS customer, aggregate_id AS order_id,
       (payload ->> 'total')::numeric AS total
FROM events
WHERE event_type = 'OrderCreated' AND timestamp >= TIMESTAMPTZ '2026-01-05 00:00+01:00'
ORDER BY payload ->> 'customer_id', timestamp DESC, global_position DESC
"""

Rows = list[tuple[str, UUID, Decimal]]


def _placed(customer: str, total: str, after: timedelta) -> OrderCreated:
    return OrderCreated(
        aggregate_id=uuid4(),
        customer_id=customer,
        total=Decimal(total),
        occurred_at=MOMENT + after,
    )


def _history() -> list[OrderCreated | OrderShipped]:
    minute = timedelta(minutes=1)
    cleo = _placed("Cleo", "12345678901234567.89", 3 * minute)
    return [
        _placed("Ann", "10.00", 5 * minute),
        _placed("Ann", "49.90", 9 * minute),
        _placed("Ann", "20.00", 7 * minute),  # written late: its time is earlier
        _placed("Bob", "5.00", 2 * minute),
        _placed("Bob", "6.00", 2 * minute),  # in the same instant: the later row counts
        cleo,
        OrderShipped(
            aggregate_id=cleo.aggregate_id,
            aggregate_version=2,
            tracking_number="T",
            occurred_at=MOMENT + 30 * minute,
        ),
        _placed("Dan", "7.00", timedelta()),  # at the very moment
        _placed("Eva", "8.00", -minute),  # too early, though in another time zone it is the 5th
    ]


async def _store(store: EventStore, history: Iterable[OrderCreated | OrderShipped]) -> None:
    for event in history:
        seen = event.aggregate_version - 1
        await store.append_events(event.aggregate_id, "Order", [event], seen)


async def _check_port(latest_orders: str, db: Database) -> None:
    history = _history()
    true = await _on_postgresql(history, db)
    async with SQLiteDatabase(":memory:") as database:
        await database.initialize()
        await _store(SQLiteEventStore(database), history)
        try:
            rows = await database.fetch(latest_orders)
        except (DatabaseError, SchemaError) as error:
            raise NotYet(
                seen=f"{error}", expected="a statement that SQLite understands", hint=1
            ) from error
    _compare([dict(row) for row in rows], true)


async def _on_postgresql(history: Iterable[OrderCreated | OrderShipped], db: Database) -> Rows:
    async with await open_database("12-port", url=db.url) as scratch:
        engine = create_async_engine(scratch.url)
        try:
            await _store(PostgreSQLEventStore(async_sessionmaker(engine)), history)
        finally:
            await engine.dispose()
        return [
            (row["customer"], row["order_id"], row["total"])
            for row in await scratch.fetch(ORIGINAL)
        ]


def _compare(rows: list[Mapping[str, Any]], true: Rows) -> None:
    for name in ("customer", "order_id", "total"):
        if rows and name not in rows[0]:
            raise NotYet(
                seen=f"columns {', '.join(rows[0])}",
                expected="customer, order_id, total, as in the original",
                hint=1,
            )
    customers = [row["customer"] for row in rows]
    expected = [customer for customer, _, _ in true]
    if len(customers) != len(set(customers)):
        raise NotYet(
            seen=f"{len(rows)} rows for {len(set(customers))} customers",
            expected="one row for each customer",
            hint=2,
        )
    if customers != expected:
        raise NotYet(
            seen=f"the customers {', '.join(map(str, customers)) or '(none)'}",
            expected=f"{', '.join(expected)}: who ordered since midnight in Berlin, by name",
            hint=3,
        )
    for row, (customer, order_id, total) in zip(rows, true, strict=True):
        if str(row["order_id"]) != str(order_id):
            raise NotYet(
                seen=f"an order of {customer} that is not the latest, of {row['total']}",
                expected=f"the one of {total}: the latest by time, then by position",
                hint=2,
            )
        if isinstance(row["total"], float) or Decimal(str(row["total"])) != total:
            raise NotYet(
                seen=f"the total {row['total']!r} of {customer}", expected=f"{total}", hint=4
            )


def _assign(query: str) -> str:
    return f'latest_orders = """\n{query.strip(chr(10))}\n"""\n'


RANKED = """
SELECT customer, order_id, total
FROM (
    SELECT payload ->> 'customer_id' AS customer, aggregate_id AS order_id,
           <TOTAL> AS total,
           row_number() OVER (
               PARTITION BY payload ->> 'customer_id' ORDER BY <ORDER>
           ) AS place
    FROM events
    WHERE event_type = 'OrderCreated' AND timestamp >= '<SINCE>'
)
WHERE <RANK>
ORDER BY customer
"""


def _ranked(
    *,
    total: str = "payload ->> 'total'",
    order: str = "timestamp DESC, global_position DESC",
    since: str = "2026-01-04T23:00:00.000000+00:00",
    rank: str = "place = 1",
) -> str:
    parts = {"TOTAL": total, "ORDER": order, "SINCE": since, "RANK": rank}
    query = RANKED
    for name, part in parts.items():
        query = query.replace(f"<{name}>", part)
    return _assign(query)


PORT = Exercise(
    id="12.1",
    title="Port a query",
    task=f"""
The shop's report shows the latest order of each customer since midnight in Berlin. On PostgreSQL
it is this query. Write one that gives the same rows on SQLite, with the columns `customer`,
`order_id` and `total`, sorted by customer. The total must be exact; it may come as text.

```sql
{ORIGINAL.strip()}
```
""",
    answer="latest_orders",
    given=("db",),
    stub=_assign("-- SELECT customer, order_id, total ..."),
    hints=(
        """
`DISTINCT ON`, `::numeric` and `TIMESTAMPTZ '...'` are PostgreSQL's own. `->>`, window functions and
sub-queries work on both.
""",
        """
Number the orders of each customer with `row_number() OVER (PARTITION BY ... ORDER BY timestamp
DESC, global_position DESC)` in a sub-query, and keep number 1. Grouping does not know which row
is meant.
""",
        """
Times are text in UTC, of one width: `2026-01-05T09:00:00.000000+00:00`. Midnight in Berlin is an
hour earlier in UTC. Compare with text of the very same form.
""",
        """
`CAST(... AS REAL)` and arithmetic make a float of the total, and NUMERIC does the same. Leave it
the text that the payload holds.
""",
    ),
    solutions=(
        _ranked(),
        _assign("""
SELECT json_extract(payload, '$.customer_id') AS customer, aggregate_id AS order_id,
       json_extract(payload, '$.total') AS total
FROM events AS this
WHERE event_type = 'OrderCreated' AND timestamp >= '2026-01-04T23:00:00.000000+00:00'
  AND NOT EXISTS (
    SELECT 1 FROM events AS later
    WHERE later.event_type = 'OrderCreated'
      AND json_extract(later.payload, '$.customer_id') = json_extract(this.payload, '$.customer_id')
      AND (later.timestamp, later.global_position) > (this.timestamp, this.global_position)
  )
ORDER BY customer
"""),
    ),
    wrong=(
        Wrong(_assign(ORIGINAL), hint=1),
        Wrong(_ranked(rank="place >= 1"), hint=2),
        Wrong(
            _assign("""
SELECT payload ->> 'customer_id' AS customer, aggregate_id AS order_id,
       payload ->> 'total' AS total, max(timestamp)
FROM events
WHERE event_type = 'OrderCreated' AND timestamp >= '2026-01-04T23:00:00.000000+00:00'
GROUP BY customer ORDER BY customer
"""),
            hint=2,
        ),
        Wrong(_ranked(order="global_position DESC"), hint=2),
        Wrong(_ranked(since="2026-01-05 00:00+01:00"), hint=3),
        Wrong(_ranked(since="2026-01-05T00:00:00.000000+00:00"), hint=3),
        Wrong(_ranked(total="CAST(payload ->> 'total' AS REAL)"), hint=4),
    ),
    check=_check_port,
    time_limit_seconds=5,
)
