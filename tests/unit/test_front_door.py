"""`import eventsource`: what it offers and what it leaves alone."""

import subprocess
import sys

import eventsource


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_there_and_sorted() -> None:
    names = eventsource.__all__
    assert len(names) == len(set(names))
    assert all(hasattr(eventsource, name) for name in names)
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    functions = [name for name in names if not name[0].isupper()]
    assert names == sorted(constants) + sorted(classes) + sorted(functions)


def test_it_imports_no_driver_and_no_telemetry() -> None:
    code = "import sys, eventsource; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(python(code).split())
    assert "sqlalchemy" in loaded
    drivers = {"asyncpg", "aiosqlite", "redis", "aiokafka", "aio_pika", "opentelemetry", "alembic"}
    assert not loaded & drivers


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
