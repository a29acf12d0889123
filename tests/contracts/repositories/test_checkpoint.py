"""What every checkpoint repository promises."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from eventsource.repositories.checkpoint import CheckpointData, CheckpointRepository
from eventsource.types import Position


async def test_a_reader_that_never_ran_has_no_checkpoint(checkpoints: CheckpointRepository) -> None:
    assert await checkpoints.get_checkpoint("orders") is None
    assert await checkpoints.get_position("orders") is None
    assert await checkpoints.get_all_checkpoints() == []


async def test_no_checkpoint_stands_at_the_start(checkpoints: CheckpointRepository) -> None:
    """Whoever follows one would take it for none, and find it moved at every event."""
    with pytest.raises(ValueError, match="reset_checkpoint"):
        await checkpoints.save_position("orders", Position.START, uuid4(), "OrderPlaced")
    assert await checkpoints.get_all_checkpoints() == []


async def test_both_numbers_of_a_position_come_back(checkpoints: CheckpointRepository) -> None:
    position, event = Position(2**40, 2**41), uuid4()
    before = datetime.now(UTC)
    assert await checkpoints.save_position("orders", position, event, "OrderPlaced")
    (stored,) = await checkpoints.get_all_checkpoints()
    assert await checkpoints.get_position("orders") == position
    assert await checkpoints.get_checkpoint("orders") == event
    assert before <= stored.last_processed_at <= datetime.now(UTC)
    assert stored == CheckpointData(
        "orders", event, "OrderPlaced", stored.last_processed_at, 1, position
    )
    assert stored.global_position == 2**41


@pytest.mark.parametrize(
    ("further", "moves"),
    [
        (Position(7, 6), True),
        (Position(8, 1), True),
        (Position(7, 5), False),
        (Position(7, 4), False),
        (Position(6, 9), False),
    ],
)
async def test_a_checkpoint_only_moves_on(
    checkpoints: CheckpointRepository, further: Position, moves: bool
) -> None:
    first, second = uuid4(), uuid4()
    await checkpoints.save_position("orders", Position(7, 5), first, "OrderPlaced")
    assert await checkpoints.save_position("orders", further, second, "OrderPaid") is moves
    (stored,) = await checkpoints.get_all_checkpoints()
    expected = (further, second, "OrderPaid", 2) if moves else (
        Position(7, 5), first, "OrderPlaced", 1,
    )  # fmt: skip
    assert expected == (
        stored.position,
        stored.last_event_id,
        stored.last_event_type,
        stored.events_processed,
    )


async def test_of_rivals_at_one_position_one_gets_through(
    checkpoints: CheckpointRepository,
) -> None:
    saved = await asyncio.gather(
        *(checkpoints.save_position("orders", Position(7, 5), uuid4(), "E") for _ in range(8))
    )
    assert sorted(saved) == [False] * 7 + [True]


@pytest.mark.parametrize(
    ("stands_at", "after", "moves"),
    [
        (Position(7, 5), Position(7, 5), True),
        (Position(0, 5), Position(0, 5), True),
        (Position(7, 4), Position(7, 5), False),
        (Position(7, 6), Position(7, 5), False),
        (Position(7, 9), Position(7, 9), False),
        (None, Position(7, 5), False),
        (None, Position.START, True),
        (Position(7, 5), Position.START, False),
    ],
)
async def test_a_checkpoint_moves_on_from_where_its_reader_began(
    checkpoints: CheckpointRepository, stands_at: Position | None, after: Position, moves: bool
) -> None:
    if stands_at is not None:
        await checkpoints.save_position("orders", stands_at, uuid4(), "OrderPlaced", events=3)
    further, event = Position(7, 8), uuid4()
    assert moves is await checkpoints.save_position(
        "orders", further, event, "OrderPaid", after=after, events=4
    )
    assert await checkpoints.get_position("orders") == (further if moves else stands_at)
    if moves:
        (stored,) = await checkpoints.get_all_checkpoints()
        assert stored.events_processed == 4 + (3 if stands_at else 0)
        assert (stored.last_event_id, stored.last_event_type) == (event, "OrderPaid")


async def test_of_readers_that_began_at_one_position_one_gets_through(
    checkpoints: CheckpointRepository,
) -> None:
    for after, further in ((0, range(11, 19)), (18, range(21, 29))):
        saved = await asyncio.gather(
            *(
                checkpoints.save_position(
                    "orders", Position(0, n), uuid4(), "E", after=Position(0, after)
                )
                for n in further
            )
        )
        assert sorted(saved) == [False] * 7 + [True]
        await checkpoints.save_position("orders", Position(0, 18), uuid4(), "E")


async def test_an_event_without_a_position_that_came_first_is_no_position(
    checkpoints: CheckpointRepository,
) -> None:
    await checkpoints.update_checkpoint("orders", uuid4(), "OrderPlaced")
    place = "orders", Position(7, 5), uuid4(), "OrderPaid"
    assert not await checkpoints.save_position(*place, after=Position(7, 4))
    assert await checkpoints.save_position(*place, after=Position.START)


async def test_an_event_without_a_position_leaves_the_position_and_its_event(
    checkpoints: CheckpointRepository,
) -> None:
    older, at_position = uuid4(), uuid4()
    await checkpoints.update_checkpoint("orders", older, "OrderPlaced")
    assert await checkpoints.get_position("orders") is None
    assert await checkpoints.get_checkpoint("orders") == older
    await checkpoints.save_position("orders", Position(0, 3), at_position, "OrderPaid", events=40)
    await checkpoints.update_checkpoint("orders", older, "OrderPlaced")
    (stored,) = await checkpoints.get_all_checkpoints()
    assert (stored.position, stored.last_event_id) == (Position(0, 3), at_position)
    assert (stored.last_event_type, stored.events_processed) == ("OrderPaid", 42)


async def test_a_reset_reader_starts_at_the_beginning(checkpoints: CheckpointRepository) -> None:
    for name in ("orders", "Stock", 'orders\' "x"'):
        await checkpoints.save_position(name, Position(0, 3), uuid4(), "E")
    await checkpoints.reset_checkpoint("orders")
    await checkpoints.reset_checkpoint("orders")
    assert await checkpoints.get_position("orders") is None
    names = [stored.projection_name for stored in await checkpoints.get_all_checkpoints()]
    assert names == ["Stock", 'orders\' "x"']
    assert await checkpoints.save_position("orders", Position(0, 1), uuid4(), "E")


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_a_checkpoint_belongs_to_the_callers_transaction(
    checkpoints: CheckpointRepository, begin, undone
) -> None:
    async with undone() as transaction:
        assert await checkpoints.save_position(
            "orders", Position(0, 1), uuid4(), "E", transaction=transaction
        )
        await checkpoints.update_checkpoint("stock", uuid4(), "E", transaction=transaction)
    assert await checkpoints.get_all_checkpoints() == []
    async with begin() as transaction:
        await checkpoints.save_position(
            "orders", Position(0, 2), uuid4(), "E", transaction=transaction
        )
    async with undone() as transaction:
        await checkpoints.reset_checkpoint("orders", transaction=transaction)
    assert await checkpoints.get_position("orders") == Position(0, 2)


@pytest.mark.parametrize("backend", ["in-memory"], indirect=True)
async def test_memory_has_no_transactions_to_join(checkpoints: CheckpointRepository) -> None:
    with pytest.raises(TypeError, match="no transactions"):
        await checkpoints.update_checkpoint("orders", uuid4(), "E", transaction=object())
