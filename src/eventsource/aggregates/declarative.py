"""`DeclarativeAggregate`: one method for each event, found by `@handles`."""

import logging
from typing import Any, ClassVar, Literal, get_args

from eventsource.aggregates.base import AggregateRoot, TState
from eventsource.events.base import DomainEvent
from eventsource.exceptions import UnhandledEventError
from eventsource.handlers import HandlerRegistry

_log = logging.getLogger(__name__)

_Unhandled = Literal["error", "warn", "ignore"]


class DeclarativeAggregate(AggregateRoot[TState]):
    """Write a method `(self, event)` with `@handles(EventClass)` for each event; like `_apply`,
    it assigns `self._state` and decides nothing.

    Handlers are checked when the class is defined. An event without one raises
    UnhandledEventError, because a state that skipped it would be wrong; "warn" and "ignore" are
    for events that carry nothing for the state.
    """

    unregistered_event_handling: ClassVar[_Unhandled] = "error"
    _handlers: ClassVar[HandlerRegistry]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handlers = HandlerRegistry(cls, is_async=False)
        if cls.unregistered_event_handling not in get_args(_Unhandled):
            raise ValueError(
                f"{cls.__qualname__}.unregistered_event_handling is "
                f"{cls.unregistered_event_handling!r}; it may be {', '.join(get_args(_Unhandled))}."
            )

    def _get_initial_state(self) -> TState:
        raise NotImplementedError(f"{type(self).__qualname__} defines no _get_initial_state().")

    def _apply(self, event: DomainEvent) -> None:
        if handler := self._handlers.find(event):
            handler.call(self, event)
        elif self.unregistered_event_handling != "ignore":
            handled = [event_class.__name__ for event_class in self._handlers.event_classes]
            error = UnhandledEventError(type(self), event.event_type, handled)
            if self.unregistered_event_handling == "error":
                raise error
            _log.warning("%s Its state does not change.", error)
