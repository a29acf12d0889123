"""A projection whose methods say which event they are for."""

from collections.abc import Sequence
from typing import Any, ClassVar

from eventsource.events.base import DomainEvent
from eventsource.handlers import HandlerInfo, HandlerRegistry
from eventsource.projections.base import CheckpointTrackingProjection


class DeclarativeProjection(CheckpointTrackingProjection):
    """Write one `async` method `(self, event)` with `@handles(EventClass)` for each event.

    Events without a handler are passed over. The most specific handler of an event gets it.
    """

    _handlers: ClassVar[HandlerRegistry]
    _handled: ClassVar[tuple[type[DomainEvent], ...]]
    _handlers_take_context: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handlers = HandlerRegistry(
            cls, is_async=True, may_take_context=cls._handlers_take_context
        )
        cls._handled = tuple(cls._handlers.event_classes)

    def subscribed_to(self) -> Sequence[type[DomainEvent]]:
        return self._handled

    async def _process_event(self, event: DomainEvent) -> None:
        if handler := self._find_handler(event):
            await handler.call(self, event)

    def _find_handler(self, event: DomainEvent) -> HandlerInfo | None:
        return self._handlers.find(event)
