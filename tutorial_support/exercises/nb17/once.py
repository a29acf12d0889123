"""Exercise 17.1: an event that is delivered twice has one effect."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from eventsource import DomainEvent
from eventsource.repositories.inbox import PostgreSQLInboxRepository
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderCreated
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

SERVICE = "warehouse"
PARCELS = "CREATE TABLE parcels (event_id uuid NOT NULL)"
COUNT = "SELECT count(*) FROM parcels WHERE event_id = $1"

Sessions = async_sessionmaker[AsyncSession]
Pack = Callable[[DomainEvent, AsyncSession], Awaitable[None]]
Handler = Callable[[DomainEvent], Awaitable[None]]


class OutOfTape(Exception):  # noqa: N818  (what happened)
    """The packing machine failed."""


class Machine:
    """Packs in the caller's transaction; `fails` times it stops after the work."""

    def __init__(self) -> None:
        self.fails = 0
        self.seconds = 0.02

    async def pack(self, event: DomainEvent, session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO parcels VALUES (:id)"), {"id": event.event_id})
        await asyncio.sleep(self.seconds)
        if self.fails:
            self.fails -= 1
            raise OutOfTape("out of tape")


async def _check_once(exactly_once: Callable[[Sessions, Any, Pack], Handler], db: Database) -> None:
    async with await open_database("17-once", url=db.url) as scratch:
        await scratch.execute(PARCELS)
        engine = create_async_engine(scratch.url)
        try:
            sessions = async_sessionmaker(engine, expire_on_commit=False)
            machine = Machine()
            inbox = PostgreSQLInboxRepository(sessions)
            handle = exactly_once(sessions, inbox, machine.pack)
            await _attack(handle, machine, scratch)
        finally:
            await engine.dispose()


async def _attack(handle: Handler, machine: Machine, scratch: Database) -> None:
    event = _order()
    await handle(event)
    await handle(event)
    await _expect_one(event.event_id, scratch, "an event that came twice", hint=1)

    event, machine.fails = _order(), 1
    outcomes = await asyncio.gather(handle(event), return_exceptions=True)
    if not isinstance(outcomes[0], OutOfTape):
        raise NotYet(
            seen="the machine failed, and the handler said nothing",
            expected="the error, so that the bus delivers the event again",
            hint=2,
        )
    await handle(event)
    await _expect_one(event.event_id, scratch, "an event whose first attempt failed", hint=2)

    # Long enough that the second worker looks before the first is done, also on a busy machine.
    event, machine.seconds = _order(), 0.3
    await asyncio.gather(handle(event), handle(event))
    await _expect_one(event.event_id, scratch, "an event delivered to two workers at once", hint=3)


def _order() -> OrderCreated:
    return OrderCreated(aggregate_id=uuid4(), customer_id="cust-1", total=Decimal(1))


async def _expect_one(event_id: UUID, scratch: Database, what: str, *, hint: int) -> None:
    count = (await scratch.fetch(COUNT, event_id))[0][0]
    if count != 1:
        hint = hint if count else 2  # nothing was committed
        raise NotYet(seen=f"{count} parcels for {what}", expected="1 parcel", hint=hint)


def _answer(body: str, lead: str = "") -> str:
    return f"""{lead}def exactly_once(sessions, inbox, pack):
    async def handle(event):
{body}

    return handle"""


ONCE = Exercise(
    id="17.1",
    title="Pack each parcel once",
    task="""
The bus delivers at least once; the warehouse wants to pack once. Return a handler that calls
`await pack(event, session)`, which writes a parcel in the transaction of the SQLAlchemy session
you give it. However often an event comes, also to two workers at once, there is **one** parcel; and
if `pack` fails, the error passes on and the next delivery packs. `inbox` is the
`PostgreSQLInboxRepository` of tutorial 15, `sessions` makes sessions. Call yourself `"warehouse"`.
""",
    answer="exactly_once",
    given=("db",),
    time_limit_seconds=5,
    stub='''
def exactly_once(sessions, inbox, pack):
    """A handler for the bus that packs each event's parcel once."""

    async def handle(event): ...

    return handle
''',
    hints=(
        """
The inbox remembers what the warehouse has processed: `await inbox.record("warehouse",
event.event_id)` answers True the first time, and False from then on.
""",
        """
If the entry is stored and the parcel is not, the event is lost; the other way round, the parcel is
packed twice. So both belong in one transaction: `async with sessions.begin() as session:`, which
commits at its end, and in it `inbox.record(..., transaction=session)`. And an error must leave the
handler.
""",
        """
To look first and to write afterwards leaves a gap, in which another worker looks as well. Let
`record` decide: it *takes* the event, and makes a rival wait until your transaction ends.
""",
        """
`await inbox.once("warehouse", event.event_id, effect)` does all of it: it opens the transaction,
takes the event, and calls `effect(session)` if the event was not taken before.
""",
    ),
    solutions=(
        _answer("""        async def effect(session):
            await pack(event, session)

        await inbox.once("warehouse", event.event_id, effect)"""),
        _answer("""        async with sessions.begin() as session:
            if await inbox.record("warehouse", event.event_id, transaction=session):
                await pack(event, session)"""),
        _answer(
            """        async with sessions.begin() as session:
            taken = await session.execute(TAKE, {"id": event.event_id})
            if taken.rowcount:
                await pack(event, session)""",
            '''from sqlalchemy import text

TAKE = text("""INSERT INTO event_inbox (consumer, event_id, recorded_at)
               VALUES ('warehouse', :id, now()) ON CONFLICT DO NOTHING""")


''',
        ),
    ),
    wrong=(
        Wrong(
            _answer("""        async with sessions.begin() as session:
            await pack(event, session)"""),
            1,
        ),
        Wrong(
            _answer("""        if await inbox.record("warehouse", event.event_id):
            async with sessions.begin() as session:
                await pack(event, session)"""),
            2,
        ),
        Wrong(
            _answer("""        async with sessions() as session:
            if await inbox.record("warehouse", event.event_id, transaction=session):
                await pack(event, session)"""),
            2,
        ),
        Wrong(
            _answer("""        async with sessions.begin() as session:
            if await inbox.record("warehouse", event.event_id, transaction=session):
                try:
                    await pack(event, session)
                except Exception:
                    pass  # the next delivery will do it"""),
            2,
        ),
        Wrong(
            _answer("""        if not await inbox.is_recorded("warehouse", event.event_id):
            async with sessions.begin() as session:
                await pack(event, session)
                await inbox.record("warehouse", event.event_id, transaction=session)"""),
            3,
        ),
    ),
    check=_check_once,
)
