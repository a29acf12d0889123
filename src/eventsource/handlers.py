"""`@handles(EventClass)`: which method of a class is for which event."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from eventsource.events.base import DomainEvent
from eventsource.exceptions import DuplicateHandlerError, HandlerSignatureError

TMethod = TypeVar("TMethod", bound=Callable[..., Any])

_MARK = "__handles_event__"


def handles(event_class: type[DomainEvent]) -> Callable[[TMethod], TMethod]:
    """Mark a method as the handler of this event class and of its subclasses.

    The most specific handler gets an event. A method that overrides a handler is one as well.
    """
    if not (isinstance(event_class, type) and issubclass(event_class, DomainEvent)):
        raise TypeError(f"@handles needs an event class: @handles(OrderPlaced), not {event_class}")

    def mark(method: TMethod) -> TMethod:
        setattr(method, _MARK, event_class)
        return method

    return mark


def get_handled_event_type(method: Callable[..., Any]) -> type[DomainEvent] | None:
    """The event class that `@handles` gave to this method; None without one."""
    event_class: type[DomainEvent] | None = getattr(method, _MARK, None)
    return event_class


@dataclass(frozen=True, slots=True)
class HandlerInfo:
    """One handler of a class: a method `(event)`, or `(context, event)`."""

    event_class: type[DomainEvent]
    name: str
    takes_context: bool

    def call(self, owner: object, event: DomainEvent, context: object = None) -> Any:
        """What the method of `owner` returns: a coroutine if it is async."""
        method = getattr(owner, self.name)
        return method(context, event) if self.takes_context else method(event)


class HandlerRegistry:
    """The handlers of a class. Make one when the class is defined, in `__init_subclass__`.

    Raises DuplicateHandlerError for two methods with one event, and HandlerSignatureError for
    a handler that is not `async` where `is_async` is True or is where it is False, takes other
    arguments than `(event)`, or `(context, event)` with `may_take_context`, or annotates its
    event with another class.
    """

    def __init__(self, owner: type, *, is_async: bool, may_take_context: bool = False) -> None:
        self.owner = owner
        self._handlers: dict[type[DomainEvent], HandlerInfo] = {}
        for name, event_class in _marked_methods(owner).items():
            if other := self._handlers.get(event_class):
                raise DuplicateHandlerError(owner, event_class, other.name, name)
            method = inspect.getattr_static(owner, name)
            problem, takes_context = _check(method, event_class, is_async, may_take_context)
            if problem:
                raise HandlerSignatureError(owner, name, problem)
            self._handlers[event_class] = HandlerInfo(event_class, name, takes_context)

    @property
    def event_classes(self) -> list[type[DomainEvent]]:
        """The classes that have a handler, by name."""
        return sorted(self._handlers, key=lambda event_class: event_class.__name__)

    def find(self, event: DomainEvent) -> HandlerInfo | None:
        """The handler of the event's class, else of its nearest base class, else None."""
        for event_class in type(event).__mro__:
            if handler := self._handlers.get(event_class):
                return handler
        return None


def _marked_methods(owner: type) -> dict[str, type[DomainEvent]]:
    marked: dict[str, type[DomainEvent]] = {}
    for base in reversed(owner.__mro__):
        for name, member in vars(base).items():
            if event_class := get_handled_event_type(member):
                marked[name] = event_class
    return marked


def _check(
    method: Any, event_class: type[DomainEvent], is_async: bool, may_take_context: bool
) -> tuple[str | None, bool]:
    if not inspect.isfunction(method):
        return "is no plain method", False
    if inspect.iscoroutinefunction(method) != is_async:
        return ("must be 'async def'" if is_async else "must be 'def', not 'async def'"), False
    parameters = list(inspect.signature(method).parameters.values())[1:]
    required = [each for each in parameters if each.default is each.empty]
    positional = all(each.kind is each.POSITIONAL_OR_KEYWORD for each in required)
    if not positional or len(required) not in ((1, 2) if may_take_context else (1,)):
        wanted = "(event) or (context, event)" if may_take_context else "(event)"
        return f"must take {wanted} after self", False
    annotation = _annotation(method, required[-1].name)
    if isinstance(annotation, type) and not issubclass(event_class, annotation):
        return f"is for {event_class.__name__}, but says {annotation.__name__}", False
    return None, len(required) == 2


def _annotation(method: Any, name: str) -> Any:
    try:
        return get_type_hints(method).get(name)
    except (NameError, TypeError):  # names that exist for the type checker alone
        return None
