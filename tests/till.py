"""The read model that tests of projections share: how much of each article was sold."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from eventsource import DomainEvent, EventStore, ReadOptions, StoredEvent, register_event
from eventsource.asyncpg_pool import executor_for
from eventsource.projections import DatabaseProjection, handles


@register_event
class ArticleSold(DomainEvent):
    aggregate_type: str = "Till"
    article: str = "apple"
    quantity: int = 1


@register_event
class TillClosed(DomainEvent):
    aggregate_type: str = "Till"


TABLE = "CREATE TABLE IF NOT EXISTS sold (article TEXT PRIMARY KEY, quantity INTEGER NOT NULL)"

COUNT = """
INSERT INTO sold (article, quantity) VALUES ($1, $2)
ON CONFLICT (article) DO UPDATE SET quantity = sold.quantity + excluded.quantity
"""


async def run(transaction: Any, statement: str, *arguments: Any) -> list[Any]:
    """On either database."""
    if isinstance(transaction, AsyncConnection):
        return await executor_for(transaction).fetch(statement, *arguments)
    return await transaction.fetch(statement.replace("$", "?"), *arguments)


class Sold(DatabaseProjection):
    """Adds up, so that an event counted twice or never shows."""

    tables = ("sold",)

    async def create_tables(self, transaction: Any) -> None:
        await run(transaction, self._named(TABLE))

    @handles(ArticleSold)
    async def _count(self, transaction: Any, event: ArticleSold) -> None:
        await run(transaction, self._named(COUNT), event.article, event.quantity)

    async def totals(self) -> dict[str, int]:
        async with self.database.transaction() as transaction:
            rows = await run(transaction, self._named("SELECT article, quantity FROM sold"))
        return {row["article"]: row["quantity"] for row in rows}

    def _named(self, statement: str) -> str:
        """For subclasses with another table."""
        return statement.replace("sold", self.tables[0])


class SoldInline(Sold):
    inline = True


def fold(events: list[DomainEvent]) -> dict[str, int]:
    """What the read model must say."""
    totals: dict[str, int] = {}
    for event in events:
        if isinstance(event, ArticleSold):
            totals[event.article] = totals.get(event.article, 0) + event.quantity
    return totals


async def feed(store: EventStore) -> list[StoredEvent]:
    return [stored async for stored in store.read_all(ReadOptions())]


async def sell(
    store: EventStore, *articles: str, till: UUID | None = None, version: int = 0, **fields: Any
) -> Any:
    """One append, one event for each article."""
    till = till or uuid4()
    events = [
        ArticleSold(aggregate_id=till, aggregate_version=version + n, article=article, **fields)
        for n, article in enumerate(articles, start=1)
    ]
    return await store.append_events(till, "Till", events, version)
