"""What the buses with a broker share: connecting, and consuming until told to stop."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from eventsource.background import log_failure
from eventsource.bus.interface import EventBus
from eventsource.bus.message import Message
from eventsource.events.base import DomainEvent
from eventsource.exceptions import EventBusConnectionError, EventBusError

_log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RECONNECT_SECONDS = 0.1
_LAST_RECONNECT_SECONDS = 10.0


class BrokerEventBus(EventBus):
    """`async with bus:` connects and shuts down; publishing and consuming connect by themselves.

    A bus belongs to the event loop that it was first used on.
    """

    _broker: ClassVar[str]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connecting = asyncio.Lock()
        self._consumer: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    @abstractmethod
    def is_connected(self) -> bool: ...

    @abstractmethod
    async def _open(self) -> None:
        """Connect, and leave nothing open on failure."""

    @abstractmethod
    async def _close(self) -> None: ...

    @abstractmethod
    async def _consume(self) -> None:
        """Handle messages until `self._stopping`. Sets `self._ready` once the broker keeps
        messages for this consumer's group."""

    @property
    @abstractmethod
    def _connection_errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises, besides OSError."""

    @contextmanager
    def _driver_errors(self) -> Iterator[None]:
        """Turns the driver's errors into ours."""
        errors: tuple[type[Exception], ...] = (OSError, *self._connection_errors)
        try:
            yield
        except EventBusError:
            raise
        except errors as error:
            told = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise EventBusConnectionError(f"{self._broker}: {told}") from error

    async def connect(self) -> None:
        """EventBusConnectionError if the broker does not answer. Does nothing when connected."""
        async with self._connecting:
            if not self.is_connected:
                with self._driver_errors():
                    await self._open()

    async def disconnect(self) -> None:
        async with self._connecting:
            await self._close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.shutdown()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        """A block that needs the broker, and lets no error of the driver out."""
        await self.connect()
        with self._driver_errors():
            yield

    async def _publish(self, events: Sequence[DomainEvent], messages: Sequence[Message]) -> None:
        async with self._connected():
            await self._send(messages)

    @abstractmethod
    async def _send(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed all of them."""

    @property
    def is_consuming(self) -> bool:
        return self._consumer is not None

    async def start_consuming(self) -> None:
        """Handle this group's messages, until `stop_consuming`.

        EventBusConnectionError if the broker does not answer at the start; if it goes away later,
        the bus tries to come back for as long as it takes.
        """
        task = await self.start_consuming_in_background()
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not task.cancelled():
            task.result()

    async def start_consuming_in_background(self) -> asyncio.Task[None]:
        """The task that does it, once the broker keeps messages for this group."""
        if self._consumer is not None:
            raise EventBusError("This bus is consuming already. Make a second one to consume more.")
        self._ready.clear()
        self._stopping.clear()
        self._consumer = task = asyncio.create_task(self._consume_for_ever())
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            ready.cancel()
        if task.done():
            task.result()
        task.add_done_callback(log_failure(_log, "A bus has stopped consuming: %r"))
        return task

    async def stop_consuming(self, timeout_seconds: float = 30.0) -> None:
        """Finish the message at hand and stop. A handler that takes longer than `timeout_seconds`
        is cancelled, and the message is delivered again. Not to be called from a handler."""
        self._stopping.set()
        if task := self._consumer:
            await asyncio.wait({task}, timeout=timeout_seconds)
            if not task.done():
                _log.warning(
                    "The handlers took longer than %g s to finish: cancelled.", timeout_seconds
                )
                task.cancel()
                await asyncio.wait({task})

    async def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Stop consuming, at most `timeout_seconds` from now, and disconnect."""
        try:
            await self.stop_consuming(timeout_seconds)
        finally:
            await self.disconnect()

    async def _consume_for_ever(self) -> None:
        delay, came_up = _FIRST_RECONNECT_SECONDS, False
        try:
            while not self._stopping.is_set():
                self._ready.clear()
                try:
                    async with self._connected():
                        await self._consume()
                except EventBusConnectionError as error:
                    if self._ready.is_set():
                        delay, came_up = _FIRST_RECONNECT_SECONDS, True
                    if not came_up:
                        raise
                    _log.warning("Consuming again in %g s: %s", delay, error)
                    self.stats.reconnections += 1
                    await self._unless_stopping(asyncio.sleep(delay))
                    delay = min(delay * 2, _LAST_RECONNECT_SECONDS)
        finally:
            self._consumer = None

    async def _unless_stopping(self, work: Awaitable[T]) -> T | None:
        """What `work` gives; None, with it cancelled, if the bus is to stop before."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)


async def in_order_per_aggregate(
    messages: Sequence[Message], send: Callable[[Message], Awaitable[object]]
) -> None:
    """Send one message after the other within an aggregate, and aggregates side by side.

    A message that fails holds back the later ones of its aggregate: whoever repeats them all
    repeats them in order. The first error is raised once nothing is under way.
    """

    async def send_all(group: Sequence[Message]) -> None:
        for message in group:
            await send(message)

    groups: dict[str, list[Message]] = {}
    for message in messages:
        groups.setdefault(message.headers["aggregate_id"], []).append(message)
    results = await asyncio.gather(*map(send_all, groups.values()), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def text_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Headers of whatever a foreign sender put there, as text."""
    return {_text(name): _text(value) for name, value in headers.items()}


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
