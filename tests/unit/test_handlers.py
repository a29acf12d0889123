"""`@handles` says which method is for which event, and errors are found at class definition."""

from typing import Any

import pytest

from eventsource import DomainEvent
from eventsource.exceptions import DuplicateHandlerError, HandlerSignatureError
from eventsource.handlers import HandlerRegistry, get_handled_event_type, handles


class Placed(DomainEvent):
    aggregate_type: str = "Order"


class PlacedByPhone(Placed):
    pass


class Shipped(DomainEvent):
    aggregate_type: str = "Order"


class Base:
    @handles(Placed)
    def on_placed(self, event: Placed) -> str:
        return f"base {event.event_type}"

    @handles(Shipped)
    def on_shipped(self, event: Shipped) -> str:
        return "shipped"


def called(owner: Any, event: DomainEvent) -> Any:
    handler = HandlerRegistry(type(owner), is_async=False).find(event)
    return handler and handler.call(owner, event)


def event_of(cls: type[DomainEvent]) -> DomainEvent:
    return cls(aggregate_id="11111111-1111-4111-8111-111111111111")


def test_a_handler_gets_its_event() -> None:
    assert called(Base(), event_of(Shipped)) == "shipped"
    assert get_handled_event_type(Base.on_shipped) is Shipped
    assert HandlerRegistry(Base, is_async=False).event_classes == [Placed, Shipped]


def test_a_subclass_of_a_handled_event_goes_to_the_nearest_handler() -> None:
    class Special(Base):
        @handles(PlacedByPhone)
        def on_phone(self, event: PlacedByPhone) -> str:
            return "phone"

    assert called(Base(), event_of(PlacedByPhone)) == "base PlacedByPhone"
    assert called(Special(), event_of(PlacedByPhone)) == "phone"
    assert called(Special(), event_of(Placed)) == "base Placed"


def test_an_event_without_a_handler_has_none() -> None:
    class Other(DomainEvent):
        aggregate_type: str = "Order"

    assert HandlerRegistry(Base, is_async=False).find(event_of(Other)) is None


def test_an_overriding_method_is_the_handler() -> None:
    class Quiet(Base):
        def on_shipped(self, event: Shipped) -> str:
            return "quiet"

    assert called(Quiet(), event_of(Shipped)) == "quiet"


def test_a_handler_may_take_a_context_where_that_is_allowed() -> None:
    class Projection:
        @handles(Placed)
        async def on_placed(self, transaction: object, event: Placed) -> object:
            return transaction

    registry = HandlerRegistry(Projection, is_async=True, may_take_context=True)
    handler = registry.find(event_of(Placed))
    assert handler is not None
    assert handler.takes_context
    with pytest.raises(HandlerSignatureError, match=r"must take \(event\) after self"):
        HandlerRegistry(Projection, is_async=True)


def test_two_handlers_for_one_event_are_refused() -> None:
    class Twice(Base):
        @handles(Placed)
        def also_placed(self, event: Placed) -> None: ...

    with pytest.raises(DuplicateHandlerError, match="on_placed and also_placed"):
        HandlerRegistry(Twice, is_async=False)


async def _async(self: object, event: Placed) -> None: ...
def _nothing(self: object) -> None: ...
def _three(self: object, a: object, b: object, c: object) -> None: ...
def _keyword(self: object, *, event: Placed) -> None: ...
def _contradicts(self: object, event: Shipped) -> None: ...


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (_async, "must be 'def'"),
        (_nothing, "must take"),
        (_three, "must take"),
        (_keyword, "must take"),
        (_contradicts, "is for Placed, but says Shipped"),
        (staticmethod(_nothing), "is no plain method"),
    ],
)
def test_a_method_that_cannot_be_a_handler_is_refused(method: Any, problem: str) -> None:
    owner = type("Owner", (), {"on_placed": handles(Placed)(method)})
    with pytest.raises(HandlerSignatureError, match=problem):
        HandlerRegistry(owner, is_async=False)


def test_a_handler_may_name_a_class_that_only_type_checkers_see() -> None:
    def on_placed(self: object, event: "ImportedForTyping") -> str:  # noqa: F821
        return "placed"

    owner = type("Owner", (), {"on_placed": handles(Placed)(on_placed)})
    assert called(owner(), event_of(Placed)) == "placed"


def test_a_handler_that_is_not_async_is_refused_where_it_must_be() -> None:
    with pytest.raises(HandlerSignatureError, match="must be 'async def'"):
        HandlerRegistry(Base, is_async=True)


def test_handles_wants_an_event_class() -> None:
    with pytest.raises(TypeError, match="event class"):
        handles("Placed")  # type: ignore[arg-type]
