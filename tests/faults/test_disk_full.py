"""PostgreSQL's disk fills up while writers and publishers are at work."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    EventStoreConnectionError,
    EventStoreError,
    InMemoryEventBus,
    OutboxPublisher,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
    register_event,
)
from eventsource.exceptions import DatabaseError
from tests.faults.small_disk import SmallDisk, small_disk_at
from tutorial_support.database import private_server
from tutorial_support.database.private import PrivateServer
from tutorial_support.lab import eventually

DISK_FULL = "53100"  # PostgreSQL's code


@register_event
class LedgerPageWritten(DomainEvent):
    aggregate_type: str = "Ledger"
    text: str = "x" * 5000


@pytest.fixture
def small_disk(empty_cache: Path) -> Iterator[SmallDisk]:
    with small_disk_at(empty_cache, "200m") as disk:
        yield disk


@pytest.fixture
async def server(small_disk: SmallDisk) -> AsyncIterator[PrivateServer]:
    async with await private_server() as server:
        yield server


@pytest.fixture
async def engine(server: PrivateServer) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(server.url, pool_pre_ping=True)
    yield engine
    await engine.dispose()


class Writer:
    """Writes pages into one ledger until that fails, and can go on with the page that failed."""

    def __init__(self, store: PostgreSQLEventStore) -> None:
        self.store, self.ledger = store, uuid4()
        self.acknowledged: list[UUID] = []
        self.at_hand: LedgerPageWritten | None = None

    async def write(self, pages: int) -> None:
        for _ in range(pages):
            version = len(self.acknowledged)
            page = self.at_hand or LedgerPageWritten(
                aggregate_id=self.ledger, aggregate_version=version + 1
            )
            self.at_hand = page
            await self.store.append_events(self.ledger, "Ledger", [page], version)
            self.acknowledged.append(page.event_id)
            self.at_hand = None

    async def stored(self) -> list[UUID]:
        stream = await self.store.get_events(self.ledger, "Ledger")
        return [event.event_id for event in stream.events]


@pytest.mark.timeout(300)
async def test_a_full_disk_is_a_clear_error_and_loses_nothing_that_was_acknowledged(
    small_disk: SmallDisk, server: PrivateServer, engine: AsyncEngine
) -> None:
    store = PostgreSQLEventStore(async_sessionmaker(engine), outbox_enabled=True)
    writers, published = [Writer(store) for _ in range(4)], list[UUID]()
    bus = InMemoryEventBus()
    bus.subscribe(LedgerPageWritten, lambda event: published.append(event.event_id))
    outbox = PostgreSQLOutboxRepository(engine)
    publisher = OutboxPublisher(
        outbox, bus, poll_interval_seconds=0.05, retry_delay_seconds=0.1, lease_seconds=3.0
    )
    async with publisher:
        for writer in writers:
            await writer.write(5)
        await asyncio.to_thread(small_disk.fill)
        refusals = await asyncio.gather(
            *(one.write(10_000) for one in writers), return_exceptions=True
        )
        for refusal in refusals:
            assert isinstance(refusal, EventStoreError), refusal
            assert is_about_the_disk(refusal), refusal

        small_disk.make_room()
        await server.restart()  # if the write-ahead log was what found no room
        for writer in writers:
            await eventually(lambda one=writer: goes_on(one), timeout_seconds=60)
            assert await writer.stored() == writer.acknowledged
        everything = {page for writer in writers for page in writer.acknowledged}
        await eventually(lambda: everything <= set(published), timeout_seconds=60)
    assert (await outbox.get_stats()).failed_count == 0
    for writer in writers:
        pages = [page for page in dict.fromkeys(published) if page in writer.acknowledged]
        assert pages == writer.acknowledged


def is_about_the_disk(error: BaseException | None) -> bool:
    """PostgreSQL refuses a row, or goes down if its write-ahead log finds no room."""
    if isinstance(error, DatabaseError):
        return error.sqlstate == DISK_FULL and "No space left on device" in str(error)
    return isinstance(error, EventStoreConnectionError)


async def goes_on(writer: Writer) -> bool:
    try:
        await writer.write(3)
    except EventStoreError:
        return False
    return True
