"""A service of the shop in a process of its own, which `Shop.start_worker` starts to be killed."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from eventsource import DomainEvent
from eventsource import bus as buses
from tutorial_support import domain as domain  # noqa: PLC0414  # registers the shop's events

Handler = Callable[[DomainEvent], Awaitable[None]]

NOTE = """
INSERT INTO deliveries (service, worker, event_id, order_id, event_type)
VALUES (:service, :worker, :event_id, :order_id, :event_type)
"""


def notes(engine: AsyncEngine, service: str, worker: str) -> Handler:
    """A handler whose effect is a row in `deliveries`."""

    async def note(event: DomainEvent) -> None:
        values = {"service": service, "worker": worker, "event_id": event.event_id}
        values |= {"order_id": event.aggregate_id, "event_type": event.event_type}
        async with engine.begin() as connection:
            await connection.execute(text(NOTE), values)

    return note


async def run_worker(specification: str) -> None:
    """What the child process runs: it gets this text alone, and so imports the rest."""
    from tutorial_support.worker import work

    await work(specification)


async def work(specification: str) -> None:
    said: dict[str, Any] = json.loads(specification)
    config = getattr(buses, said["kind"])(**said["config"])
    note = notes(create_async_engine(said["database_url"]), config.consumer_group, said["name"])
    handled = 0

    async def handle(event: DomainEvent) -> None:
        nonlocal handled
        await note(event)
        handled += 1
        if handled == said["hangs_at"]:
            await asyncio.Event().wait()

    if source := said["consume"]:
        given: dict[str, Any] = {}
        exec(source, given)  # noqa: S102  # nosec B102  # a function of the notebook that started this process
        consume = next(value for value in given.values() if inspect.iscoroutinefunction(value))
        await consume(config, handle)
    else:
        bus = getattr(buses, said["kind"].removesuffix("Config"))(config)
        bus.subscribe_to_all_events(handle)
        await bus.start_consuming()
