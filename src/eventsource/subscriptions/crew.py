"""The tasks of a manager: one for each subscription that runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from eventsource.subscriptions.subscription import Subscription, SubscriptionState

_log = logging.getLogger(__name__)

_CANCEL_AGAIN_SECONDS: Final = 1.0


class Crew:
    """Starts and ends the tasks. None runs outside of `serve`."""

    def __init__(self, work: Callable[[Subscription], Awaitable[None]]) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.is_serving = False
        self._work = work
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Until cancelled. Subscriptions that run then are interrupted, and wait to run again."""
        self.is_serving = True
        try:
            for subscription in self.subscriptions.values():
                self.launch(subscription)
            await asyncio.Event().wait()
        finally:
            self.is_serving = False
            await self._cancel(self._tasks)
            for subscription in self.subscriptions.values():
                if subscription.is_running:
                    subscription.move_to(SubscriptionState.STOPPED)
                    subscription.move_to(SubscriptionState.STARTING)

    def launch(self, subscription: Subscription) -> None:
        """Give it a task, if it is to run and has none."""
        if self.is_serving and subscription.is_running and not self.has_task(subscription):
            task = asyncio.create_task(self._run(subscription), name=subscription.name)
            self._tasks[subscription.name] = task

    def has_task(self, subscription: Subscription) -> bool:
        return subscription.name in self._tasks

    async def end(self, subscriptions: Iterable[Subscription], timeout_seconds: float) -> bool:
        """Stop these; whether some had to be cancelled, because they took longer."""
        running = [one for one in subscriptions if one.is_running]
        for subscription in running:
            subscription.ask(stop=True)
        late = set[asyncio.Task[None]]()
        if tasks := [self._tasks[one.name] for one in running if self.has_task(one)]:
            _, late = await asyncio.wait(tasks, timeout=timeout_seconds)
            await self._cancel([one.name for one in running])
        for subscription in running:
            if subscription.is_running:
                subscription.move_to(SubscriptionState.STOPPED)
        return bool(late)

    async def _cancel(self, names: Iterable[str]) -> None:
        tasks = {self._tasks[name] for name in names if name in self._tasks}
        while tasks:
            for task in tasks:
                task.cancel()
            # A handler may swallow it, and a rollback that fails on a dead connection hides it.
            # The task would go on as if this process still led.
            _, tasks = await asyncio.wait(tasks, timeout=_CANCEL_AGAIN_SECONDS)

    async def _run(self, subscription: Subscription) -> None:
        try:
            await self._work(subscription)
        except Exception as error:  # noqa: BLE001  # kept for the owner; the others go on
            _log.error("Subscription %s has stopped", subscription.name, exc_info=error)
            subscription.last_error = error
            subscription.move_to(SubscriptionState.ERROR)
        else:
            subscription.move_to(SubscriptionState.STOPPED)
        finally:
            del self._tasks[subscription.name]
