"""Exercise 13.1: one shop's shipments, filtered by the query."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from eventsource import (
    DomainEvent,
    InMemoryCheckpointRepository,
    InMemoryEventStore,
    ReadOptions,
    StoredEvent,
    SubscriptionConfig,
    SubscriptionConfigError,
    SubscriptionManager,
)
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong


class _Log(InMemoryEventStore):
    """Counts what a page read of the feed hands out."""

    handed_out = 0

    async def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        async for stored in super().read_all(options):
            self.handed_out += options is not None and options.limit != 1
            yield stored


async def _check_filters(shipments_of: Callable[[UUID], Any]) -> None:
    log, mine, other = _Log(), uuid4(), uuid4()
    for tenant in (mine, other, None, mine):
        order = uuid4()
        events: list[DomainEvent] = [
            OrderCreated(aggregate_id=order, customer_id="c", total=Decimal(1), tenant_id=tenant),
            OrderShipped(
                aggregate_id=order, aggregate_version=2, tracking_number="T", tenant_id=tenant
            ),
        ]
        await log.append_events(order, "Order", events, 0)
    try:
        config = shipments_of(mine)
    except SubscriptionConfigError as error:
        hint = 3 if "event_types" in str(error) else 1
        raise NotYet(seen=str(error), expected="a configuration", hint=hint) from error
    if not isinstance(config, SubscriptionConfig):
        raise NotYet(seen=f"{config!r}", expected="a SubscriptionConfig", hint=1)
    got: list[DomainEvent] = []
    manager = SubscriptionManager(log, None, InMemoryCheckpointRepository())
    await manager.subscribe(got.append, config, name="shipments")
    async with manager:
        await manager.wait_until_live(timeout_seconds=2)
    _judge(got, mine)
    if log.handed_out > len(got):
        raise NotYet(
            seen=f"the store read {log.handed_out} events for {len(got)} that were delivered",
            expected="a query that reads only those",
            hint=2,
        )


def _judge(got: list[DomainEvent], mine: UUID) -> None:
    if strangers := [event for event in got if event.tenant_id != mine]:
        raise NotYet(
            seen=f"{len(strangers)} events of other shops, or of none",
            expected="events of this shop alone",
            hint=2,
        )
    if others := [event for event in got if not isinstance(event, OrderShipped)]:
        raise NotYet(
            seen=f"{len(others)} events that are no shipments", expected="OrderShipped", hint=3
        )
    if len(got) != 2:
        raise NotYet(
            seen=f"{len(got)} of the 2 shipments that were there before the start",
            expected="all shipments of this shop, those of the past too",
            hint=4,
        )


def _wrong(settings: str, hint: int) -> Wrong:
    return Wrong(f"def shipments_of(tenant_id):\n    return SubscriptionConfig({settings})", hint)


FILTERS = Exercise(
    id="13.1",
    title="The shipments of one shop",
    task="""
Several shops share the log. The carrier of one of them wants to hear of **its shipments**: those
of the past and all that come, no other shop's, and nothing but `OrderShipped`. Return the
configuration, so that the database hands out no row that the carrier does not get.
""",
    answer="shipments_of",
    stub='''
def shipments_of(tenant_id):
    """The SubscriptionConfig of this shop's carrier."""
    ... ''',
    hints=(
        """ `SubscriptionConfig` has a setting for each filter. What it
filters becomes a part of the query, so nothing is read in vain; an `if` in the handler comes too
late.
""",
        """
`tenant_id=` takes the id of one shop. Events without a tenant belong to no shop, and are left out
as well.
""",
        """
`event_types=` takes a collection of event *classes*: `[OrderShipped]`, brackets included.
""",
        """
The past counts: `start_from` is "beginning" unless you say otherwise. And `aggregate_types` are
names of aggregates, such as "Order", not of events.
""",
    ),
    solutions=(
        """
def shipments_of(tenant_id):
    return SubscriptionConfig(tenant_id=tenant_id, event_types=[OrderShipped])
""",
        """
def shipments_of(tenant_id):
    filters = {"event_types": (OrderShipped,), "aggregate_types": ("Order",)}
    return SubscriptionConfig(**filters, tenant_id=tenant_id, start_from="beginning", batch_size=20)
""",
    ),
    wrong=(
        _wrong("event_types=[OrderShipped]", hint=2),
        _wrong("tenant_id=tenant_id", hint=3),
        _wrong('tenant_id=tenant_id, event_types=["OrderShipped"]', hint=3),
        _wrong('tenant_id=tenant_id, event_types=[OrderShipped], start_from="end"', hint=4),
        _wrong('tenant_id=tenant_id, aggregate_types=["OrderShipped"]', hint=4),
    ),
    check=_check_filters,
    time_limit_seconds=3,
)
