"""Exercise 10.2: a checkpoint that is newer than the log it is used with."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import uuid4

import asyncpg
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import CheckpointData, EventStore, PostgreSQLEventStore
from eventsource.testing import eventually
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderCreated
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

Belongs = Callable[[EventStore, CheckpointData], Awaitable[object]]

BACKUP, LOST, AFTERWARDS = 4, 3, 5


async def _check_restored(belongs: Belongs, db: Database) -> None:
    async with _two_databases(db) as (log, restored):
        engines = [create_async_engine(each.url) for each in (log, restored)]
        old, new = (
            PostgreSQLEventStore(async_sessionmaker(engine, expire_on_commit=False))
            for engine in engines
        )
        try:
            early = await _write(old, BACKUP)
            await _restore(log, restored)
            late = await _write(old, LOST)
            await _ask(belongs, old, late, True, "of the last event, with its own log", 1)
            await _ask(belongs, old, early, True, "of an earlier event, with its own log", 1)
            await _ask(
                belongs, new, early, True, "from before the backup, with the restored log", 1
            )
            told = "from after the backup, with the restored log"
            await _ask(belongs, new, late, False, told, 1)
            await _write(new, AFTERWARDS)
            told += ", which has grown beyond it"
            await _ask(belongs, new, late, False, told, 2)
            nothing = CheckpointData("totals")
            await _ask(belongs, new, nothing, True, "that has not read anything yet", 3)
        finally:
            for engine in engines:
                await engine.dispose()


@asynccontextmanager
async def _two_databases(db: Database) -> AsyncIterator[tuple[Database, Database]]:
    """Made and dropped at the same time, because that takes longest of all."""
    names = "10-log", "10-restored"
    log, restored = await asyncio.gather(*(open_database(each, url=db.url) for each in names))
    try:
        yield log, restored
    finally:
        await asyncio.gather(log.close(), restored.close())


async def _write(store: EventStore, count: int) -> CheckpointData:
    """Append some orders; the checkpoint of a projection that has read up to the last."""
    for _ in range(count):
        order = OrderCreated(aggregate_id=uuid4(), customer_id="Ada", total=Decimal(1))
        result = await store.append_events(order.aggregate_id, "Order", [order], 0)

    async def shown() -> bool:
        return await store.get_feed_end() == result.position

    await eventually(shown)
    return CheckpointData("totals", order.event_id, order.event_type, None, count, result.position)


async def _restore(log: Database, restored: Database) -> None:
    """What a dump and its restore do: the rows as they are, and the sequence behind them."""
    backup = io.BytesIO()
    source, target = [
        await asyncpg.connect(each.url.replace("+asyncpg", "")) for each in (log, restored)
    ]
    try:
        await source.copy_from_table("events", output=backup)
        backup.seek(0)
        await target.copy_to_table("events", source=backup)
        await target.execute("SELECT setval('events_global_position_seq', $1)", BACKUP)
    finally:
        await source.close()
        await target.close()


async def _ask(  # noqa: PLR0917  (a table of cases)
    belongs: Belongs,
    store: EventStore,
    checkpoint: CheckpointData,
    right: bool,
    told: str,
    hint: int,
) -> None:
    said = await belongs(store, checkpoint)
    if said is not right:
        raise NotYet(seen=f"{said!r} for a checkpoint {told}", expected=repr(right), hint=hint)


RESTORED = Exercise(
    id="10.2",
    title="A checkpoint from another past",
    task="""
The log had to be restored from Monday's backup. The read model lives in another database, and with
it a checkpoint of Tuesday: it has seen events that are not in the log any more, and will skip the
ones that are written now. It must be found out *before* the projection goes on. Write
`belongs(store, checkpoint)`: `True` if the checkpoint's last event is in this log, or if it has not
read any; `False` otherwise. A checkpoint has a `position` and a `last_event_id`.
""",
    answer="belongs",
    given=("db",),
    stub='''
async def belongs(store, checkpoint):
    """Whether this checkpoint was made by reading this very log."""
    ...
''',
    hints=(
        """
Ask the log about the checkpoint. `store.get_feed_end()` is the position of its last event, and
`store.event_exists(event_id)` says whether an event is in it.
""",
        """
The end of the log tells it only until the log has grown again: soon after the restore, other events
stand where Tuesday's stood. Positions can be taken twice, an event id cannot.
""",
        """
A projection that has not read anything has `last_event_id = None`, and may begin with any log.
""",
    ),
    solutions=(
        """
async def belongs(store, checkpoint):
    if checkpoint.last_event_id is None:
        return True
    return await store.event_exists(checkpoint.last_event_id)
""",
        """
async def belongs(store, checkpoint):
    if checkpoint.position is None:
        return True
    async for stored in store.read_all():
        if stored.position == checkpoint.position:
            return stored.event_id == checkpoint.last_event_id
    return False
""",
    ),
    wrong=(
        Wrong(
            """
async def belongs(store, checkpoint):
    return checkpoint.position is None or checkpoint.position.sequence > 0
""",
            hint=1,
        ),
        Wrong(
            """
async def belongs(store, checkpoint):
    return checkpoint.position is None or checkpoint.position <= await store.get_feed_end()
""",
            hint=2,
        ),
        Wrong(
            """
async def belongs(store, checkpoint):
    try:
        options = ReadOptions(from_position=checkpoint.position)
        rest = [stored async for stored in store.read_all(options)]
    except Exception:
        return False
    return True
""",
            hint=2,
        ),
        Wrong(
            """
async def belongs(store, checkpoint):
    return await store.event_exists(checkpoint.last_event_id)
""",
            hint=3,
        ),
    ),
    check=_check_restored,
    time_limit_seconds=5,
)
