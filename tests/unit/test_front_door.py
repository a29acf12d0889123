"""`import eventsource`: what it offers and what it leaves alone."""

import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import eventsource.snapshots
import eventsource.stores


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_there_once() -> None:
    names = eventsource.__all__
    assert len(names) == len(set(names)) > 100
    assert all(hasattr(eventsource, name) for name in names)
    assert set(names) <= set(dir(eventsource))
    assert eventsource.__version__ == version("eventsource-tutorial")


def test_it_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="'eventsource' has no attribute 'EventShop'"):
        _ = eventsource.EventShop  # type: ignore[attr-defined]


def test_it_imports_nothing_before_it_is_used() -> None:
    code = "import sys, eventsource; print(*(name for name in sys.modules if '.' in name))"
    assert not {"eventsource.events", "sqlalchemy.ext", "pydantic.main"} & set(python(code).split())


def test_a_backend_imports_no_other() -> None:
    before = "import sys; before = {*sys.modules}\n"  # a coverage tool has loaded sqlite3
    code = before + "from eventsource import AggregateRepository, PostgreSQLEventStore\n"
    loaded = set(python(code + "print(*{*sys.modules} - before)").split())
    others = {"sqlite3", "eventsource.sqlite_database", "eventsource.stores.in_memory"}
    assert "eventsource.stores.postgresql" in loaded
    assert not loaded & others


@pytest.mark.parametrize("package", [eventsource.stores, eventsource.snapshots])
def test_a_package_has_the_names_that_it_lists(package: ModuleType) -> None:
    assert all(hasattr(package, name) for name in package.__all__)
    assert {*package.__all__} <= {*dir(package)}
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'nothing'"):
        _ = package.nothing


def test_all_of_it_imports_no_driver_and_no_telemetry() -> None:
    code = "from eventsource import *; import sys; print(*(m.split('.')[0] for m in sys.modules))"
    loaded = set(python(code).split())
    assert "sqlalchemy" in loaded
    drivers = {"asyncpg", "aiosqlite", "redis", "aiokafka", "aio_pika", "opentelemetry", "alembic"}
    assert not loaded & drivers


def test_whoever_reads_a_log_knows_the_events_of_processes() -> None:
    python(
        "from eventsource import PostgreSQLEventStore, default_registry\n"
        "names = {'ProcessTimeoutSet', 'ProcessTimeoutCleared', 'ProcessTimedOut'}\n"
        "assert names <= set(default_registry.list_types())\n"
    )


def test_it_works_without_the_extras() -> None:
    python(
        "import sys\n"
        "for name in ('asyncpg', 'opentelemetry', 'aiosqlite', 'alembic'):\n"
        "    sys.modules[name] = None\n"
        "import eventsource, asyncio, uuid\n"
        "store = eventsource.InMemoryEventStore()\n"
        "@eventsource.register_event\n"
        "class Said(eventsource.DomainEvent):\n"
        "    aggregate_type: str = 'Talk'\n"
        "event = Said(aggregate_id=uuid.uuid4())\n"
        "asyncio.run(store.append_events(event.aggregate_id, 'Talk', [event], 0))\n"
    )


def test_the_seed_tutorials_names_are_there() -> None:
    from eventsource import (  # noqa: F401
        AggregateRepository,
        AggregateRoot,
        DomainEvent,
        PostgreSQLEventStore,
        register_event,
    )
