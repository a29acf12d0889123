"""Exercise 10.1: work and checkpoint, both or neither, whoever else is at it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from tutorial_support.database import Database, open_database
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

Advance = Callable[[AsyncEngine, int], Awaitable[object]]

TABLES = """
CREATE TABLE tally (orders INT);
CREATE TABLE tally_checkpoint (position INT);
INSERT INTO tally VALUES (0);
INSERT INTO tally_checkpoint VALUES (0);
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'the process has died here'; END $$;
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
"""


async def _check_both(advance: Advance, db: Database) -> None:
    async with await open_database("10-both", url=db.url, empty=True) as scratch:
        await scratch.execute(TABLES)
        engine = create_async_engine(scratch.url)
        try:
            await _once_each(advance, engine, scratch)
            await _both_or_neither(advance, engine, scratch)
            await _against_a_rival(advance, engine, scratch)
        finally:
            await engine.dispose()


async def _state(scratch: Database) -> tuple[int, int]:
    (row,) = await scratch.fetch("SELECT orders, position FROM tally, tally_checkpoint")
    return row["orders"], row["position"]


async def _expect(scratch: Database, orders: int, position: int, after: str, hint: int) -> None:
    seen = await _state(scratch)
    if seen != (orders, position):
        raise NotYet(
            seen=f"{seen[0]} orders and checkpoint {seen[1]} {after}",
            expected=f"{orders} orders and checkpoint {position}",
            hint=hint,
        )


async def _once_each(advance: Advance, engine: AsyncEngine, scratch: Database) -> None:
    await advance(engine, 3)
    uncommitted = await _state(scratch) == (0, 0)
    await _expect(scratch, 1, 3, "after the event at position 3", 2 if uncommitted else 1)
    await advance(engine, 7)
    await _expect(scratch, 2, 7, "after the event at position 7", 1)
    for again in (7, 3):
        await advance(engine, again)
        await _expect(scratch, 2, 7, f"after the event at position {again} came again", 1)


async def _both_or_neither(advance: Advance, engine: AsyncEngine, scratch: Database) -> None:
    for table in ("tally", "tally_checkpoint"):
        await scratch.execute(
            f"CREATE TRIGGER dies BEFORE UPDATE ON {table} EXECUTE FUNCTION fail()"
        )
        with suppress(Exception):
            await advance(engine, 8)
        await scratch.execute(f"DROP TRIGGER dies ON {table}")
        await _expect(scratch, 2, 7, f"after a crash at the change of {table}", 2)
    await advance(engine, 8)
    await _expect(scratch, 3, 8, "when the event came again after the crash", 2)


async def _against_a_rival(advance: Advance, engine: AsyncEngine, scratch: Database) -> None:
    """Another process does event 9 as well, with the same code, while ours is under way."""
    await scratch.execute("CREATE TRIGGER slow BEFORE UPDATE ON tally EXECUTE FUNCTION wait()")
    async with engine.connect(), engine.connect():
        pass  # so that none of the two has to connect first
    most = 0

    def look(*_: object) -> None:
        nonlocal most
        assert isinstance(engine.pool, QueuePool)
        most = max(most, engine.pool.checkedout())

    event.listen(engine.sync_engine, "checkout", look)
    both = advance(engine, 9), advance(engine, 9)
    await asyncio.gather(*both, return_exceptions=True)  # one may give up; that is right too
    await _expect(scratch, 4, 9, "after two processes did the event at position 9 at once", 3)
    if most < 2:
        raise NotYet(
            seen="one call waited until the other was through, without asking the database",
            expected="processes that share the database and nothing else",
            hint=3,
        )


TEMPLATE = """
async def advance(engine, position):
{body}
"""


def _answer(body: str, lead: str = "") -> str:
    return lead + TEMPLATE.format(body=body.strip("\n"))


BOTH = Exercise(
    id="10.1",
    title="Both or neither, once",
    task="""
The tables `tally` and `tally_checkpoint` have one row each, as above. Write
`advance(engine, position)` for the event at `position`: if the checkpoint stands before it, add 1
to `orders` and move the checkpoint there. If the checkpoint stands there already, or further,
change nothing. Either both change or neither does, and it must hold even when **two processes do
the same event at the same moment**.
""",
    answer="advance",
    given=("db",),
    stub='''
async def advance(engine, position):
    """Count one order and move the checkpoint to `position`, if it is not there yet.

    `async with engine.begin() as connection:` is one transaction, which commits at its end.
    """
    ...
''',
    hints=(
        """
An event that comes again must change nothing. Compare its position with the checkpoint's before
you count, or let the UPDATE compare: `... SET position = :position WHERE position < :position`.
""",
        """
Work and checkpoint belong in one block of `engine.begin()`, which commits at its end. Two blocks
are two transactions, and a crash can come between them.
""",
        """
A SELECT does not wait for a rival who has not committed. An UPDATE with a condition does, and looks
again when the rival has committed: `rowcount` tells whether the row was yours. `SELECT ... FOR
UPDATE` waits too.
""",
    ),
    solutions=(
        _answer("""
    move = "UPDATE tally_checkpoint SET position = :position WHERE position < :position"
    async with engine.begin() as connection:
        moved = await connection.execute(text(move), {"position": position})
        if moved.rowcount:
            await connection.execute(text("UPDATE tally SET orders = orders + 1"))
"""),
        _answer("""
    async with engine.begin() as connection:
        look = text("SELECT position FROM tally_checkpoint FOR UPDATE")
        if await connection.scalar(look) >= position:
            return
        await connection.execute(text("UPDATE tally SET orders = orders + 1"))
        move = text("UPDATE tally_checkpoint SET position = :position")
        await connection.execute(move, {"position": position})
"""),
        _answer("""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(10)"))
        if await connection.scalar(text("SELECT position FROM tally_checkpoint")) < position:
            await connection.execute(text("UPDATE tally SET orders = orders + 1"))
            move = text("UPDATE tally_checkpoint SET position = :position")
            await connection.execute(move, {"position": position})
"""),
    ),
    wrong=(
        Wrong(
            _answer("""
    async with engine.connect() as connection:
        move = "UPDATE tally_checkpoint SET position = :position WHERE position < :position"
        moved = await connection.execute(text(move), {"position": position})
        if moved.rowcount:
            await connection.execute(text("UPDATE tally SET orders = orders + 1"))
"""),
            hint=2,
        ),
        Wrong(
            _answer("""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE tally SET orders = orders + 1"))
        await connection.execute(text(f"UPDATE tally_checkpoint SET position = {position}"))
"""),
            hint=1,
        ),
        Wrong(
            _answer("""
    move = "UPDATE tally_checkpoint SET position = :position WHERE position < :position"
    async with engine.begin() as connection:
        moved = await connection.execute(text(move), {"position": position})
    if moved.rowcount:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE tally SET orders = orders + 1"))
"""),
            hint=2,
        ),
        Wrong(
            _answer("""
    async with engine.begin() as connection:
        last = await connection.scalar(text("SELECT position FROM tally_checkpoint"))
        if last >= position:
            return
        await connection.execute(text("UPDATE tally SET orders = orders + 1"))
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE tally_checkpoint SET position = {position}"))
"""),
            hint=2,
        ),
        Wrong(
            _answer("""
    async with engine.begin() as connection:
        last = await connection.scalar(text("SELECT position FROM tally_checkpoint"))
        if last < position:
            await connection.execute(text("UPDATE tally SET orders = orders + 1"))
            await connection.execute(text(f"UPDATE tally_checkpoint SET position = {position}"))
"""),
            hint=3,
        ),
        Wrong(
            _answer(
                """
    async with lock, engine.begin() as connection:
        if await connection.scalar(text("SELECT position FROM tally_checkpoint")) < position:
            await connection.execute(text("UPDATE tally SET orders = orders + 1"))
            move = text("UPDATE tally_checkpoint SET position = :position")
            await connection.execute(move, {"position": position})
""",
                lead="lock = asyncio.Lock()\n",
            ),
            hint=3,
        ),
    ),
    check=_check_both,
    time_limit_seconds=5,
)
