"""`Decider`: an aggregate as three pure functions.

The form is Jérémie Chassaing's, "Functional Event Sourcing Decider" (2021).
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar
from uuid import UUID

from eventsource.aggregates.base import AggregateRoot, TState
from eventsource.events.base import DomainEvent

TCommand = TypeVar("TCommand")


class Decider(AggregateRoot[TState], Generic[TState, TCommand]):
    """Subclasses set `aggregate_type` and write `initial_state`, `decide` and `evolve`, which read
    their arguments and change nothing.

    A repository loads and saves it like any aggregate:
    `await carts.update(cart_id, lambda cart: cart.execute(AddItem(cart_id, "tea")))`.
    """

    def __init__(self, aggregate_id: UUID) -> None:
        super().__init__(aggregate_id)
        self._state: TState = self.initial_state()

    @staticmethod
    @abstractmethod
    def initial_state() -> TState:
        """The state before the first event."""

    @staticmethod
    @abstractmethod
    def decide(command: TCommand, state: TState) -> Iterable[DomainEvent]:
        """The events that follow, in order; none if nothing is to change; an error to refuse.

        Their `aggregate_version` is set by `execute`.
        """

    @staticmethod
    @abstractmethod
    def evolve(state: TState, event: DomainEvent) -> TState:
        """The state after the event."""

    @staticmethod
    def is_terminal(state: TState) -> bool:
        """True once the stream takes no more events."""
        return False

    @property
    def state(self) -> TState:
        return self._state

    @property
    def is_closed(self) -> bool:
        return self.is_terminal(self._state)

    def execute(self, command: TCommand) -> list[DomainEvent]:
        """Decide, and apply what was decided: all of it, or nothing if any of it is refused."""
        before = self._state, self._version, self._next_event_id
        older = len(self._uncommitted_events)
        try:
            for event in list(self.decide(command, self._state)):
                self.apply_event(event.with_aggregate_version(self.get_next_version()))
        except BaseException:
            self._state, self._version, self._next_event_id = before
            del self._uncommitted_events[older:]
            raise
        return self._uncommitted_events[older:]

    def _get_initial_state(self) -> TState:
        return self.initial_state()

    def _apply(self, event: DomainEvent) -> None:
        self._state = self.evolve(self._state, event)
