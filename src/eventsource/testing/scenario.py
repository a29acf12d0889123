"""Given these events, when this command comes, then these events follow."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar
from uuid import UUID, uuid4

from eventsource.aggregates import AggregateRoot
from eventsource.events.base import DomainEvent

TAggregate = TypeVar("TAggregate", bound=AggregateRoot[Any])


def given(
    aggregate_factory: Callable[[UUID], TAggregate],
    *history: DomainEvent,
    aggregate_id: UUID | None = None,
) -> "Scenario[TAggregate]":
    """An aggregate with this history: `given(Account, opened).when(...).then(...)`.

    Events are numbered in their order. Without events the id is `aggregate_id` or a new one.
    """
    if aggregate_id is None:
        aggregate_id = history[0].aggregate_id if history else uuid4()
    numbered = [event.with_aggregate_version(n) for n, event in enumerate(history, start=1)]
    return Scenario(aggregate_factory, aggregate_id, numbered)


class Scenario(Generic[TAggregate]):
    """`when` runs a command; what follows asserts how it ended."""

    def __init__(
        self,
        factory: Callable[[UUID], TAggregate],
        aggregate_id: UUID,
        history: Sequence[DomainEvent],
    ) -> None:
        self._factory, self._history = factory, history
        self.aggregate = factory(aggregate_id)
        self.aggregate.load_from_history(history)
        self._error: Exception | None = None
        self._was_run = False

    def when(self, command: Callable[[TAggregate], object]) -> Self:
        """Call `command` with the aggregate; `then_raises` looks at what it raised."""
        if self._was_run:
            raise RuntimeError("A scenario has one command. Write another one, or give its events.")
        self._was_run = True
        try:
            answer = command(self.aggregate)
        except Exception as error:  # noqa: BLE001  # every way to the assertions looks at it
            self._error = error
            return self
        if inspect.iscoroutine(answer):
            answer.close()
            raise TypeError("when() takes a plain function; a scenario has nothing to wait for.")
        return self

    def then(self, *expected: DomainEvent) -> Self:
        """These events and no others, in this order; none for a command that changes nothing.

        All fields of your own are compared. Of the fields that every event has, such as
        `actor_id`, those are that you set in the expected event, versions aside.

        It also replays all events: a command that changes state past its events fails here.
        """
        actual = self._new_events()
        same = len(expected) == len(actual) and all(map(_matches, expected, actual))
        if not same:
            raise AssertionError(
                f"Expected:\n{_listed(expected, expected)}\nbut got:\n{_listed(actual, expected)}"
            )
        self._check_replay(actual)
        return self

    def then_state(self, expected: object) -> Self:
        """The state after the command."""
        self._check_replay(self._new_events())
        if self.aggregate.state != expected:
            raise AssertionError(f"Expected state {expected!r}, but got {self.aggregate.state!r}")
        return self

    def then_raises(self, error: type[Exception], match: str = "") -> Self:
        """The command refused with this error, whose message `match` is searched in, and left
        no event behind."""
        self._check_was_run()
        if self._error is None:
            raise AssertionError(
                f"Expected {error.__name__}, but got:\n{_listed(self.aggregate.uncommitted_events)}"
            )
        if not isinstance(self._error, error) or not re.search(match, str(self._error)):
            wanted = f"{error.__name__} matching {match!r}" if match else error.__name__
            raise AssertionError(f"Expected {wanted}, but got {self._error!r}") from self._error
        if left := self.aggregate.uncommitted_events:
            raise AssertionError(f"It raised {error.__name__}, but left behind:\n{_listed(left)}")
        return self

    def _new_events(self) -> list[DomainEvent]:
        self._check_was_run()
        if self._error is not None:
            raise AssertionError(f"The command raised {self._error!r}") from self._error
        return self.aggregate.uncommitted_events

    def _check_was_run(self) -> None:
        if not self._was_run:
            raise RuntimeError("Call when(...) before you say what is to follow.")

    def _check_replay(self, new: Sequence[DomainEvent]) -> None:
        replayed = self._factory(self.aggregate.aggregate_id)
        replayed.load_from_history([*self._history, *new])
        state = self.aggregate.state
        if _compares_by_value(state) and replayed.state != state:
            raise AssertionError(
                f"The command left the state {state!r}, but its events give {replayed.state!r}. "
                "Change state in event handlers alone."
            )


def _compares_by_value(state: object) -> bool:
    return "__eq__" in {name for cls in type(state).__mro__[:-1] for name in vars(cls)}


def _compared(expected: DomainEvent) -> set[str]:
    of_every_event = set(DomainEvent.model_fields)
    own = set(type(expected).model_fields) - of_every_event
    return (own | expected.model_fields_set | {"aggregate_id"}) - {"aggregate_version"}


def _matches(expected: DomainEvent, actual: DomainEvent) -> bool:
    return type(expected) is type(actual) and all(
        getattr(expected, name) == getattr(actual, name) for name in _compared(expected)
    )


def _listed(events: Sequence[DomainEvent], like: Sequence[DomainEvent] = ()) -> str:
    lines = []
    for n, event in enumerate(events):
        names = _compared(like[n] if n < len(like) and type(like[n]) is type(event) else event)
        names -= {"event_type", "event_id", "occurred_at"} if not like else set()
        fields = ", ".join(f"{name}={getattr(event, name)!r}" for name in sorted(names))
        lines.append(f"  {event.event_type}({fields})")
    return "\n".join(lines) or "  no events"
