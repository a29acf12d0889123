"""The feed of PostgreSQL never skips an event, however long its transaction takes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from uuid import uuid4

import asyncpg
import pytest

from eventsource import DomainEvent, EventStore, ReadDirection, ReadOptions, register_event
from eventsource.types import Position
from tutorial_support.lab import eventually

pytestmark = pytest.mark.parametrize("backend", ["postgresql", "postgresql-partitioned"])

INSERT = """
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload)
SELECT event_id, aggregate_id, 'Letter', 'LetterSent', 1, now(), jsonb_build_object(
    'event_id', event_id, 'event_type', 'LetterSent', 'aggregate_id', aggregate_id,
    'aggregate_type', 'Letter', 'number', $3::integer)
FROM (SELECT $1::uuid AS event_id, $2::uuid AS aggregate_id) AS letter
"""


@register_event
class LetterSent(DomainEvent):
    aggregate_type: str = "Letter"
    number: int


@pytest.fixture
async def connect(events_url: str) -> AsyncIterator[Callable]:
    opened: list[asyncpg.Connection] = []

    async def open_one(url: str = events_url) -> asyncpg.Connection:
        opened.append(await asyncpg.connect(url.replace("+asyncpg", "")))
        return opened[-1]

    yield open_one
    for connection in opened:
        await connection.close()


async def numbers_after(store: EventStore, position: Position = Position.START) -> list[int]:
    feed = store.read_all(ReadOptions(from_position=position))
    return [stored.event.number async for stored in feed]


async def send(store: EventStore, number: int) -> None:
    letter = LetterSent(aggregate_id=uuid4(), number=number)
    await store.append_events(letter.aggregate_id, "Letter", [letter], 0)


async def test_an_open_transaction_holds_later_events_back(
    event_store: EventStore, connect: Callable
) -> None:
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(INSERT, uuid4(), uuid4(), 1)
    await send(event_store, 2)
    assert await numbers_after(event_store) == []
    assert await event_store.get_global_position() == 0
    await transaction.commit()
    assert await eventually(lambda: numbers_after(event_store)) == [1, 2]


async def test_the_order_is_that_of_transactions_not_of_sequence_numbers(
    event_store: EventStore, connect: Callable
) -> None:
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await slow.fetchval("SELECT pg_current_xact_id()")
    await send(event_store, 1)  # takes the lower sequence number
    await slow.execute(INSERT, uuid4(), uuid4(), 2)
    assert await numbers_after(event_store) == []
    await transaction.commit()
    stored = [one async for one in event_store.read_all()]
    assert [one.event.number for one in stored] == [2, 1]
    assert stored[0].global_position > stored[1].global_position
    assert stored[0].position < stored[1].position
    assert await numbers_after(event_store, stored[0].position) == [1]


async def test_a_rolled_back_transaction_leaves_no_trace(
    event_store: EventStore, connect: Callable
) -> None:
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(INSERT, uuid4(), uuid4(), 1)
    await send(event_store, 2)
    await transaction.rollback()
    assert await eventually(lambda: numbers_after(event_store)) == [2]


async def test_a_transaction_in_another_database_holds_nothing_back(
    event_store: EventStore, connect: Callable, postgres_server: str
) -> None:
    elsewhere = await connect(postgres_server)
    transaction = elsewhere.transaction()
    await transaction.start()
    await elsewhere.fetchval("SELECT pg_current_xact_id()")
    await send(event_store, 1)
    assert await eventually(lambda: numbers_after(event_store)) == [1]
    await transaction.rollback()


async def test_every_reader_sees_the_committed_events_in_one_order(
    event_store: EventStore, connect: Callable
) -> None:
    writers, readers = 32, 4
    chance = random.Random(11)
    committed: set[int] = set()
    writing = asyncio.Event()

    async def write(writer: int) -> None:
        connection = await connect()
        for round_ in range(4):
            numbers = [writer * 100 + round_ * 10 + n for n in range(3)]
            transaction = connection.transaction()
            await transaction.start()
            for number in numbers:
                await connection.execute(INSERT, uuid4(), uuid4(), number)
                await asyncio.sleep(chance.random() * 0.05)
            if chance.random() < 0.25:
                await transaction.rollback()
            else:
                await transaction.commit()
                committed.update(numbers)

    async def read() -> list[tuple[Position, int]]:
        seen: list[tuple[Position, int]] = []

        async def read_on() -> bool:
            done = writing.is_set()
            after = seen[-1][0] if seen else Position.START
            feed = event_store.read_all(ReadOptions(from_position=after))
            seen.extend([(one.position, one.event.number) async for one in feed])
            return done and len(seen) >= len(committed)

        await eventually(read_on, timeout_seconds=60)
        return seen

    reading = [asyncio.create_task(read()) for _ in range(readers)]
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    writing.set()
    views = await asyncio.gather(*reading)
    assert {number for _, number in views[0]} == committed
    assert len(views[0]) == len(committed)
    assert all(view == views[0] for view in views)
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(views[0]))


# As after a transaction of another database that ended while the server looked for it.
FALLEN_BACK = """
CREATE OR REPLACE FUNCTION event_feed_horizon() RETURNS xid8 LANGUAGE sql AS 'SELECT ''3''::xid8'
"""


@pytest.mark.parametrize("direction", ReadDirection)
async def test_a_horizon_that_falls_back_takes_nothing_away_that_was_read(
    event_store: EventStore, connect: Callable, direction: ReadDirection
) -> None:
    await send(event_store, 1)
    await send(event_store, 2)
    end = await eventually(lambda: last_of_two(event_store, direction))
    await (await connect()).execute(FALLEN_BACK)
    assert await numbers_after(event_store) == [1, 2]
    assert await event_store.get_feed_end() == end
    await send(event_store, 3)
    assert await numbers_after(event_store) == [1, 2]


async def last_of_two(store: EventStore, direction: ReadDirection) -> Position | None:
    read = [stored.position async for stored in store.read_all(ReadOptions(direction=direction))]
    return max(read) if len(read) == 2 else None
