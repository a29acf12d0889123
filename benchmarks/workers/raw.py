"""The yardstick: asyncpg by hand, one statement an append, pydantic on the JSON text."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from protocol import FIELDS, Competitor, main
from pydantic import AwareDatetime, BaseModel, ConfigDict


class ItemSold(BaseModel):
    """The same typed event as ours: what every event has, and ten fields."""

    model_config = ConfigDict(frozen=True)
    event_id: UUID
    event_type: str = "ItemSold"
    event_version: int = 1
    occurred_at: AwareDatetime
    aggregate_id: UUID
    aggregate_type: str = "Order"
    aggregate_version: int
    tenant_id: UUID | None = None
    actor_id: str | None = None
    correlation_id: UUID
    causation_id: UUID | None = None
    metadata: dict[str, Any] = {}
    order_number: int
    sku: str
    quantity: int
    price: Decimal
    currency: str
    customer_id: UUID
    placed_at: datetime
    gift: bool
    weight_kg: float
    note: str


INSERT = """
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload)
SELECT new.event_id, $1, 'Order', 'ItemSold', new.version, new.occurred_at, new.payload::jsonb
FROM unnest($2::uuid[], $3::int[], $4::timestamptz[], $5::text[])
    AS new (event_id, version, occurred_at, payload)
"""
INSERT_WITH_OUTBOX = (
    "WITH stored AS ("
    + INSERT
    + """RETURNING event_id, event_type, aggregate_id, aggregate_type, payload)
INSERT INTO event_outbox (event_id, event_type, aggregate_id, aggregate_type, event_data)
SELECT event_id, event_type, aggregate_id, aggregate_type, payload FROM stored"""
)
STREAM = """
SELECT payload::text FROM events
WHERE aggregate_id = $1 AND aggregate_type = 'Order' ORDER BY version
"""
FEED = """
SELECT transaction_id, global_position, payload::text AS payload FROM events
WHERE (transaction_id, global_position) > ($1, $2)
    AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY transaction_id, global_position LIMIT $3
"""
CLAIM = """
SELECT id, event_data::text FROM event_outbox WHERE status = 'pending'
ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED
"""
MARK = "UPDATE event_outbox SET status = 'published', published_at = now() WHERE id = ANY($1)"


async def leave_as_it_is(_: asyncpg.Connection) -> None: ...


class Raw(Competitor):
    async def open(self, url: str) -> None:
        # Without the reset between two users, which would be a second round trip for each call.
        self.pool = await asyncpg.create_pool(url, min_size=1, max_size=32, reset=leave_as_it_is)

    async def close(self) -> None:
        await self.pool.close()

    def prepare(self, stream: UUID, count: int) -> list[ItemSold]:
        now = datetime.now(tz=FIELDS["placed_at"].tzinfo)
        return [
            ItemSold(
                event_id=uuid4(),
                aggregate_id=stream,
                aggregate_version=n,
                occurred_at=now,
                correlation_id=uuid4(),
                **FIELDS,
            )
            for n in range(1, count + 1)
        ]

    async def append(self, events: list[ItemSold], statement: str = INSERT) -> None:
        await self.pool.execute(
            statement,
            events[0].aggregate_id,
            [event.event_id for event in events],
            [event.aggregate_version for event in events],
            [event.occurred_at for event in events],
            [event.model_dump_json() for event in events],
        )

    async def append_with_outbox(self, events: list[ItemSold]) -> None:
        await self.append(events, INSERT_WITH_OUTBOX)

    async def load(self, stream: UUID) -> tuple[int, Decimal]:
        pieces, total = 0, Decimal(0)
        rows = await self.pool.fetch(STREAM, stream)
        events = [ItemSold.model_validate_json(row[0]) for row in rows]
        for event in events:
            pieces += event.quantity
            total += event.quantity * event.price
        return pieces, total

    async def round_trip(self, stream: UUID) -> None:
        pieces, _ = await self.load(stream)
        (event,) = self.prepare(stream, 1)
        await self.append([event.model_copy(update={"aggregate_version": pieces // 3 + 1})])

    async def feed(self, count: int) -> int:
        seen, after = 0, (0, 0)
        while seen < count:
            rows = await self.pool.fetch(FEED, *after, min(1000, count - seen))
            if not rows:
                break
            for row in rows:
                ItemSold.model_validate_json(row["payload"])
            seen += len(rows)
            after = rows[-1]["transaction_id"], rows[-1]["global_position"]
        return seen

    async def drain(self, count: int) -> int:
        seen = 0
        while seen < count:
            async with self.pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(CLAIM)
                for row in rows:
                    ItemSold.model_validate_json(row["event_data"])
                await asyncio.sleep(0)  # where the publication would be awaited
                await connection.execute(MARK, [row["id"] for row in rows])
            if not rows:
                break
            seen += len(rows)
        return seen


if __name__ == "__main__":
    main(Raw())
