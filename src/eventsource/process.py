"""Process managers: work that takes many steps, several aggregates and some patience.

A process has a stream of its own, which remembers how far it has come. Its manager reads the feed:
events of others move the process on, and the process's own events cause commands to others. If a
step fails, the commands that undo the earlier steps are caused in the same way. The pattern is
from Hohpe and Woolf, "Enterprise Integration Patterns" (2003); undoing by further steps is the saga
of Garcia-Molina and Salem, "Sagas" (1987).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from operator import methodcaller
from typing import Any, TypeVar, Unpack

from pydantic import BaseModel

from eventsource.aggregates.declarative import DeclarativeAggregate
from eventsource.aggregates.repository import AggregateRepository
from eventsource.events.base import DomainEvent
from eventsource.events.timeouts import (
    ProcessTimedOut,
    ProcessTimeoutCleared,
    ProcessTimeoutSet,
    TimeoutEvent,
)
from eventsource.handlers import handles
from eventsource.projections.base import ProjectionOptions
from eventsource.projections.declarative import DeclarativeProjection
from eventsource.repositories.checkpoint import CheckpointRepository
from eventsource.repositories.dlq import DLQRepository
from eventsource.repositories.timeouts import Timeout, TimeoutRepository
from eventsource.retries import RetryPolicy
from eventsource.stores.interface import EventStore
from eventsource.types import Position


class ProcessState(BaseModel):
    """Subclass it, and change it with `model_copy(update=...)`, which keeps the time-outs."""

    timeouts: dict[str, ProcessTimeoutSet] = {}  #: those that are set, by name


TProcessState = TypeVar("TProcessState", bound=ProcessState)


class Process(DeclarativeAggregate[TProcessState]):
    """The aggregate of a process. Set `aggregate_type`, write `_get_initial_state`, commands, and
    handlers for its own events. Time-outs need none, and may have one."""

    def set_timeout(self, name: str, due_at: datetime) -> None:
        """Let the process hear of `due_at`, which is aware, as a ProcessTimedOut of this name.

        Setting it again replaces it.
        """
        self._record(ProcessTimeoutSet, name=name, due_at=due_at)

    def clear_timeout(self, name: str) -> None:
        """What it waited for has happened. No error if it is not set."""
        if name in self._timeouts():
            self._record(ProcessTimeoutCleared, name=name)

    def expire(self, timeout: Timeout) -> None:
        """For the manager. Nothing happens unless that very time-out is still set."""
        was_set = self._timeouts().get(timeout.name)
        if was_set is not None and was_set.event_id == timeout.event_id and not self.is_closed:
            event = self._new(ProcessTimedOut, name=timeout.name, due_at=was_set.due_at)
            self.apply_event(event.with_causation(was_set))

    def _timeouts(self) -> dict[str, ProcessTimeoutSet]:
        return self._current().timeouts

    def _current(self) -> TProcessState:
        return self._get_initial_state() if self._state is None else self._state

    def _new(self, event_class: type[TimeoutEvent], **fields: Any) -> TimeoutEvent:
        return event_class(
            aggregate_id=self.aggregate_id,
            aggregate_type=self.aggregate_type,
            aggregate_version=self.get_next_version(),
            **fields,
        )

    def _record(self, event_class: type[TimeoutEvent], **fields: Any) -> None:
        self.apply_event(self._new(event_class, **fields))

    def _apply(self, event: DomainEvent) -> None:
        if isinstance(event, TimeoutEvent):
            set_now = {name: one for name, one in self._timeouts().items() if name != event.name}
            if isinstance(event, ProcessTimeoutSet):
                set_now[event.name] = event
            self._state = self._current().model_copy(update={"timeouts": set_now})
            if self._handlers.find(event) is None:
                return
        super()._apply(event)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ProcessManager(DeclarativeProjection):
    """Write one `async` method `(self, event)` with `@handles(EventClass)` for each event that
    moves a process, and for each of the process's own that causes a command. Start it like a
    projection, with `catch_up` or `follow`; both also deliver the time-outs that are due.

    It may be killed anywhere, and run more than once: an event that was handled halfway is handled
    again. So let a handler act through `repository.update(..., cause=event)`, which does nothing
    the second time. What else a handler does must bear repetition too. Decide by what the event
    says and by the aggregate that the command gets, not by a read model that may have moved on.

    ProcessTimedOut comes as an event of the process, whose handlers are called for it. It is never
    early; how late it is depends on how often the manager looks.
    """

    def __init__(
        self,
        processes: AggregateRepository[Any],
        timeouts: TimeoutRepository,
        checkpoint_repo: CheckpointRepository | None = None,
        dlq_repo: DLQRepository | None = None,
        retry_policy: RetryPolicy | None = None,
        *,
        clock: Callable[[], datetime] = _utc_now,
        **options: Unpack[ProjectionOptions],
    ) -> None:
        super().__init__(checkpoint_repo, dlq_repo, retry_policy, **options)
        self.processes = processes
        self._pending = timeouts
        self._clock = clock

    async def deliver_timeouts(self) -> int:
        """Append a ProcessTimedOut to each process whose time has come; how many were due.

        Only needed by itself where something else feeds the manager its events.
        """
        due = await self._pending.get_due(self.processes.aggregate_type, self._clock())
        for one in due:
            command = methodcaller("expire", one)
            await self.processes.update(one.process_id, command, create=True)
            # Removed last: killed before, the process is asked again, and knows that it expired.
            await self._pending.remove(one.event_id)
        return len(due)

    async def catch_up(
        self, event_store: EventStore, *, batch_size: int = 500, until: Position | None = None
    ) -> int:
        done = await super().catch_up(event_store, batch_size=batch_size, until=until)
        while await self.deliver_timeouts():
            done += await super().catch_up(event_store, batch_size=batch_size, until=until)
        return done

    def _is_for_us(self, event: DomainEvent) -> bool:
        foreign = event.aggregate_type != self.processes.aggregate_type
        return super()._is_for_us(event) and not (isinstance(event, TimeoutEvent) and foreign)

    @handles(ProcessTimeoutSet)
    async def _remember(self, event: ProcessTimeoutSet) -> None:
        await self._pending.add(
            Timeout(
                event.event_id, event.aggregate_type, event.aggregate_id, event.name, event.due_at
            )
        )
