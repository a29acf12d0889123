"""Runs any number of subscriptions over one event store."""

import asyncio
import inspect
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from eventsource.background import log_failure
from eventsource.bus.interface import EventBus
from eventsource.events.base import DomainEvent
from eventsource.exceptions import SubscriptionAlreadyExistsError, SubscriptionStateError
from eventsource.notifications import Doorbell
from eventsource.observability import Tracer, create_tracer
from eventsource.projections.base import CheckpointTrackingProjection
from eventsource.repositories.checkpoint import CheckpointRepository
from eventsource.repositories.dlq import DLQRepository
from eventsource.stores.interface import EventStore
from eventsource.subscriptions.config import SubscriptionConfig
from eventsource.subscriptions.crew import Crew
from eventsource.subscriptions.delivery import target_of
from eventsource.subscriptions.health import (
    ManagerHealth,
    ReadinessStatus,
    ShutdownPhase,
    ShutdownResult,
    health_of,
    readiness_of,
)
from eventsource.subscriptions.leader import PostgreSQLLeader
from eventsource.subscriptions.runner import Runner
from eventsource.subscriptions.subscription import Subscription, SubscriptionState

_log = logging.getLogger(__name__)

ErrorCallback = Callable[[Subscription, Exception], Awaitable[None] | None]


class SubscriptionManager:
    """Every subscriber gets the events of the store in the order of its feed: first what is there,
    then what comes. It gets each at least once; after a crash those since its last checkpoint, at
    most a page, come again. A DatabaseProjection, whose checkpoint is in its own transaction,
    counts each once.

    Run it with `async with`, or `start` and `stop`; all in one event loop. The `event_bus` and the
    `doorbell` only wake it up between two polls: events come from the store. With a `leader` the
    subscriptions run in one process at a time, whichever leads; the others wait as `starting`.
    """

    def __init__(
        self,
        event_store: EventStore,
        event_bus: EventBus | None,
        checkpoint_repo: CheckpointRepository,
        *,
        dlq_repo: DLQRepository | None = None,
        doorbell: Doorbell | None = None,
        leader: PostgreSQLLeader | None = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        self._event_store = event_store
        self._event_bus = event_bus
        self._checkpoints = checkpoint_repo
        self._dead_letters = dlq_repo
        self._doorbell = doorbell
        self._leader = leader
        self._tracer = tracer or create_tracer(__name__, enable_tracing)
        self._crew = Crew(self._run_one)
        self._callbacks: list[ErrorCallback] = []
        self._total_errors = 0
        self._main: asyncio.Task[None] | None = None

    async def subscribe(
        self, subscriber: Any, config: SubscriptionConfig | None = None, name: str | None = None
    ) -> Subscription:
        """Add a subscriber: a function, or an object with `handle(event)` or
        `handle_batch(events)`, async or not, or a projection, which keeps its own checkpoint.

        If the manager runs, the subscription starts at once. Its checkpoint goes by `name`, which
        by default is the class's or the function's; a projection always has its own name.
        SubscriptionAlreadyExistsError if the name is taken, TypeError if there is nothing to call.
        """
        if isinstance(subscriber, CheckpointTrackingProjection):
            name = subscriber.projection_name
        name = name or str(getattr(subscriber, "__name__", type(subscriber).__name__))
        if name in self._crew.subscriptions:
            raise SubscriptionAlreadyExistsError(name)
        subscription = Subscription(name, subscriber, config or SubscriptionConfig())
        target_of(subscription, self._checkpoints)
        self._crew.subscriptions[name] = subscription
        if self.is_running:
            self._begin(subscription)
        return subscription

    async def unsubscribe(self, name: str) -> bool:
        """Stop the subscription and forget it; its checkpoint stays. False if there is none."""
        if subscription := self.get_subscription(name):
            await self._crew.end([subscription], timeout_seconds=30.0)
            if self.get_subscription(name) is subscription:  # or another call has forgotten it
                del self._crew.subscriptions[name]
        return subscription is not None

    @property
    def subscriptions(self) -> list[Subscription]:
        """In the order of subscribing."""
        return list(self._crew.subscriptions.values())

    def get_subscription(self, name: str) -> Subscription | None:
        return self._crew.subscriptions.get(name)

    @property
    def is_running(self) -> bool:
        return self._main is not None and not self._main.done()

    @property
    def is_leader(self) -> bool:
        """Whether the subscriptions run here. Without a `leader` that is: whether they run."""
        return self._crew.is_serving

    async def start(self) -> None:
        """Start what does not run, be it after `stop` or after an error. Returns at once;
        `wait_until_live` waits for the end of the catch-up."""
        for subscription in self.subscriptions:
            if not subscription.is_running:
                self._begin(subscription)
        if not self.is_running:
            self._main = asyncio.create_task(self._run(), name="subscriptions")
            told = log_failure(_log, "The subscription manager has stopped: %r")
            self._main.add_done_callback(told)

    async def stop(self, timeout_seconds: float = 30.0) -> ShutdownResult:
        """Finish the events at hand, save the checkpoints, and stop. What takes longer than
        `timeout_seconds` is cancelled."""
        began, before = time.monotonic(), self._total_processed
        running = [one for one in self.subscriptions if one.is_running]
        forced = await self._crew.end(running, timeout_seconds)
        main, self._main = self._main, None
        if main is not None:
            main.cancel()
            await asyncio.wait([main])
        return ShutdownResult(
            ShutdownPhase.FORCED if forced else ShutdownPhase.STOPPED,
            time.monotonic() - began,
            len(running),
            self._total_processed - before,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def run_until_shutdown(self, timeout_seconds: float = 30.0) -> ShutdownResult:
        """Run until SIGTERM or SIGINT, then `stop`. A second signal does what it did before.
        Cancelled, it stops as well.

        For the main thread of a worker process."""
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for each, handler in before.items():
                signal.signal(each, handler)

        def ask(*_: object) -> None:
            restore()
            loop.call_soon_threadsafe(asked.set)

        for each in before:
            signal.signal(each, ask)
        try:
            await self.start()
            await asked.wait()
        finally:
            restore()
            result = await self.stop(timeout_seconds)
        return result

    async def wait_until_live(self, timeout_seconds: float = 30.0) -> None:
        """Return once every subscription has come to the end of the log. SubscriptionError if one
        has stopped at an error, TimeoutError if they are not in time."""
        async with asyncio.timeout(timeout_seconds):
            for subscription in self.subscriptions:
                await subscription.wait_for(SubscriptionState.LIVE)

    def wake(self) -> None:
        """Look for events now. To be called in the manager's own event loop."""
        for subscription in self.subscriptions:
            subscription.wake()

    async def pause_subscription(self, name: str) -> None:
        """Return once no handler of it runs any more.

        SubscriptionStateError if it does not run, KeyError if there is none of this name.
        """
        subscription = self._crew.subscriptions[name]
        if not subscription.is_running:
            raise SubscriptionStateError(
                f"Subscription {name} is {subscription.state.value}: there is nothing to pause."
            )
        subscription.ask(pause=True)
        if self._crew.has_task(subscription):
            await subscription.wait_for(SubscriptionState.PAUSED, SubscriptionState.STOPPED)

    async def resume_subscription(self, name: str) -> None:
        """Go on with what came meanwhile. KeyError if there is none of this name."""
        self._crew.subscriptions[name].ask(pause=False)

    def on_error(self, callback: ErrorCallback) -> None:
        """Call it, async or not, with the subscription and the error: an EventDeliveryError for
        each event that is given up, the database's own error while that is out of reach."""
        self._callbacks.append(callback)

    def get_error_stats(self) -> dict[str, Any]:
        """Since this manager was made: all errors, dead letters, and failures by subscription."""
        return {
            "total_errors": self._total_errors,
            "total_dlq_count": sum(one.dead_letters for one in self.subscriptions),
            "subscriptions": {
                one.name: {
                    "events_failed": one.events_failed,
                    "dead_letters": one.dead_letters,
                    "last_error": None if one.last_error is None else str(one.last_error),
                }
                for one in self.subscriptions
            },
        }

    async def health_check(self) -> ManagerHealth:
        """Asks the store for the end of the log, to tell the lag."""
        return await health_of(self.subscriptions, self._event_store, is_leader=self.is_leader)

    async def readiness_check(self) -> ReadinessStatus:
        """Ready to be counted on: caught up, or waiting to be the leader."""
        if not self.is_running:
            return ReadinessStatus(False, "not running")
        return readiness_of(self.subscriptions, is_leader=self.is_leader)

    @property
    def _total_processed(self) -> int:
        return sum(one.events_processed for one in self.subscriptions)

    def _begin(self, subscription: Subscription) -> None:
        subscription.begin()
        self._crew.launch(subscription)

    async def _run_one(self, subscription: Subscription) -> None:
        target = target_of(subscription, self._checkpoints)
        await Runner(
            subscription,
            target,
            self._event_store,
            self._dead_letters,
            report=self._report,
            tracer=self._tracer,
        ).run()

    async def _report(self, subscription: Subscription, error: Exception) -> None:
        self._total_errors += 1
        for callback in self._callbacks:
            try:
                result = callback(subscription, error)
                if inspect.isawaitable(result):
                    await result
            except Exception:  # noqa: BLE001  # it must not stop what it only watches
                _log.exception("An error callback of %s failed", subscription.name)

    async def _run(self) -> None:
        async with self._listening():
            if self._leader is None:
                await self._crew.serve()
            else:
                await self._leader.run(self._crew.serve)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        loop, listener = asyncio.get_running_loop(), None

        def heard(event: DomainEvent) -> None:
            loop.call_soon_threadsafe(self.wake)

        if self._event_bus is not None:
            self._event_bus.subscribe_to_all_events(heard)
        if self._doorbell is not None:
            listener = asyncio.create_task(self._doorbell.listen(self.wake))
        try:
            yield
        finally:
            if self._event_bus is not None:
                self._event_bus.unsubscribe_from_all_events(heard)
            if listener is not None:
                listener.cancel()
                await asyncio.wait([listener])
