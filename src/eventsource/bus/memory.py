"""A bus within one process: nothing to install, nothing kept when it ends."""

from collections import deque
from collections.abc import Sequence

from eventsource.bus.interface import EventBus
from eventsource.bus.message import DeadLetter, Message
from eventsource.events.base import DomainEvent
from eventsource.observability import Tracer
from eventsource.retries import RetryPolicy

# A handler that fails for ever must not fill the memory.
_MOST_DEAD_LETTERS = 1_000


class InMemoryEventBus(EventBus):
    """`publish` runs the handlers and returns when they are done; it never raises their errors.

    Events of one `publish` are handled one after the other; two calls at the same time are not
    ordered. The latest 1,000 dead letters are kept; each is logged as an error as well.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        super().__init__(retry=retry, tracer=tracer, enable_tracing=enable_tracing)
        self._dead_letters: deque[DeadLetter] = deque(maxlen=_MOST_DEAD_LETTERS)

    async def _publish(self, events: Sequence[DomainEvent], messages: Sequence[Message]) -> None:
        for event, message in zip(events, messages, strict=True):
            if letter := await self._deliver(event, message):
                self._dead_letters.append(letter)

    async def get_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return list(self._dead_letters)[:limit]

    async def _find_dead_letter(self, letter_id: str) -> DeadLetter | None:
        return next((each for each in self._dead_letters if each.id == letter_id), None)

    async def discard_dead_letter(self, letter_id: str) -> bool:
        letter = await self._find_dead_letter(letter_id)
        if letter is not None:
            self._dead_letters.remove(letter)
        return letter is not None

    async def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Nothing is under way outside of `publish`."""
