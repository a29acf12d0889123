"""Subscriptions in two processes, of which one leads."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from eventsource import (
    DomainEvent,
    Doorbell,
    PostgreSQLCheckpointRepository,
    PostgreSQLDLQRepository,
    PostgreSQLLeader,
    SubscriptionConfig,
    SubscriptionManager,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.subscriptions import Subscription, SubscriptionState
from tests.faults.campaign.actor import Actor, Orders
from tests.faults.campaign.domain import Subscribed
from tests.faults.campaign.records import Complaint

#: At most so many events may come again when a leader has died.
PAGE = 10


class Leader(PostgreSQLLeader):
    """Gives each time of leading a name of its own."""

    term = 0

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        await super().run(partial(self._next_term, work))

    async def _next_term(self, work: Callable[[], Awaitable[None]]) -> None:
        self.term += 1
        await work()


class Subscriber(Actor):
    """One subscription whose checkpoint is in its own transaction, and one with a handler."""

    def __init__(self, orders: Orders) -> None:
        super().__init__(orders)
        self.leader = Leader(self.engine, "campaign", retry_seconds=0.1, check_seconds=1.0)
        self.unhandled: asyncio.Queue[DomainEvent] = asyncio.Queue()

    async def follow(self) -> None:
        manager = SubscriptionManager(
            self.store,
            None,
            PostgreSQLCheckpointRepository(self.engine),
            dlq_repo=PostgreSQLDLQRepository(self.engine),
            doorbell=Doorbell(self.engine),
            leader=None if self.sabotage == "no-leader" else self.leader,
        )
        config = SubscriptionConfig(batch_size=PAGE, poll_interval_seconds=0.1)
        subscribed = Subscribed(self.engine, self._term)
        await manager.subscribe(subscribed, config)
        handler = self.unhandled.put if self.sabotage == "early-checkpoint" else self._handle
        await manager.subscribe(handler, config, "handled")
        manager.on_error(self._complain)
        async with manager, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._handle_later())
            await self._watch(manager)

    def _term(self) -> str:
        return f"{self.name}/{self.leader.term}"

    async def _handle(self, event: DomainEvent) -> None:
        """Its effect and the checkpoint are two transactions, so it may come again."""
        statement = "INSERT INTO handled (event_id, term) VALUES ($1, $2)"
        pool = executor_for(self.sessions)
        await self.until_done(partial(pool.fetch, statement, event.event_id, self._term()))

    async def _handle_later(self) -> None:
        """Sabotage: the checkpoint is saved before the event is handled."""
        while True:
            event = await self.unhandled.get()
            await asyncio.sleep(0.2)
            await self._handle(event)

    async def _complain(self, subscription: Subscription, error: Exception) -> None:
        if subscription.state is SubscriptionState.ERROR or subscription.dead_letters:
            self.notebook.note(Complaint(f"{subscription.name} gave up: {error}"))

    async def _watch(self, manager: SubscriptionManager) -> None:
        while manager.is_running:
            for one in manager.subscriptions:
                if one.state is SubscriptionState.ERROR:
                    self.notebook.note(Complaint(f"{one.name} has stopped: {one.last_error!r}"))
                    return
            await asyncio.sleep(0.2)
        self.notebook.note(Complaint("the subscription manager has stopped"))
