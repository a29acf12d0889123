"""Closing the books: the end of one stream and the start of the next, together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventsource import (
    AggregateNotFoundError,
    AggregateRepository,
    DeclarativeAggregate,
    DomainEvent,
    EventStore,
    PostgreSQLEventStore,
    PostgreSQLSnapshotStore,
    SnapshotStore,
    SQLiteEventStore,
    SQLiteSnapshotStore,
    StreamClosedError,
    handles,
    register_event,
)
from eventsource.sqlite_database import SQLiteDatabase


@register_event
class YearOpened(DomainEvent):
    aggregate_type: str = "Year"
    balance: int


@register_event
class YearClosed(DomainEvent):
    aggregate_type: str = "Year"


@dataclass(frozen=True)
class Books:
    balance: int
    closed: bool = False


class Year(DeclarativeAggregate[Books]):
    aggregate_type = "Year"

    @property
    def is_closed(self) -> bool:
        return self._state is not None and self._state.closed

    @handles(YearOpened)
    def on_opened(self, event: YearOpened) -> None:
        self._state = Books(event.balance)

    @handles(YearClosed)
    def on_closed(self, event: YearClosed) -> None:
        assert self._state is not None
        self._state = Books(self._state.balance, closed=True)

    def open(self, balance: int) -> None:
        self.apply_event(
            YearOpened(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.get_next_version(),
                balance=balance,
            )
        )

    def close(self) -> None:
        self.apply_event(
            YearClosed(aggregate_id=self.aggregate_id, aggregate_version=self.get_next_version())
        )


@dataclass(frozen=True)
class Database:
    """Where events and snapshots are, and a way to begin a transaction there."""

    events: EventStore
    snapshots: SnapshotStore
    transaction: Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(
    request: pytest.FixtureRequest, tmp_path: Path, engine_of
) -> AsyncIterator[Database]:
    if request.param == "postgresql":
        engine = engine_of(request.getfixturevalue("database_url"))
        yield Database(PostgreSQLEventStore(engine), PostgreSQLSnapshotStore(engine), engine.begin)
        return
    async with SQLiteDatabase(tmp_path / "books.db") as sqlite:
        await sqlite.initialize()
        yield Database(SQLiteEventStore(sqlite), SQLiteSnapshotStore(sqlite), sqlite.transaction)


@pytest.fixture
def years(database: Database) -> AggregateRepository[Year]:
    return AggregateRepository(
        database.events, Year, snapshot_store=database.snapshots, snapshot_threshold=1
    )


async def close_and_open(
    years: AggregateRepository[Year], database: Database, year_id: UUID, *, crash: bool = False
) -> Year:
    old, new = await years.load(year_id), years.create_new(uuid4())
    assert old.state is not None
    old.close()
    new.open(old.state.balance)
    async with database.transaction() as transaction:
        await years.save(old, transaction=transaction)
        await years.save(new, transaction=transaction)
        if crash:
            raise ConnectionError(new.aggregate_id)
    return new


async def test_both_streams_change_together(
    years: AggregateRepository[Year], database: Database
) -> None:
    year_id = uuid4()
    await years.update(year_id, lambda year: year.open(120), create=True)
    new = await close_and_open(years, database, year_id)
    assert (await years.load(new.aggregate_id)).state == Books(120)
    old = await years.load(year_id)
    assert old.state == Books(120, closed=True)
    # The snapshot of a closed stream says that it is closed.
    await years.create_snapshot(old)
    with pytest.raises(StreamClosedError):
        await years.update(year_id, lambda year: year.open(1))


async def test_or_neither_does(years: AggregateRepository[Year], database: Database) -> None:
    year_id = uuid4()
    await years.update(year_id, lambda year: year.open(120), create=True)
    with pytest.raises(ConnectionError) as error:
        await close_and_open(years, database, year_id, crash=True)
    assert (await years.load(year_id)).state == Books(120)
    with pytest.raises(AggregateNotFoundError):
        await years.load(error.value.args[0])
    # No snapshot tells of events that were never committed.
    snapshot = await database.snapshots.get_snapshot(year_id, "Year")
    assert snapshot is not None
    assert snapshot.version == 1
