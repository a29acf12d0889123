"""What the library calls with events: the shapes of handlers and subscribers."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from eventsource.events.base import DomainEvent


@runtime_checkable
class EventHandler(Protocol):
    """An object whose `handle` is given one event after the other; it may be async or not."""

    def handle(self, event: Any) -> Awaitable[None] | None: ...


EventHandlerFunc = Callable[[Any], Awaitable[None] | None]
AnyEventHandler = EventHandler | EventHandlerFunc


class EventSubscriber(ABC):
    """A handler that knows which events it wants."""

    @abstractmethod
    def subscribed_to(self) -> Sequence[type[DomainEvent]]:
        """The event classes to get; a base class stands for all its subclasses."""

    @abstractmethod
    async def handle(self, event: DomainEvent) -> None: ...
