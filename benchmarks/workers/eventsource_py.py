"""eventsource-py, by its documented API."""

import re
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from protocol import FIELDS, Competitor, main
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import create_async_engine

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    ExpectedVersion,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
    StreamId,
    register_event,
)
from eventsource.migrations import get_schema

# The one extension it creates, uuid-ossp, is used by nothing, and not every PostgreSQL has it.
SCHEMA = re.sub(r"CREATE EXTENSION[^;]*;", "", get_schema("all"))


@register_event
class ItemSold(DomainEvent):
    aggregate_type: str = "Order"
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


class Sales(BaseModel):
    pieces: int = 0
    total: Decimal = Decimal(0)


class Order(AggregateRoot[Sales]):
    aggregate_type = "Order"

    def sell(self) -> None:
        self.apply_event(
            ItemSold(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.get_next_version(),
                **FIELDS,
            )
        )

    def _get_initial_state(self) -> Sales:
        return Sales()

    def _apply(self, event: DomainEvent) -> None:
        assert isinstance(event, ItemSold)
        state = self._state or self._get_initial_state()
        state.pieces += event.quantity
        state.total += event.quantity * event.price
        self._state = state


class EventsourcePy(Competitor):
    async def open(self, url: str) -> None:
        # The connection that was used last is the next one, as in asyncpg's own pool.
        self.engine = create_async_engine(
            url.replace("postgresql:", "postgresql+asyncpg:"), pool_size=32, pool_use_lifo=True
        )
        async with self.engine.begin() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            await driver.execute(SCHEMA)
        self.store = PostgreSQLEventStore(self.engine)
        self.outbox_store = PostgreSQLEventStore(self.engine, outbox_enabled=True)
        self.orders = AggregateRepository(self.store, Order)
        self.outbox = PostgreSQLOutboxRepository(self.engine)

    async def close(self) -> None:
        await self.engine.dispose()

    def prepare(self, stream: UUID, count: int) -> list[ItemSold]:
        return [
            ItemSold(aggregate_id=stream, aggregate_version=n, **FIELDS)
            for n in range(1, count + 1)
        ]

    async def append(self, events: list[ItemSold], store: PostgreSQLEventStore | None = None):
        stream, store = StreamId(events[0].aggregate_id, "Order"), store or self.store
        # More than that it refuses in one append.
        most = store.max_append_batch or len(events)
        for start in range(0, len(events), most):
            expected = ExpectedVersion.exact(start)
            await store.append(stream, events[start : start + most], expected)

    async def append_with_outbox(self, events: list[ItemSold]) -> None:
        await self.append(events, self.outbox_store)

    async def load(self, stream: UUID) -> tuple[int, Decimal]:
        pieces, total = 0, Decimal(0)
        async for envelope in self.store.read_stream(StreamId(stream, "Order")):
            pieces += envelope.event.quantity
            total += envelope.event.quantity * envelope.event.price
        return pieces, total

    async def round_trip(self, stream: UUID) -> None:
        order = await self.orders.load(stream)
        order.sell()
        await self.orders.save(order)

    async def drain(self, count: int) -> int:
        seen = 0
        while seen < count and (entries := await self.outbox.get_pending_events(limit=100)):
            for entry in entries:
                await self.outbox.mark_published(entry.id)
                seen += 1
        return seen


if __name__ == "__main__":
    main(EventsourcePy())
