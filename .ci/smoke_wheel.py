"""smoke_wheel.py WHEEL CLONE: every file is in the wheel, which works where nothing else is."""

import asyncio
import pathlib
import sys
import zipfile
from importlib.metadata import distributions
from uuid import uuid4

PACKAGES = {"eventsource": "src/eventsource", "tutorial_support": "tutorial_support"}


def files_of_clone(clone: pathlib.Path) -> set[str]:
    return {
        f"{package}/{path.relative_to(clone / folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in (clone / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def check_files(wheel: str, clone: pathlib.Path) -> None:
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = files_of_clone(clone)
    assert shipped == expected, f"differs from the clone: {sorted(shipped ^ expected)}"
    assert "eventsource/py.typed" in shipped
    assert any(name.endswith(".sql") for name in shipped)


def check_bare_environment() -> None:
    installed = {d.name.lower() for d in distributions()}
    assert not installed & {"asyncpg", "alembic", "jupyterlab"}, "this environment is not bare"


async def check_library() -> None:
    import eventsource
    from eventsource import migrations

    assert "site-packages" in eventsource.__file__
    assert "CREATE TABLE" in migrations.get_schema("all")

    @eventsource.register_event
    class Greeted(eventsource.DomainEvent):
        event_type: str = "Greeted"
        aggregate_type: str = "Greeting"
        name: str

    store = eventsource.InMemoryEventStore()
    stream = uuid4()
    event = Greeted(aggregate_id=stream, aggregate_version=1, name="world")
    await store.append_events(stream, "Greeting", [event], expected_version=0)
    assert (await store.get_events(stream, "Greeting")).events == [event]


check_bare_environment()
check_files(sys.argv[1], pathlib.Path(sys.argv[2]))
asyncio.run(check_library())
print(f"{pathlib.Path(sys.argv[1]).name}: complete, and works alone")
