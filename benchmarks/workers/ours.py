"""eventsource, by its ordinary API."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from protocol import FIELDS, Competitor, main
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    OutboxPublisher,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
    ReadOptions,
    register_event,
)


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


class Nobody:
    """A bus that takes everything."""

    async def publish(self, events: Sequence[DomainEvent]) -> None: ...


class Ours(Competitor):
    async def open(self, url: str) -> None:
        # The connection that was used last is the next one, as in asyncpg's own pool.
        self.engine = create_async_engine(
            url.replace("postgresql:", "postgresql+asyncpg:"), pool_size=32, pool_use_lifo=True
        )
        sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.store = PostgreSQLEventStore(sessions)
        self.outbox_store = PostgreSQLEventStore(sessions, outbox_enabled=True)
        self.orders = AggregateRepository(self.store, Order)
        self.publisher = OutboxPublisher(PostgreSQLOutboxRepository(self.engine), Nobody())

    async def close(self) -> None:
        await self.engine.dispose()

    def prepare(self, stream: UUID, count: int) -> list[ItemSold]:
        return [
            ItemSold(aggregate_id=stream, aggregate_version=n, **FIELDS)
            for n in range(1, count + 1)
        ]

    async def append(self, events: list[ItemSold]) -> None:
        await self.store.append_events(events[0].aggregate_id, "Order", events, 0)

    async def append_with_outbox(self, events: list[ItemSold]) -> None:
        await self.outbox_store.append_events(events[0].aggregate_id, "Order", events, 0)

    async def load(self, stream: UUID) -> tuple[int, Decimal]:
        pieces, total = 0, Decimal(0)
        for event in (await self.store.get_events(stream, "Order")).events:
            assert isinstance(event, ItemSold)
            pieces += event.quantity
            total += event.quantity * event.price
        return pieces, total

    async def round_trip(self, stream: UUID) -> None:
        order = await self.orders.load(stream)
        order.sell()
        await self.orders.save(order)

    async def feed(self, count: int) -> int:
        seen = 0
        async for _ in self.store.read_all(ReadOptions(limit=count)):
            seen += 1
        return seen

    async def drain(self, count: int) -> int:
        seen = 0
        while seen < count and (published := await self.publisher.publish_batch()):
            seen += published
        return seen


if __name__ == "__main__":
    main(Ours())
