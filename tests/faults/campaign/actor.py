"""What all actors share: their orders, a connection that may break, and a notebook."""

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import EventSourceError, EventStoreError, PostgreSQLEventStore
from tests.faults.campaign.records import Notebook

LOST = (EventStoreError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@dataclass(frozen=True)
class Orders:
    """What an actor is told, through its environment."""

    role: str
    url: str
    notes: str
    seed: float
    streams: list[str]
    sabotage: str = ""
    broker: str = "table"
    broker_url: str = ""

    def environment(self) -> dict[str, str]:
        return {"CAMPAIGN_ORDERS": json.dumps(asdict(self))}

    @classmethod
    def given(cls) -> Self:
        return cls(**json.loads(os.environ["CAMPAIGN_ORDERS"]))


class Actor:
    """Survives the loss of its database, and goes on when that is back."""

    def __init__(self, orders: Orders) -> None:
        self.orders, self.sabotage = orders, orders.sabotage
        self.engine = create_async_engine(orders.url, pool_size=6, pool_pre_ping=True)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.store = PostgreSQLEventStore(self.sessions, outbox_enabled=True)
        self.notebook, self.name = Notebook(Path(orders.notes)), Path(orders.notes).stem
        self.random = random.Random(orders.seed)  # a schedule that can be repeated
        self.streams = [UUID(text) for text in orders.streams]
        self.is_over = asyncio.Event()

    async def until_done(self, work: Callable[[], Awaitable]) -> Any:
        """Try again for as long as the database or a broker is away."""
        while True:
            try:
                return await work()
            except (*LOST, EventSourceError):
                await asyncio.sleep(0.05)
