"""One subscription as its owner sees it: a state, counters, and how to pause and stop it."""

import asyncio
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from eventsource.exceptions import SubscriptionError, SubscriptionStateError
from eventsource.subscriptions.config import SubscriptionConfig
from eventsource.types import Position


class SubscriptionState(Enum):
    STARTING = "starting"  #: not begun yet, or waiting to be the leader
    CATCHING_UP = "catching_up"  #: reading what was stored before
    LIVE = "live"  #: has come to the end of the log, and follows it
    PAUSED = "paused"
    STOPPED = "stopped"
    ERROR = "error"  #: an event failed for good; `last_error` says how


_S = SubscriptionState

_MOVES = {
    _S.STARTING: {_S.CATCHING_UP, _S.PAUSED, _S.STOPPED, _S.ERROR},
    _S.CATCHING_UP: {_S.LIVE, _S.PAUSED, _S.STOPPED, _S.ERROR},
    _S.LIVE: {_S.PAUSED, _S.STOPPED, _S.ERROR},
    _S.PAUSED: {_S.CATCHING_UP, _S.STOPPED, _S.ERROR},
    _S.STOPPED: {_S.STARTING},
    _S.ERROR: {_S.STARTING, _S.STOPPED},
}


class Subscription:
    """Made by `SubscriptionManager.subscribe`. For the eyes of its event loop alone.

    `position` is how far the log has been read for it: every event up to there was handled, filed
    as a dead letter, or is of no interest. `events_processed` counts handled events.
    """

    def __init__(self, name: str, subscriber: Any, config: SubscriptionConfig) -> None:
        self.name = name
        self.subscriber = subscriber
        self.config = config
        self.state = SubscriptionState.STOPPED
        self.position: Position | None = None
        self.events_processed = 0
        self.events_failed = 0
        self.dead_letters = 0
        self.last_error: BaseException | None = None
        self.last_processed_at: datetime | None = None
        self.trouble: BaseException | None = None  #: why it waits for the database just now
        self._changed = asyncio.Event()
        self._woken = asyncio.Event()
        self._halted = asyncio.Event()
        self._wants_pause = False
        self._wants_stop = False

    @property
    def is_running(self) -> bool:
        return self.state not in (SubscriptionState.STOPPED, SubscriptionState.ERROR)

    def move_to(self, state: SubscriptionState) -> None:
        """SubscriptionStateError for a move that makes no sense. The same state is no move."""
        if state is self.state:
            return
        if state not in _MOVES[self.state]:
            raise SubscriptionStateError(
                f"Subscription {self.name} cannot go from {self.state.value} to {state.value}."
            )
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, *states: SubscriptionState, timeout_seconds: float = 30.0) -> None:
        """Return once it is in one of these states. TimeoutError if it is not in time, and
        SubscriptionError, with the cause, if it stops at an error before."""
        async with asyncio.timeout(timeout_seconds):
            while self.state not in states:
                if self.state is SubscriptionState.ERROR:
                    raise SubscriptionError(
                        f"Subscription {self.name} has stopped: {self.last_error}"
                    ) from self.last_error
                await self._changed.wait()

    def count(self, processed: int) -> None:
        self.events_processed += processed
        self.last_processed_at = datetime.now(UTC)

    # What follows is how the manager and the runner talk to each other.

    def begin(self) -> None:
        self.ask(pause=False, stop=False)
        self.last_error = self.trouble = None
        self.move_to(SubscriptionState.STARTING)

    def ask(self, *, pause: bool | None = None, stop: bool | None = None) -> None:
        self._wants_pause = self._wants_pause if pause is None else pause
        self._wants_stop = self._wants_stop if stop is None else stop
        if self.must_halt:
            self._halted.set()
        else:
            self._halted.clear()
        self.wake()

    @property
    def must_stop(self) -> bool:
        return self._wants_stop

    @property
    def must_halt(self) -> bool:
        """Finish the event at hand and no more."""
        return self._wants_stop or self._wants_pause

    def wake(self) -> None:
        self._woken.set()

    def is_awake(self) -> None:
        """Whatever rings from here on is news."""
        self._woken.clear()

    async def is_woken_within(self, seconds: float) -> bool:
        return await _is_set_within(self._woken, seconds)

    async def has_to_halt_within(self, seconds: float) -> bool:
        return await _is_set_within(self._halted, seconds)

    async def while_paused(self) -> None:
        """Stay paused for as long as somebody wants that."""
        while self._wants_pause and not self._wants_stop:
            self.move_to(SubscriptionState.PAUSED)
            self._woken.clear()
            await self._woken.wait()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
