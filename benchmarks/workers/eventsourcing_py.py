"""eventsourcing, by its documented API, on psycopg and with its database functions."""

import os
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from protocol import FIELDS, Competitor, main


class Order(Aggregate):
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id
        self.pieces, self.total = 0, Decimal(0)

    @staticmethod
    def create_id(order_id: UUID) -> UUID:
        return order_id

    @event("ItemSold")
    def sell(
        self,
        order_number: int,
        sku: str,
        quantity: int,
        price: Decimal,
        currency: str,
        customer_id: UUID,
        placed_at: datetime,
        gift: bool,
        weight_kg: float,
        note: str,
    ) -> None:
        self.pieces += quantity
        self.total += quantity * price


class EventsourcingPy(Competitor):
    threads = True

    def open(self, url: str) -> None:
        address = urlsplit(url)
        os.environ.update(
            PERSISTENCE_MODULE="eventsourcing.postgres",
            POSTGRES_DBNAME=address.path.lstrip("/"),
            POSTGRES_HOST=address.hostname or "",
            POSTGRES_PORT=str(address.port),
            POSTGRES_USER=unquote(address.username or ""),
            POSTGRES_PASSWORD=unquote(address.password or ""),
            POSTGRES_POOL_SIZE="32",
            POSTGRES_ENABLE_DB_FUNCTIONS="yes",
        )
        self.orders: Application[UUID] = Application()

    def close(self) -> None:
        self.orders.close()

    def prepare(self, stream: UUID, count: int) -> Any:
        """The first event is the one that creates the aggregate."""
        order = Order(stream)
        for _ in range(count - 1):
            order.sell(**FIELDS)
        return order

    def append(self, order: Order) -> None:
        self.orders.save(order)

    def load(self, stream: UUID) -> tuple[int, Decimal]:
        order: Order = self.orders.repository.get(stream)
        # Its first event sells nothing, so that every competitor loads as many events.
        return order.pieces + 3, order.total + 3 * FIELDS["price"]

    def round_trip(self, stream: UUID) -> None:
        order: Order = self.orders.repository.get(stream)
        order.sell(**FIELDS)
        self.orders.save(order)


if __name__ == "__main__":
    main(EventsourcingPy())
