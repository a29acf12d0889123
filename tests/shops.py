"""What the machine drives: a log, what is derived from it, and a model of ten lines."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import (
    AggregateRoot,
    DomainEvent,
    DuplicateEventError,
    EventStore,
    ExpectedVersion,
    InMemoryCheckpointRepository,
    InMemoryEventStore,
    InMemorySnapshotStore,
    OptimisticLockError,
    PostgreSQLEventStore,
    PostgreSQLSnapshotStore,
    SnapshotStore,
    SQLiteEventStore,
    SQLiteSnapshotStore,
)
from eventsource.projections import DeclarativeProjection, InlineEventStore, handles
from eventsource.sqlite_database import SQLiteDatabase
from tests.till import ArticleSold, Sold, SoldInline, TillClosed, fold

TILLS = [UUID(int=1000 + till) for till in range(3)]
ARTICLES = ["apple", "pear", "plum"]

EMPTY = """
ALTER TABLE events DISABLE TRIGGER USER; TRUNCATE events; ALTER TABLE events ENABLE TRIGGER USER;
TRUNCATE snapshots, projection_checkpoints; DROP TABLE IF EXISTS sold, at_once
"""


class Model:
    """The promise of `append_events`. Tills and events are numbers."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []

    def till(self, till: int) -> list[int]:
        return [number for owner, number in self.log if owner == till]

    def append(
        self, till: int, numbers: Sequence[int], expected_version: int
    ) -> int | type[Exception]:
        stored = self.till(till)
        if any(number in numbers and owner != till for owner, number in self.log):
            return DuplicateEventError
        if not numbers:
            return len(stored)
        if {*numbers} <= {*stored}:
            return max(stored.index(number) for number in numbers) + 1
        exact = expected_version in (ExpectedVersion.ANY, len(stored))
        if not exact and not (expected_version == ExpectedVersion.STREAM_EXISTS and stored):
            return OptimisticLockError
        self.log += [(till, number) for number in numbers if number not in stored]
        return len(self.till(till))


def kind_of(number: int) -> type[DomainEvent]:
    return TillClosed if number % 4 == 0 else ArticleSold


def event_of(till: int, number: int, version: int = 1) -> DomainEvent:
    """A number always means the same event, and no two sell as much."""
    kind = kind_of(number)
    sale = {"article": ARTICLES[number % 3], "quantity": number} if kind is ArticleSold else {}
    return kind(
        event_id=UUID(int=number),
        correlation_id=UUID(int=number),
        aggregate_id=TILLS[till],
        aggregate_version=version,
        occurred_at="2026-01-01T00:00Z",
        **sale,
    )


def totals_of(log: list[tuple[int, int]]) -> dict[str, int]:
    return fold([event_of(till, number) for till, number in log])


class Receipts(BaseModel):
    numbers: list[int] = []


class Till(AggregateRoot[Receipts]):
    """Remembers every event: one that is missing, or comes twice, shows."""

    aggregate_type = "Till"

    def _get_initial_state(self) -> Receipts:
        return Receipts()

    def _apply(self, event: DomainEvent) -> None:
        before = self._state or self._get_initial_state()
        self._state = Receipts(numbers=[*before.numbers, event.event_id.int])

    def add(self, *numbers: int) -> None:
        for number in numbers:
            till = TILLS.index(self.aggregate_id)
            self.apply_event(event_of(till, number, self.get_next_version()))


class SoldMailing(Sold):
    """Sends a mail for every sale: a second one for a sale that is replayed would show."""

    projection_name = "Sold"

    def __init__(self, database: Any, mails: list[int]) -> None:
        super().__init__(database)
        self.mails = mails

    @handles(ArticleSold)
    async def _count(self, transaction: Any, event: ArticleSold) -> None:
        await super()._count(transaction, event)
        if not self.is_replaying:
            self.mails.append(event.event_id.int)


class SoldInMemory(DeclarativeProjection):
    """The same into a dictionary."""

    def __init__(
        self,
        checkpoints: InMemoryCheckpointRepository,
        read_model: dict[str, int],
        mails: list[int],
    ) -> None:
        super().__init__(checkpoints)
        self.read_model, self.mails = read_model, mails

    @handles(ArticleSold)
    async def _count(self, event: ArticleSold) -> None:
        self.read_model[event.article] = self.read_model.get(event.article, 0) + event.quantity
        if not self.is_replaying:
            self.mails.append(event.event_id.int)

    async def _truncate_read_models(self) -> None:
        self.read_model.clear()

    async def totals(self) -> dict[str, int]:
        return dict(self.read_model)


class SoldAtOnce(SoldInline):
    tables = ("at_once",)


class Shop(ABC):
    """One log, with the objects of one process. Opening it again makes new ones."""

    has_blue_green = False
    store: EventStore  #: for appends: updates the inline projection, where there is one
    log: EventStore
    snapshots: SnapshotStore
    sold: Any
    inline: SoldAtOnce | None = None

    def __init__(self) -> None:
        self.mails: list[int] = []

    @abstractmethod
    async def open(self) -> None: ...

    async def close(self) -> None:  # noqa: B027  # memory needs no end
        """What an end of the process would end."""

    async def _open_inline(self, database: AsyncEngine | SQLiteDatabase) -> None:
        self.sold, self.inline = SoldMailing(database, self.mails), SoldAtOnce(database)
        await self.sold.setup()
        await self.inline.setup()
        self.store = InlineEventStore(self.log, [self.inline])


class ShopInMemory(Shop):
    """The log and the read model are all that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.log = self.store = InMemoryEventStore()
        self.snapshots = InMemorySnapshotStore()
        self._kept = InMemoryCheckpointRepository(), dict[str, int](), self.mails

    async def open(self) -> None:
        self.sold = SoldInMemory(*self._kept)


class ShopOnSQLite(Shop):
    def __init__(self, path: Path) -> None:
        super().__init__()
        path.unlink(missing_ok=True)
        self._path = path

    async def open(self) -> None:
        self._database = SQLiteDatabase(self._path)
        await self._database.open()
        await self._database.initialize()
        self.log, self.snapshots = (
            SQLiteEventStore(self._database),
            SQLiteSnapshotStore(self._database),
        )
        await self._open_inline(self._database)

    async def close(self) -> None:
        await self._database.close()


class ShopOnPostgreSQL(Shop):
    has_blue_green = True

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._is_new = url, True

    async def open(self) -> None:
        self._engine = create_async_engine(self._url)
        if self._is_new:
            async with self._engine.begin() as connection:
                for statement in EMPTY.split(";"):
                    await connection.execute(text(statement))
            self._is_new = False
        self.log = PostgreSQLEventStore(async_sessionmaker(self._engine))
        self.snapshots = PostgreSQLSnapshotStore(self._engine)
        await self._open_inline(self._engine)

    async def close(self) -> None:
        await self._engine.dispose()
