"""Exercise 11.2: partitions by month, and a version guard that no timestamp gets around."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import OptimisticLockError, PostgreSQLEventStore
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

JANUARY, FEBRUARY = datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 1, 12, tzinfo=UTC)
WAIT_SECONDS = 0.1
INSERT = """
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload)
VALUES ($1, $2, 'Order', 'OrderShipped', 1, $3, '{}')
"""


async def _check_months(monthly_schema: str, db: Database) -> None:
    async with await open_database("11-months", url=db.url, empty=True) as scratch:
        await scratch.execute(monthly_schema)
        if not await scratch.fetch("SELECT 1 WHERE to_regclass('events') IS NOT NULL"):
            raise NotYet(seen="SQL that makes no table `events`", expected="the table", hint=1)
        engine = create_async_engine(scratch.url)
        try:
            store = PostgreSQLEventStore(async_sessionmaker(engine, expire_on_commit=False))
            await _two_months_in_two_partitions(store, scratch)
            await _guard_holds_against_a_slow_rival(store, scratch)
        finally:
            await engine.dispose()


def _shipped(order: UUID, version: int, moment: datetime) -> OrderShipped:
    return OrderShipped(
        aggregate_id=order, aggregate_version=version, occurred_at=moment, tracking_number="T"
    )


async def _two_months_in_two_partitions(store: PostgreSQLEventStore, scratch: Database) -> None:
    order = uuid4()
    events = [_shipped(order, 1, JANUARY), _shipped(order, 2, FEBRUARY)]
    await store.append_events(order, "Order", events, 0)
    rows = await scratch.fetch("SELECT DISTINCT tableoid FROM events")
    strategy = await scratch.fetch(
        "SELECT partstrat FROM pg_partitioned_table WHERE partrelid = 'events'::regclass"
    )
    if len(rows) != 2 or [row["partstrat"] for row in strategy] != [b"r"]:
        raise NotYet(
            seen="events of 31 January and 1 February that are not in two partitions by time",
            expected="events PARTITION BY RANGE (timestamp), a partition for each month",
            hint=1,
        )
    if (await store.get_events(order, "Order")).events != events:
        raise NotYet(
            seen="a stream that comes back changed", expected="the same two events", hint=1
        )


async def _guard_holds_against_a_slow_rival(store: PostgreSQLEventStore, scratch: Database) -> None:
    """A transaction has stored version 1, in January, and takes its time to commit."""
    order = uuid4()
    rival = await asyncpg.connect(scratch.url.replace("+asyncpg", ""))
    try:
        transaction = rival.transaction()
        await transaction.start()
        await rival.execute(INSERT, uuid4(), order, JANUARY)
        append = asyncio.create_task(
            store.append_events(order, "Order", [_shipped(order, 1, FEBRUARY)], 0)
        )
        await asyncio.wait({append}, timeout=WAIT_SECONDS)
        await transaction.commit()
        (outcome,) = await asyncio.gather(append, return_exceptions=True)
    finally:
        await rival.close()
    if not isinstance(outcome, BaseException):
        raise NotYet(
            seen="version 1 of one order stored twice: on 31 January and on 1 February",
            expected="the second writer waits for the first, and then fails",
            hint=await _which_guard(scratch),
        )
    if not isinstance(outcome, OptimisticLockError):
        raise NotYet(
            seen=f"the second writer got {type(outcome).__name__}",
            expected="OptimisticLockError, so that it loads again and repeats the command",
            hint=4,
        )


async def _which_guard(scratch: Database) -> int:
    """A trigger that looks before it writes needs another hint than no guard at all."""
    triggers = await scratch.fetch(
        "SELECT 1 FROM pg_trigger WHERE tgrelid = 'events'::regclass AND NOT tgisinternal"
    )
    return 3 if triggers else 2


COLUMNS = """    event_id UUID NOT NULL,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    actor_id VARCHAR(255),
    version INTEGER NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()"""

BY_MONTH = f"""
CREATE TABLE events (
{COLUMNS}
) PARTITION BY RANGE (timestamp);

CREATE TABLE events_2026_01 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2026_02 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
"""


def _trigger(function: str) -> str:
    return f"""
CREATE FUNCTION guard_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{function.strip(chr(10))}
    RETURN NEW;
END $$;

CREATE TRIGGER guard_version BEFORE INSERT ON events
    FOR EACH ROW EXECUTE FUNCTION guard_version();
"""


def _assign(*parts: str) -> str:
    return 'monthly_schema = """' + "".join(parts) + '"""'


MONTHS = Exercise(
    id="11.2",
    title="Partition by month, keep the guard",
    task="""
The shop wants to drop old months, so `events` shall be partitioned by month. PostgreSQL then
refuses the version guard as it was: a unique constraint of a partitioned table must contain the
partition key. Write the SQL for the table, for January and February 2026, **and for a guard that
still lets one writer win**, whatever the timestamps are.
""",
    answer="monthly_schema",
    given=("db",),
    stub=_assign("""
-- CREATE TABLE events ( ... ) PARTITION BY RANGE (timestamp);
-- two partitions
-- the guard
"""),
    hints=(
        """
`PARTITION BY RANGE (timestamp)`, and a month is `CREATE TABLE events_2026_01 PARTITION OF events
FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`. The columns are those of the table above; the
global feed's two may be left out here.
""",
        """
A constraint that contains `timestamp` lets the same version in twice. The guard has to stand
where no timestamp is: in a second table that is not partitioned.
""",
        """
A trigger that looks for the version with SELECT does not see what another transaction has not
committed yet. Let the trigger *insert* into the second table, and let its primary key decide.
""",
        """
`PRIMARY KEY (aggregate_id, aggregate_type, version)` in the second table raises a unique
violation, and the store reports it as `OptimisticLockError`. With an error of your own, use
`ERRCODE = 'unique_violation'`.
""",
    ),
    solutions=(
        _assign(
            BY_MONTH,
            """
CREATE TABLE stored_versions (
    aggregate_id UUID, aggregate_type VARCHAR(255), version INTEGER,
    PRIMARY KEY (aggregate_id, aggregate_type, version)
);
""",
            _trigger(
                "    INSERT INTO stored_versions VALUES "
                "(NEW.aggregate_id, NEW.aggregate_type, NEW.version);"
            ),
        ),
        _assign(
            BY_MONTH,
            """
CREATE TABLE heads (
    aggregate_id UUID, aggregate_type VARCHAR(255), version INTEGER,
    PRIMARY KEY (aggregate_id, aggregate_type)
);
""",
            _trigger("""
    INSERT INTO heads VALUES (NEW.aggregate_id, NEW.aggregate_type, NEW.version)
    ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE SET version = EXCLUDED.version
        WHERE heads.version = EXCLUDED.version - 1;
    IF NOT FOUND THEN
        RAISE 'version % is taken', NEW.version USING ERRCODE = 'unique_violation';
    END IF;
"""),
        ),
    ),
    wrong=(
        Wrong(
            _assign(
                "\nCREATE TABLE events (\n",
                COLUMNS,
                ",\n    UNIQUE (aggregate_id, aggregate_type, version)\n",
                ") PARTITION BY HASH (aggregate_id);\n",
                "CREATE TABLE events_0 PARTITION OF events ",
                "FOR VALUES WITH (MODULUS 1, REMAINDER 0);\n",
            ),
            hint=1,
        ),
        Wrong(
            _assign(
                BY_MONTH,
                "ALTER TABLE events ",
                "ADD UNIQUE (aggregate_id, aggregate_type, version, timestamp);\n",
            ),
            hint=2,
        ),
        Wrong(
            _assign(
                BY_MONTH,
                _trigger("""
    IF EXISTS (SELECT FROM events WHERE aggregate_id = NEW.aggregate_id
               AND aggregate_type = NEW.aggregate_type AND version = NEW.version) THEN
        RAISE 'version % is taken', NEW.version USING ERRCODE = 'unique_violation';
    END IF;
"""),
            ),
            hint=3,
        ),
        Wrong(
            _assign(
                BY_MONTH,
                """
CREATE TABLE heads (
    aggregate_id UUID, aggregate_type VARCHAR(255), version INTEGER,
    PRIMARY KEY (aggregate_id, aggregate_type)
);
""",
                _trigger("""
    INSERT INTO heads VALUES (NEW.aggregate_id, NEW.aggregate_type, NEW.version)
    ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE SET version = EXCLUDED.version
        WHERE heads.version = EXCLUDED.version - 1;
    IF NOT FOUND THEN RAISE 'too late'; END IF;
"""),
            ),
            hint=4,
        ),
    ),
    check=_check_months,
    time_limit_seconds=3,
)
