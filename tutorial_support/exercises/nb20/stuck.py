"""Exercise 20.1: which readers are stuck, and which are only slow or have nothing to do."""

from collections.abc import Callable, Collection
from typing import Any
from uuid import uuid4

from eventsource import (
    CheckpointTrackingProjection,
    DomainEvent,
    EventRegistry,
    InMemoryCheckpointRepository,
    InMemoryEventStore,
)
from eventsource.projections import RetryPolicy
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

REGISTRY = EventRegistry()


class ExerciseSale(DomainEvent):
    aggregate_type: str = "ExerciseTill"


REGISTRY.register(ExerciseSale)


class _Reader(CheckpointTrackingProjection):
    """Fails at the event of this number and at all later ones."""

    def __init__(self, name: str, checkpoints: InMemoryCheckpointRepository, fails_at: int) -> None:
        super().__init__(checkpoints, retry_policy=RetryPolicy(max_tries=1))
        self.projection_name, self.fails_at = name, fails_at

    def subscribed_to(self) -> list[type[DomainEvent]]:
        return [ExerciseSale]

    async def _process_event(self, event: DomainEvent) -> None:
        if event.aggregate_version >= self.fails_at:
            raise ValueError("a poison event")


async def _check(stuck_readers: Callable[..., Collection[str]]) -> None:
    store, checkpoints = InMemoryEventStore(event_registry=REGISTRY), InMemoryCheckpointRepository()
    till, readers = uuid4(), dict[str, _Reader]()

    async def sell(count: int, after: int) -> None:
        events = [
            ExerciseSale(aggregate_id=till, aggregate_version=after + n)
            for n in range(1, count + 1)
        ]
        await store.append_events(till, "ExerciseTill", events, after)

    async def read(name: str, until: int) -> None:
        reader = readers.setdefault(name, _Reader(name, checkpoints, until + 1))
        reader.fails_at = until + 1
        try:
            await reader.catch_up(store)
        except ValueError:
            return

    async def ask(expected: set[str], earlier: list[Any], what: str, hint: int) -> None:
        later, end = await checkpoints.get_all_checkpoints(), await store.get_feed_end()
        seen = {*stuck_readers(earlier, later, end)}
        if seen != expected:
            raise NotYet(
                seen=f"{what}, and stuck_readers says {sorted(seen) or 'nobody'}",
                expected=f"{sorted(expected) or 'nobody'}",
                hint=3 if "archive" in seen else hint,
            )

    await sell(10, 0)
    for name, until in {"archive": 10, "mails": 4, "search": 5}.items():
        await read(name, until)
    earlier = await checkpoints.get_all_checkpoints()
    await ask({"mails", "search"}, earlier, "mails and search stand still with work to do", 1)
    await read("search", 7)
    await ask({"mails"}, earlier, "search moved on, slowly", 2)
    await read("mails", 10)
    await ask(set(), earlier, "mails came to the end", 3)
    await read("newcomer", 2)
    await ask(set(), earlier, "a reader is new since the first look", 4)
    earlier = await checkpoints.get_all_checkpoints()
    await read("accounts", 2)
    await ask({"newcomer", "search"}, earlier, "the second look begins with a new reader", 1)


STUCK = Exercise(
    id="20.1",
    title="An alert for a stuck projection",
    task="""
A lag of 10,000 may be a reader that is catching up nicely, and a lag of 3 one that has been dead
since Friday. Tell them apart. You get the checkpoints of two looks, a minute apart, as
`get_all_checkpoints()` gave them (`projection_name`, `position`), and the end of the feed at the
second look. Return the names of the readers that have work to do and have not moved.
""",
    answer="stuck_readers",
    stub='''
def stuck_readers(earlier, later, end):
    """The names of the readers to alert on."""
    ...
''',
    hints=(
        """
A reader is stuck if its `position` is the same at both looks. Put the earlier positions into a
dictionary by `projection_name`.
""",
        """
A reader that moves is not stuck, however far behind it is. Compare its two positions with each
other, and not with the end.
""",
        """
A reader that stands at `end` has nothing to do: it rests. Ask for `position < end` as well.
""",
        """
A reader may be in `later` only: it has moved since nothing. `dictionary.get(name)` gives None for
it.
""",
    ),
    solutions=(
        """
def stuck_readers(earlier, later, end):
    before = {reader.projection_name: reader.position for reader in earlier}
    return [
        reader.projection_name
        for reader in later
        if reader.position < end and before.get(reader.projection_name) == reader.position
    ]
""",
        """
def stuck_readers(earlier, later, end):
    def places(readers):
        return {(r.projection_name, r.position) for r in readers if r.position != end}

    return {name for name, _ in places(earlier) & places(later)}
""",
    ),
    wrong=(
        Wrong(
            """
def stuck_readers(earlier, later, end):
    return [r.projection_name for r in later if end.sequence - r.position.sequence > 5]
""",
            hint=1,
        ),
        Wrong(
            """
def stuck_readers(earlier, later, end):
    return [r.projection_name for r in later if r.position < end]
""",
            hint=2,
        ),
        Wrong(
            """
def stuck_readers(earlier, later, end):
    before = {r.projection_name: r.position for r in earlier}
    return [r.projection_name for r in later if before.get(r.projection_name) == r.position]
""",
            hint=3,
        ),
        Wrong(
            """
def stuck_readers(earlier, later, end):
    before = {r.projection_name: r.position for r in earlier}
    return [
        r.projection_name
        for r in later
        if r.position < end and before.get(r.projection_name, r.position) == r.position
    ]
""",
            hint=4,
        ),
        Wrong(
            """
def stuck_readers(earlier, later, end):
    return [
        after.projection_name
        for before, after in zip(earlier, later)
        if before.position == after.position < end
    ]
""",
            hint=1,
        ),
    ),
    check=_check,
)
