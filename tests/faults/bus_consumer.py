"""A consumer process for a test to kill: notes each event it begins and each that it finishes.

Arguments: the kind of bus, its URL, the test's name for it, the file for the notes, and the number
of the event whose handler never ends (0 for none).
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

from eventsource import DomainEvent, register_event
from tests.buses import make_bus


@register_event
class MileWalked(DomainEvent):
    aggregate_type: str = "Walk"
    number: int


async def consume(kind: str, url: str, name: str, notes: Path, hang_at: int) -> None:
    bus = make_bus(kind, url, name)

    async def handle(event: MileWalked) -> None:
        with notes.open("a") as file:
            file.write(f"begun {event.number}\n")
        if event.number == hang_at:
            await asyncio.Event().wait()
        with notes.open("a") as file:
            file.write(f"done {event.number}\n")

    bus.subscribe(MileWalked, handle)
    await bus.start_consuming()


def end_with_the_test() -> None:
    sys.stdin.read()  # until the test lets go of it, or dies
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_test, daemon=True).start()
    kind, url, name, notes, hang_at = sys.argv[1:]
    asyncio.run(consume(kind, url, name, Path(notes), int(hang_at)))
