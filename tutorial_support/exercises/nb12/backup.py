"""Exercise 12.2: a whole copy of a file that is in use."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from eventsource import (
    EventSourceError,
    SQLiteDatabase,
    SQLiteEventStore,
)
from tutorial_support.domain import OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

Answer = Callable[[SQLiteDatabase, Path], Awaitable[Any]]
ORDER = uuid4()


async def _append(database: SQLiteDatabase, seen: int) -> None:
    event = OrderShipped(aggregate_id=ORDER, aggregate_version=seen + 1, tracking_number="T")
    await SQLiteEventStore(database).append_events(ORDER, "Order", [event], seen)


async def _check_backup(back_up: Answer) -> None:
    with TemporaryDirectory() as folder:
        copy = Path(folder, "backup.db")
        async with SQLiteDatabase(Path(folder, "shop.db")) as database:
            await database.initialize()
            for night in (1, 2):
                await _append(database, night - 1)
                await _one_night(back_up, database, copy, night)


async def _one_night(back_up: Answer, database: SQLiteDatabase, copy: Path, night: int) -> None:
    try:
        await back_up(database, copy)
    except (EventSourceError, OSError) as error:
        if night == 1:
            raise
        raise NotYet(
            seen=f"the second night it raised {type(error).__name__}: {error}",
            expected="a backup that takes the place of the last one",
            hint=3,
        ) from error
    if not database.is_open:
        raise NotYet(
            seen="the shop's database is closed", expected="a shop that notices nothing", hint=2
        )
    version = await _version_in(copy)
    if version != night:
        raise NotYet(
            seen=f"after the backup of night {night} the copy holds {version} of {night} events",
            expected="all of them",
            hint=1 if night == 1 else 3,
        )
    await _the_copy_is_a_whole_store(copy)


async def _version_in(copy: Path) -> int:
    async with SQLiteDatabase(copy) as database:
        try:
            return await SQLiteEventStore(database).get_stream_version(ORDER, "Order")
        except EventSourceError:
            return 0


async def _the_copy_is_a_whole_store(copy: Path) -> None:
    """Somebody will work with it one day, so the guards must be there."""
    async with SQLiteDatabase(copy) as database:
        guards = await database.fetch(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'"
        )
    if not guards:
        raise NotYet(
            seen="a copy of the rows, without the constraints and triggers of the table",
            expected="a copy of the whole database",
            hint=4,
        )


def _answer(body: str) -> str:
    return "async def back_up(database, path):\n" + body.strip("\n") + "\n"


BACKUP = Exercise(
    id="12.2",
    title="Back up a running shop",
    task="""
Every night `back_up(database, path)` is called with the shop's open `SQLiteDatabase` and the path
of the backup, always the same path. Make a whole copy there, while the shop stays open. The copy
of the last night may be replaced. `database.path` is the path of the shop's own file.
""",
    answer="back_up",
    stub='''
async def back_up(database, path):
    """A whole copy of the open database at path."""
    ...
''',
    hints=(
        """
What was written last is in the `-wal` file, not in the file that you copied. Let SQLite make the
copy: `await database.fetch("VACUUM INTO $1", str(path))`.
""",
        """
Closing the database would bring everything into the file, and it would also close the shop.
SQLite can copy while it is open.
""",
        """
`VACUUM INTO` refuses to overwrite. Let it write to another name first, and then put that file in
place with `os.replace(new, path)`: so there is a whole backup at every moment. Or remove the old
one first.
""",
        """
Copy the database, not the rows of a table: constraints, triggers and indexes belong to it.
""",
    ),
    solutions=(
        _answer("""
    new = f"{path}.new"
    Path(new).unlink(missing_ok=True)
    await database.fetch("VACUUM INTO $1", new)
    os.replace(new, path)
"""),
        _answer("""
    def copy():
        source, target = sqlite3.connect(database.path), sqlite3.connect(path)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()

    await asyncio.to_thread(copy)
"""),
    ),
    wrong=(
        Wrong(_answer("    shutil.copy(database.path, path)"), hint=1),
        Wrong(
            _answer("""
    await database.close()
    shutil.copy(database.path, path)
"""),
            hint=2,
        ),
        Wrong(_answer('    await database.fetch("VACUUM INTO $1", str(path))'), hint=3),
        Wrong(
            _answer("""
    if not Path(path).exists():
        await database.fetch("VACUUM INTO $1", str(path))
"""),
            hint=3,
        ),
        Wrong(
            _answer("""
    Path(path).unlink(missing_ok=True)
    await database.fetch("ATTACH $1 AS copy", str(path))
    await database.fetch("CREATE TABLE copy.events AS SELECT * FROM main.events")
    await database.fetch("DETACH copy")
"""),
            hint=4,
        ),
    ),
    check=_check_backup,
    time_limit_seconds=3,
)
