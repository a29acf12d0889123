"""How a handler's error is told from others. `RetryPolicy` is in `eventsource.types`."""

from collections.abc import Iterator
from contextlib import contextmanager

from eventsource.types import RetryPolicy

__all__ = ["HandlerFailedError", "RetryPolicy", "raising_the_handlers_error"]


class HandlerFailedError(Exception):
    """Carries a handler's error past the code that must not take other errors for one."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def raising_the_handlers_error() -> Iterator[None]:
    try:
        yield
    except HandlerFailedError as failure:
        raise failure.error from failure.error.__cause__
