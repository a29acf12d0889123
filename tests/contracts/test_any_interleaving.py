"""Whatever happens in whatever order, the log is what a model of ten lines says, and
inline = asynchronous = rebuilt = snapshot and tail = full fold."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from eventsource import (
    AggregateRepository,
    DuplicateEventError,
    ExpectedVersion,
    OptimisticLockError,
    ReadDirection,
    ReadOptions,
    Snapshot,
    StoredEvent,
)
from eventsource.aggregates.snapshotting import Snapshotting
from eventsource.projections import rebuild_blue_green, rebuild_in_place
from eventsource.stores import sqlite_log
from tests.fuzzing import EXAMPLES, fuzz
from tests.shops import (
    TILLS,
    Model,
    Shop,
    ShopInMemory,
    ShopOnPostgreSQL,
    ShopOnSQLite,
    SoldInMemory,
    Till,
    event_of,
    kind_of,
    totals_of,
)
from tests.till import ArticleSold
from tutorial_support.lab import eventually

pytestmark = pytest.mark.timeout(600)  # a failure is made small before it is shown

tills = st.integers(0, len(TILLS) - 1)
numbers = st.lists(st.integers(1, 12), max_size=3, unique=True)
counts = st.integers(1, 4)
places = st.integers(0, 15)
sizes = st.sampled_from([1, 2, 7, 500])
limits = st.none() | st.integers(0, 5)
expectations = st.sampled_from(["right", "behind", "ahead", "any", "exists"])


def on_its_loop(method: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Hypothesis calls its machines from outside of any event loop."""

    @wraps(method)
    def step(self: "AnyInterleaving", **drawn: Any) -> None:
        self.runner.run(method(self, **drawn))

    return step


class AnyInterleaving(RuleBasedStateMachine):
    """Does to a shop what hypothesis makes up, and to the model what must come of it."""

    def __init__(self, open_shop: Callable[[], Shop]) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.shop, self.model = open_shop(), Model()
        self.fresh = count(100)
        self.kept: dict[int, Till] = {}  # aggregates that were loaded earlier
        self.snapshots: dict[int, int] = {}  # which version each is of
        self.done = self.furthest = 0  # events that `sold` has seen, in this life and in any

    @initialize(threshold=st.integers(1, 6), mode=st.sampled_from(["sync", "background", "manual"]))
    @on_its_loop
    async def open(self, threshold: int, mode: str) -> None:
        self.threshold = None if mode == "manual" else threshold
        self.options = {"snapshot_threshold": threshold, "snapshot_mode": mode}
        await self._open()

    async def _open(self) -> None:
        await self.shop.open()
        self.full = AggregateRepository(self.shop.store, Till)
        self.repository = AggregateRepository(
            self.shop.store, Till, snapshot_store=self.shop.snapshots, **self.options
        )

    def teardown(self) -> None:
        self.runner.run(self.shop.close())
        self.runner.close()

    # -- appends

    @rule(till=tills, numbers=numbers, expected=expectations)
    @on_its_loop
    async def append(self, till: int, numbers: list[int], expected: str) -> None:
        await self._append(till, numbers, self._version(till, expected))

    @rule(till=tills, again=counts, numbers=numbers, expected=expectations)
    @on_its_loop
    async def repeat(self, till: int, again: int, numbers: list[int], expected: str) -> None:
        """What is stored comes again, alone or with more."""
        both = dict.fromkeys([*self.model.till(till)[-again:], *numbers[1:]])
        await self._append(till, list(both), self._version(till, expected))

    def _version(self, till: int, expected: str) -> int:
        stored = len(self.model.till(till))
        return {
            "right": stored,
            "behind": max(stored - 1, 0),
            "ahead": stored + 1,
            "any": ExpectedVersion.ANY,
            "exists": ExpectedVersion.STREAM_EXISTS,
        }[expected]

    async def _append(self, till: int, numbers: list[int], expected_version: int) -> None:
        events = [event_of(till, number) for number in numbers]
        answer: int | type[Exception]
        try:
            result = await self.shop.store.append_events(
                TILLS[till], "Till", events, expected_version
            )
            answer = result.new_version
        except (DuplicateEventError, OptimisticLockError) as error:
            answer = type(error)
        assert answer == self.model.append(till, numbers, expected_version)

    @rule(till=tills, count=counts)
    @on_its_loop
    async def update(self, till: int, count: int) -> None:
        numbers = [next(self.fresh) for _ in range(count)]
        saved = await self.repository.update(
            TILLS[till], lambda aggregate: aggregate.add(*numbers), create=True
        )
        self.model.append(till, numbers, ExpectedVersion.ANY)
        self._is_as_stored(saved, till)
        self._snapshot_is_due(saved, till, count)

    @rule(till=tills)
    @on_its_loop
    async def keep(self, till: int) -> None:
        self.kept[till] = await self.repository.load_or_create(TILLS[till])

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), count=counts)
    @on_its_loop
    async def save_kept(self, data: st.DataObject, count: int) -> None:
        till = data.draw(st.sampled_from(sorted(self.kept)), "till")
        aggregate, numbers = self.kept.pop(till), [next(self.fresh) for _ in range(count)]
        answer = self.model.append(till, numbers, aggregate.version)
        aggregate.add(*numbers)
        if answer is OptimisticLockError:
            with pytest.raises(OptimisticLockError):
                await self.repository.save(aggregate)
        else:
            await self.repository.save(aggregate)
            self._is_as_stored(aggregate, till)
            self._snapshot_is_due(aggregate, till, count)

    def _is_as_stored(self, aggregate: Till, till: int) -> None:
        state, stored = aggregate.state, self.model.till(till)
        assert (state.numbers if state else []) == stored
        assert aggregate.version == len(stored)

    def _snapshot_is_due(self, saved: Till, till: int, count: int) -> None:
        after = saved.version
        if self.threshold and (after - count) // self.threshold < after // self.threshold:
            self.snapshots[till] = after

    # -- snapshots

    @rule(till=tills)
    @on_its_loop
    async def take_snapshot(self, till: int) -> None:
        aggregate = await self.repository.load_or_create(TILLS[till])
        if aggregate.version:
            await self.repository.create_snapshot(aggregate)
            self.snapshots[till] = aggregate.version

    @rule(till=tills)
    @on_its_loop
    async def lose_snapshot(self, till: int) -> None:
        had_one = self.snapshots.pop(till, None) is not None
        assert await self.shop.snapshots.delete_snapshot(TILLS[till], "Till") == had_one

    # -- reads

    @rule(till=tills, after=places, limit=limits, direction=st.sampled_from(ReadDirection))
    @on_its_loop
    async def read_stream(
        self, till: int, after: int, limit: int | None, direction: ReadDirection
    ) -> None:
        options = ReadOptions(direction, after, limit)
        read = self.shop.log.read_stream(f"{TILLS[till]}:Till", options)
        found = [stored.event.event_id.int async for stored in read]
        assert found == in_order(self.model.till(till)[after:], direction)[:limit]

    @rule(
        after=places,
        limit=limits,
        direction=st.sampled_from(ReadDirection),
        kind=st.sampled_from([None, "ArticleSold", "TillClosed"]),
    )
    @on_its_loop
    async def read_feed(
        self, after: int, limit: int | None, direction: ReadDirection, kind: str | None
    ) -> None:
        stored = await self._feed()
        after = min(after, len(stored))
        start = stored[after - 1].position if after else 0
        kinds = None if kind is None else [kind]
        read = self.shop.log.read_all(ReadOptions(direction, start, limit, event_types=kinds))
        found = [stored.event.event_id.int async for stored in read]
        wanted = [number for _, number in self.model.log[after:]]
        wanted = [one for one in wanted if kind in (None, kind_of(one).__name__)]
        assert found == in_order(wanted, direction)[:limit]

    # -- the asynchronous projection

    @rule(size=sizes, until=places)
    @on_its_loop
    async def follow(self, size: int, until: int) -> None:
        stored = await self._feed()
        until = min(until, len(stored))
        if until:
            await self.shop.sold.catch_up(
                self.shop.log, batch_size=size, until=stored[until - 1].position
            )
            self._followed(max(self.done, until))

    @rule()
    @on_its_loop
    async def reset(self) -> None:
        await self.shop.sold.reset()
        self._followed(0)

    @rule(size=sizes)
    @on_its_loop
    async def rebuild_in_place(self, size: int) -> None:
        await self._feed()
        done = await rebuild_in_place(self.shop.sold, self.shop.log, batch_size=size)
        assert done == len(self.model.log)
        self._followed(done)

    @precondition(lambda self: self.shop.has_blue_green)
    @rule(size=sizes)
    @on_its_loop
    async def rebuild_blue_green(self, size: int) -> None:
        await self._feed()
        await rebuild_blue_green(self.shop.sold, self.shop.log, batch_size=size)

    @precondition(lambda self: self.shop.has_blue_green)
    @rule(size=sizes)
    @on_its_loop
    async def rebuild_inline(self, size: int) -> None:
        await rebuild_blue_green(self.shop.inline, self.shop.log, batch_size=size)

    @rule(till=tills, numbers=numbers, size=sizes)
    @on_its_loop
    async def at_once(self, till: int, numbers: list[int], size: int) -> None:
        shop = self.shop
        rivals = 1 if shop.inline is None else 2  # a database keeps them apart
        work = [
            self._append(till, numbers, ExpectedVersion.ANY),
            *(shop.sold.catch_up(shop.log, batch_size=size) for _ in range(rivals)),
        ]
        if shop.has_blue_green:
            work += [rebuild_blue_green(one, shop.log) for one in (shop.sold, shop.inline)]
        await asyncio.gather(*work)
        await self._feed()
        await shop.sold.catch_up(shop.log)
        self._followed(len(self.model.log))

    def _followed(self, done: int) -> None:
        self.done, self.furthest = done, max(self.furthest, done)

    @rule()
    @on_its_loop
    async def restart(self) -> None:
        await self.shop.close()
        await self._open()

    # -- what must hold after every step

    async def _feed(self) -> list[StoredEvent]:
        """The whole log. Even a transaction of another database may hold it back for a moment."""

        async def read() -> list[StoredEvent] | None:
            stored = [one async for one in self.shop.log.read_all()]
            return stored if len(stored) >= len(self.model.log) else None

        return await eventually(read) if self.model.log else []

    @invariant()
    @on_its_loop
    async def the_log_is_the_models(self) -> None:
        stored = await self._feed()
        model, versions = self.model.log, dict.fromkeys(range(len(TILLS)), 0)
        for one, (till, number) in zip(stored, model, strict=True):
            versions[till] += 1
            assert one.event == event_of(till, number, versions[till])
            assert one.stream_position == versions[till]

    @invariant()
    @on_its_loop
    async def a_snapshot_and_its_tail_are_the_full_fold(self) -> None:
        for repository in (self.repository, self.full):
            for till, till_id in enumerate(TILLS):
                self._is_as_stored(await repository.load_or_create(till_id), till)
        await self.repository.await_pending_snapshots()
        for till, till_id in enumerate(TILLS):
            snapshot = await self.shop.snapshots.get_snapshot(till_id, "Till")
            assert (snapshot and snapshot.version) == self.snapshots.get(till)

    @invariant()
    @on_its_loop
    async def the_projections_hold_what_they_have_seen(self) -> None:
        sold, log = self.shop.sold, self.model.log
        position = await sold.get_position()
        assert position == ((await self._feed())[self.done - 1].position if self.done else None)
        assert await sold.totals() == totals_of(log[: self.done])
        seen = [number for _, number in log[: self.furthest]]
        assert self.shop.mails == [one for one in seen if kind_of(one) is ArticleSold]
        if self.shop.inline is not None:
            assert await self.shop.inline.totals() == totals_of(log)


def in_order(found: list[int], direction: ReadDirection) -> list[int]:
    return found[::-1] if direction is ReadDirection.BACKWARD else found


def run_machine(open_shop: Callable[[], Shop], examples: int, steps: int, **options: Any) -> None:
    run_state_machine_as_test(
        lambda: AnyInterleaving(open_shop),
        settings=settings(
            fuzz,
            max_examples=int(EXAMPLES or examples),
            stateful_step_count=steps,
            report_multiple_bugs=False,
            **options,
        ),
    )


def test_in_memory() -> None:
    run_machine(ShopInMemory, examples=100, steps=30)


def test_on_sqlite(tmp_path: Path) -> None:
    run_machine(lambda: ShopOnSQLite(tmp_path / "shop.db"), examples=25, steps=25)


def test_on_postgresql(database_url: str) -> None:
    run_machine(lambda: ShopOnPostgreSQL(database_url), examples=15, steps=20)


async def nothing(*arguments: object) -> None:
    """Instead of a step that matters."""


def one_too_many(snapshotting: Snapshotting[Till], aggregate: Till) -> Snapshot:
    return replace(capture(snapshotting, aggregate), version=aggregate.version + 1)


capture = Snapshotting.capture
SABOTAGES = {
    "no version guard": (sqlite_log, "is_expected", lambda *versions: True),
    "a version too many": (Snapshotting, "capture", one_too_many),
    "mails again after a reset": (SoldInMemory, "_remember_effects", nothing),
    "tables not emptied": (SoldInMemory, "_truncate_read_models", nothing),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_machine_notices_sabotage(sabotage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*SABOTAGES[sabotage])
    with pytest.raises(AssertionError):
        run_machine(ShopInMemory, 100, 30, phases=[Phase.generate])
