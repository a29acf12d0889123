"""Exercise 6.2: how long each customer waits for a parcel to leave."""

import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import (
    DatabaseProjection,
    DomainEvent,
    EventStore,
    PostgreSQLEventStore,
    ProjectionError,
    rebuild_blue_green,
    rebuild_in_place,
)
from eventsource.testing import eventually
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)


async def _check_times(shipping_times: type[DatabaseProjection], db: Database) -> None:
    async with await open_database("06-times", url=db.url) as scratch:
        engine = create_async_engine(scratch.url)
        try:
            await _follow_and_rebuild(shipping_times, engine, scratch)
        finally:
            await engine.dispose()


async def _follow_and_rebuild(
    shipping_times: type[DatabaseProjection], engine: AsyncEngine, scratch: Database
) -> None:
    if not shipping_times.tables:
        raise NotYet(
            seen="`tables` that names no table",
            expected="tables that remember when each order was placed",
            hint=1,
        )
    store = PostgreSQLEventStore(async_sessionmaker(engine, expire_on_commit=False))
    as_defined = copy.deepcopy(_collections(shipping_times))
    projection = shipping_times(engine)
    await projection.setup()
    question = shipping_times.question  # type: ignore[attr-defined]  # the learner's own

    async def answer(customer: str) -> Any:
        rows = await scratch.fetch(question, customer)
        return rows[0][0] if rows else None

    async def expect_hours(customer: str, hours: float, after: str, hint: int) -> None:
        said = await answer(customer)
        if isinstance(said, timedelta):
            raise NotYet(seen=f"an interval, {said}", expected="a number of hours", hint=1)
        if said is None or abs(float(said) - hours) > 0.01:
            raise NotYet(
                seen=f"{said if said is None else round(float(said), 2)} hours for {customer} "
                f"{after}",
                expected=f"{hours:g} hours",
                hint=hint,
            )

    slow = _order("Ada", 30)
    await _append(store, [slow])
    await _append(store, _shipped_after(_order("Ada", 0), 4))
    await _caught_up(projection, store)
    await expect_hours("Ada", 4, "after one order shipped in 4 hours and one not shipped", 1)
    _forget(shipping_times, as_defined)
    projection = shipping_times(engine)
    await _append(store, _shipped_after(slow, 30)[1:])
    await _caught_up(projection, store)
    await expect_hours("Ada", 17, "after a restart, and orders shipped in 4 and 30 hours", 1)
    await _append(store, _shipped_after(_order("Ada", 40), 8))
    await _append(store, _shipped_after(_order("Grace", 60), 10))
    await _caught_up(projection, store)
    await expect_hours("Ada", 14, "after orders shipped in 4, 30 and 8 hours", 2)
    await expect_hours("Grace", 10, "after one order shipped in 10 hours", 2)
    await rebuild_in_place(projection, store)
    await expect_hours("Ada", 14, "after a rebuild in place", 3)
    try:
        await rebuild_blue_green(projection, store)
    except ProjectionError as error:
        raise NotYet(seen=str(error), expected="a blue/green rebuild", hint=3) from error
    await expect_hours("Ada", 14, "after a blue/green rebuild", 3)


def _collections(cls: type) -> dict[str, Any]:
    """What a class remembers for as long as its process lives."""
    held = vars(cls).items()
    return {name: value for name, value in held if isinstance(value, dict | list | set)}


def _forget(cls: type, as_defined: dict[str, Any]) -> None:
    """A restarted process has the class as it was defined."""
    for name, value in as_defined.items():
        setattr(cls, name, copy.deepcopy(value))


def _order(customer: str, start_hours: int) -> OrderCreated:
    at = MORNING + timedelta(hours=start_hours)
    return OrderCreated(
        aggregate_id=uuid4(), occurred_at=at, customer_id=customer, total=Decimal(10)
    )


def _shipped_after(created: OrderCreated, hours: int) -> list[DomainEvent]:
    at = created.occurred_at + timedelta(hours=hours)
    order = created.aggregate_id
    shipped = OrderShipped(
        aggregate_id=order, aggregate_version=2, occurred_at=at, tracking_number="T"
    )
    return [created, shipped]


async def _append(store: EventStore, events: list[DomainEvent]) -> None:
    first = events[0]
    expected = first.aggregate_version - 1
    await store.append_events(first.aggregate_id, "Order", events, expected)


async def _caught_up(projection: DatabaseProjection, store: EventStore) -> None:
    newest = await store.get_events_by_type("Order")

    async def done() -> bool:
        await projection.catch_up(store)
        return len([one async for one in store.read_all()]) == len(newest)

    await eventually(done)


ONE_ROW_AN_ORDER = """
class ShippingTimes(DatabaseProjection):
    tables = ("shipping_times",)
    question = '''
        SELECT avg(extract(epoch FROM shipped - placed)) / 3600
        FROM shipping_times WHERE customer_id = $1
    '''

    async def create_tables(self, transaction):
        columns = "order_id UUID, customer_id TEXT, placed TIMESTAMPTZ, shipped TIMESTAMPTZ"
        await transaction.execute(text(f"CREATE TABLE IF NOT EXISTS shipping_times ({columns})"))

    @handles(OrderCreated)
    async def _created(self, transaction, event):
        insert = "INSERT INTO shipping_times VALUES (:aggregate_id, :customer_id, :occurred_at)"
        await transaction.execute(text(insert), event.model_dump())

    @handles(OrderShipped)
    async def _shipped(self, transaction, event):
        update = "UPDATE shipping_times SET shipped = :occurred_at WHERE order_id = :aggregate_id"
        await transaction.execute(text(update), event.model_dump())
"""

SUMS = """
class ShippingTimes(DatabaseProjection):
    tables = ("open_orders", "sums")
    question = "SELECT hours / orders FROM sums WHERE customer_id = $1"

    async def create_tables(self, transaction):
        for columns in (
            "open_orders (order_id UUID, customer_id TEXT, placed TIMESTAMPTZ)",
            "sums (customer_id TEXT PRIMARY KEY, orders INTEGER, hours NUMERIC)",
        ):
            await transaction.execute(text(f"CREATE TABLE IF NOT EXISTS {columns}"))

    @handles(OrderCreated)
    async def _created(self, transaction, event):
        insert = "INSERT INTO open_orders VALUES (:aggregate_id, :customer_id, :occurred_at)"
        await transaction.execute(text(insert), event.model_dump())

    @handles(OrderShipped)
    async def _shipped(self, transaction, event):
        add = '''
            WITH shipped AS (
                DELETE FROM open_orders WHERE order_id = :aggregate_id RETURNING *
            )
            INSERT INTO sums
            SELECT customer_id, 1, extract(epoch FROM :occurred_at - placed) / 3600 FROM shipped
            ON CONFLICT (customer_id) DO UPDATE
            SET orders = sums.orders + 1, hours = sums.hours + excluded.hours
        '''
        await transaction.execute(text(add), event.model_dump())
"""


IN_MEMORY = """
class ShippingTimes(DatabaseProjection):
    tables = ("shipping_times",)
    question = "SELECT avg(hours) FROM shipping_times WHERE customer_id = $1"
    placed = {}

    async def create_tables(self, transaction):
        columns = "customer_id TEXT, hours NUMERIC"
        await transaction.execute(text(f"CREATE TABLE IF NOT EXISTS shipping_times ({columns})"))

    @handles(OrderCreated)
    async def _created(self, transaction, event):
        self.placed[event.aggregate_id] = event

    @handles(OrderShipped)
    async def _shipped(self, transaction, event):
        placed = self.placed[event.aggregate_id]
        hours = (event.occurred_at - placed.occurred_at) / timedelta(hours=1)
        insert = text("INSERT INTO shipping_times VALUES (:customer_id, :hours)")
        row = {"customer_id": placed.customer_id, "hours": hours}
        await transaction.execute(insert, row)
"""


def _instead(source: str, *changes: tuple[str, str]) -> str:
    """A wrong answer that differs from a right one in these places."""
    for right, wrong in changes:
        if right not in source:
            raise ValueError(f"not in the source: {right}")
        source = source.replace(right, wrong)
    return source


TIMES = Exercise(
    id="6.2",
    title="How long do customers wait?",
    task="""
The shopkeeper asks, for one customer, how many **hours** pass on average between placing an order
and shipping it. Orders that are not shipped yet do not count. `OrderShipped` does not say whose
order it is, so your projection has to remember. Write `ShippingTimes`: its tables are up to you,
and `question` is the query that gives the average for the customer `$1`. The check follows the
log with it, and rebuilds it in both ways.
""",
    answer="ShippingTimes",
    given=("db",),
    stub="""
class ShippingTimes(DatabaseProjection):
    tables = ()
    question = "SELECT ... WHERE customer_id = $1"

    async def create_tables(self, transaction): ...

    @handles(OrderCreated)
    async def _created(self, transaction, event): ...

    @handles(OrderShipped)
    async def _shipped(self, transaction, event): ...
""",
    hints=(
        """
Keep a row for each order, with `order_id`, `customer_id` and when it was placed: in a table, since
the process may be restarted. `OrderShipped` finds it by `aggregate_id`. Both times are
`occurred_at` of the events; `now()` would be the time of the projection. Hours are
`extract(epoch FROM shipped - placed) / 3600`.
""",
        """
An average of averages is not the average. Keep what can be added, the sum and the number, or keep
all the rows and let `avg` work in `question`.
""",
        """
A rebuild empties what `tables` names, and nothing else. Name every table, and create it without a
schema and with `IF NOT EXISTS`.
""",
    ),
    solutions=(ONE_ROW_AN_ORDER, SUMS),
    wrong=(
        Wrong(IN_MEMORY, hint=1),
        Wrong(_instead(ONE_ROW_AN_ORDER, ("shipped = :occurred_at", "shipped = now()")), hint=1),
        Wrong(
            _instead(
                SUMS,
                ("hours / orders", "hours"),
                (
                    "hours = sums.hours + excluded.hours",
                    "hours = (sums.hours + excluded.hours) / 2",
                ),
            ),
            hint=2,
        ),
        Wrong(_instead(SUMS, ('("open_orders", "sums")', '("open_orders",)')), hint=3),
    ),
    check=_check_times,
    time_limit_seconds=5,
)
