"""Who gets an event, and what happens when they fail."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked, without_secrets
from eventsource.protocols import AnyEventHandler
from eventsource.retries import RetryPolicy

_log = logging.getLogger(__name__)

BUS_RETRIES: Final = RetryPolicy(max_tries=4)


@dataclass(frozen=True, slots=True)
class Subscription:
    """`call` tells handlers apart: two that are equal by value may still be two."""

    event_class: type[DomainEvent]
    handler: AnyEventHandler
    call: Callable[[DomainEvent], Awaitable[None] | None]

    @property
    def name(self) -> str:
        named = self.handler if hasattr(self.handler, "__qualname__") else type(self.handler)
        return f"{named.__module__}.{named.__qualname__}"

    async def run(self, event: DomainEvent) -> None:
        result = self.call(event)
        if inspect.isawaitable(result):
            await result


@dataclass(frozen=True, slots=True)
class Failure:
    subscription: Subscription
    error: BaseException

    def __str__(self) -> str:
        return f"{self.subscription.name}: {type(self.error).__name__}: {self.error}"


class Dispatcher:
    """The subscriptions of one bus. Changing them is safe from any thread."""

    def __init__(self, retry: RetryPolicy) -> None:
        self._retry = retry
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def add(self, event_class: type[DomainEvent], handler: AnyEventHandler) -> None:
        if not (isinstance(event_class, type) and issubclass(event_class, DomainEvent)):
            raise TypeError(f"Subscribe to an event class, not to {event_class!r}.")
        subscription = Subscription(event_class, handler, _callable(handler))
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)

    def remove(self, event_class: type[DomainEvent], handler: AnyEventHandler) -> bool:
        call = _callable(handler)
        with self._lock:
            kept = [
                each
                for each in self._subscriptions
                if not (each.event_class is event_class and each.call == call)
            ]
            found = len(kept) < len(self._subscriptions)
            self._subscriptions = tuple(kept)
        return found

    def subscriptions_for(self, event: DomainEvent) -> list[Subscription]:
        """Each handler once, however many of its classes fit."""
        wanted: list[Subscription] = []
        for each in self._subscriptions:
            known = any(each.call == other.call for other in wanted)
            if isinstance(event, each.event_class) and not known:
                wanted.append(each)
        return wanted

    async def dispatch(self, event: DomainEvent) -> tuple[list[Failure], int, int]:
        """Run all handlers at once, and those that fail again. What failed to the end, the errors
        on the way, and how often handlers were tried."""
        pending, lost, errors, tries = self.subscriptions_for(event), list[Failure](), 0, 0
        while True:
            tries += 1
            failures = await _run_all(pending, event)
            errors += len(failures)
            pending = []
            for each in failures:
                if self._may_be_tried_again(each.error, tries):
                    pending.append(each.subscription)
                else:
                    lost.append(each)
            if not pending:
                return lost, errors, tries
            await asyncio.sleep(self._retry.delay_seconds(tries))

    def _may_be_tried_again(self, error: BaseException, tries: int) -> bool:
        curable = not isinstance(error, Exception) or self._retry.retry_on(error)
        return curable and tries < self._retry.max_tries


async def _run_all(subscriptions: Sequence[Subscription], event: DomainEvent) -> list[Failure]:
    results = await asyncio.gather(
        *(each.run(event) for each in subscriptions), return_exceptions=True
    )
    failures = [
        Failure(each, result)
        for each, result in zip(subscriptions, results, strict=True)
        if isinstance(result, BaseException)
    ]
    for failure in failures:
        said, shown = masked(str(failure), event), without_secrets(failure.error, event)
        _log.warning("Handler failed on %s: %s", event, said, exc_info=shown)
    return failures


def _callable(handler: AnyEventHandler) -> Callable[[DomainEvent], Awaitable[None] | None]:
    call = getattr(handler, "handle", handler)
    if isinstance(handler, type) or not callable(call):
        raise TypeError(f"A handler is a function or an object with `handle`, not {handler!r}.")
    function: Callable[[DomainEvent], Awaitable[None] | None] = call
    return function
