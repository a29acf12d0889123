"""An aggregate with one method for each event."""

import logging
from uuid import uuid4

import pytest
from pydantic import BaseModel

from eventsource import (
    AggregateRepository,
    DeclarativeAggregate,
    DomainEvent,
    DuplicateHandlerError,
    HandlerSignatureError,
    InMemoryEventStore,
    UnhandledEventError,
    handles,
    register_event,
)


@register_event
class TicketOpened(DomainEvent):
    aggregate_type: str = "Ticket"
    title: str = "printer on fire"


@register_event
class TicketViewed(DomainEvent):
    aggregate_type: str = "Ticket"


class TicketState(BaseModel):
    title: str


class Ticket(DeclarativeAggregate[TicketState]):
    aggregate_type = "Ticket"

    @handles(TicketOpened)
    def on_opened(self, event: TicketOpened) -> None:
        self._state = TicketState(title=event.title)

    def record(self, event_class: type[DomainEvent]) -> None:
        self.apply_event(
            event_class(aggregate_id=self.aggregate_id, aggregate_version=self.get_next_version())
        )


class Lenient(Ticket):
    unregistered_event_handling = "ignore"


class Warned(Ticket):
    unregistered_event_handling = "warn"


async def test_it_is_saved_and_loaded_like_any_aggregate() -> None:
    tickets = AggregateRepository(InMemoryEventStore(), Ticket)
    ticket = tickets.create_new(uuid4())
    assert ticket.state is None
    ticket.record(TicketOpened)
    await tickets.save(ticket)
    assert (await tickets.load(ticket.aggregate_id)).state == TicketState(title="printer on fire")


def test_an_event_without_a_handler_is_refused_and_changes_nothing() -> None:
    ticket = Ticket(uuid4())
    ticket.record(TicketOpened)
    with pytest.raises(UnhandledEventError, match="no handler for TicketViewed") as error:
        ticket.record(TicketViewed)
    assert error.value.handled == ["TicketOpened"]
    assert (ticket.version, len(ticket.uncommitted_events)) == (1, 1)


def test_an_event_class_that_was_defined_again_is_told_apart() -> None:
    newer = type("TicketOpened", (DomainEvent,), {"__module__": __name__})
    event = newer(aggregate_id=uuid4(), aggregate_type="Ticket")
    with pytest.raises(UnhandledEventError, match="older class of that name: define Ticket again"):
        Ticket(event.aggregate_id).apply_event(event)


@pytest.mark.parametrize("kind", [Lenient, Warned])
def test_it_is_passed_over_on_request(kind: type[Ticket], caplog: pytest.LogCaptureFixture) -> None:
    ticket = kind(uuid4())
    with caplog.at_level(logging.WARNING):
        ticket.record(TicketViewed)
    assert (ticket.version, ticket.state) == (1, None)
    assert ("TicketViewed" in caplog.text) == (kind is Warned)


def test_mistakes_are_found_when_the_class_is_defined() -> None:
    with pytest.raises(HandlerSignatureError, match="on_opened must be 'def'"):

        class Asynchronous(DeclarativeAggregate[TicketState]):
            @handles(TicketOpened)
            async def on_opened(self, event: TicketOpened) -> None: ...

    with pytest.raises(DuplicateHandlerError, match="on_opened and reopened"):

        class Twice(Ticket):
            @handles(TicketOpened)
            def reopened(self, event: TicketOpened) -> None: ...

    with pytest.raises(ValueError, match="may be error, warn, ignore"):

        class Unsure(Ticket):
            unregistered_event_handling = "sometimes"  # type: ignore[assignment]


def test_an_initial_state_is_asked_for_only_when_it_is_used() -> None:
    with pytest.raises(NotImplementedError, match="_get_initial_state"):
        Ticket(uuid4())._get_initial_state()
