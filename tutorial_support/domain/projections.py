"""Read models that several notebooks follow the log with."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventsource import DatabaseProjection, handles
from tutorial_support.domain.orders import OrderCreated


class CustomerTotals(DatabaseProjection):
    """What each customer has ordered, over all of their orders."""

    tables = ("customer_totals",)

    async def create_tables(self, transaction: AsyncConnection) -> None:
        columns = "customer_id TEXT PRIMARY KEY, orders INTEGER, spent NUMERIC(10, 2)"
        await transaction.execute(text(f"CREATE TABLE IF NOT EXISTS customer_totals ({columns})"))

    @handles(OrderCreated)
    async def _count(self, transaction: AsyncConnection, event: OrderCreated) -> None:
        add = """
            INSERT INTO customer_totals VALUES (:customer_id, 1, :total)
            ON CONFLICT (customer_id) DO UPDATE
            SET orders = customer_totals.orders + 1, spent = customer_totals.spent + :total
        """
        await transaction.execute(text(add), event.model_dump())
