"""Tasks that run while nobody awaits them."""

import asyncio
import logging
from collections.abc import Callable


def log_failure(log: logging.Logger, message: str) -> Callable[[asyncio.Task[None]], None]:
    """For `add_done_callback`: an error that ends the task is logged at once, and not only raised
    when somebody awaits the task. `message` has a place for the error."""

    def told(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error(message, error)

    return told
