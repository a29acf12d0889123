"""What every inbox promises: one effect, however often an event is delivered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from eventsource.repositories.inbox import InboxRepository


async def test_an_event_is_taken_once_by_each_consumer(inbox_of: InboxRepository) -> None:
    event = uuid4()
    assert not await inbox_of.is_recorded("mail", event)
    taken = [await inbox_of.record(name, event) for name in ("mail", "mail", "stock")]
    assert taken == [True, False, True]
    assert await inbox_of.is_recorded("mail", event)
    assert not await inbox_of.is_recorded("mail", uuid4())


async def test_an_effect_happens_once_however_many_deliver_at_once(
    inbox_of: InboxRepository,
) -> None:
    event, effects = uuid4(), []

    async def effect(transaction: object) -> None:
        effects.append("begun")
        await asyncio.sleep(0.01)
        effects.append("done")

    ran = await asyncio.gather(*(inbox_of.once("mail", event, effect) for _ in range(5)))
    assert sorted(ran) == [False] * 4 + [True]
    assert effects == ["begun", "done"]


async def test_an_effect_that_fails_is_tried_again_at_the_next_delivery(
    inbox_of: InboxRepository,
) -> None:
    event, attempts = uuid4(), []

    async def effect(transaction: object) -> None:
        attempts.append(event)
        await asyncio.sleep(0.01)
        if len(attempts) < 3:
            raise ConnectionError("the mail server is down")

    # The second and third wait for the first and take over when it fails.
    outcomes = await asyncio.gather(
        *(inbox_of.once("mail", event, effect) for _ in range(4)), return_exceptions=True
    )
    assert sorted(map(repr, outcomes)) == [
        "ConnectionError('the mail server is down')",
        "ConnectionError('the mail server is down')",
        "False",
        "True",
    ]
    assert len(attempts) == 3
    assert await inbox_of.is_recorded("mail", event)


async def test_a_cancelled_effect_can_be_tried_again(inbox_of: InboxRepository) -> None:
    event, begun = uuid4(), asyncio.Event()

    async def endless(transaction: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def effect(transaction: object) -> None: ...

    first = asyncio.create_task(inbox_of.once("mail", event, endless))
    await begun.wait()
    second = asyncio.create_task(inbox_of.once("mail", event, effect))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert first.cancelled()


@pytest.mark.parametrize("backend", ["in-memory"], indirect=True)
def test_memory_serves_threads_with_event_loops_of_their_own(inbox_of: InboxRepository) -> None:
    events, effects = [uuid4() for _ in range(20)], []

    async def consume() -> None:
        for event in events:

            async def effect(transaction: object, event: UUID = event) -> None:
                await asyncio.sleep(0)
                effects.append(event)

            await inbox_of.once("mail", event, effect)

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(lambda: asyncio.run(consume())) for _ in range(6)]:
            done.result()
    assert sorted(effects) == sorted(events)


async def test_old_events_are_forgotten(inbox_of: InboxRepository) -> None:
    event = uuid4()
    await inbox_of.record("mail", event)
    assert await inbox_of.cleanup(days=0.01) == 0
    assert await inbox_of.cleanup(days=0) == 1
    assert not await inbox_of.is_recorded("mail", event)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_entry_and_effect_are_stored_together_or_not_at_all(
    inbox_of: InboxRepository, begin, undone, checkpoints
) -> None:
    event = uuid4()
    async with undone() as transaction:
        assert await inbox_of.record("mail", event, transaction=transaction)
        await checkpoints.update_checkpoint("effect", event, "E", transaction=transaction)
    assert not await inbox_of.is_recorded("mail", event)

    async def effect(transaction: object) -> None:
        await checkpoints.update_checkpoint("effect", event, "E", transaction=transaction)

    async def broken(transaction: object) -> None:
        await effect(transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await inbox_of.once("mail", event, broken)
    assert await checkpoints.get_all_checkpoints() == []
    assert [await inbox_of.once("mail", event, effect) for _ in range(3)] == [True, False, False]
    (stored,) = await checkpoints.get_all_checkpoints()
    assert stored.events_processed == 1


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_an_inbox_on_a_transaction_joins_it(inbox_of: InboxRepository, begin, undone) -> None:
    joined, event, poison = type(inbox_of), uuid4(), uuid4()

    async def effect(transaction: object) -> None: ...

    async def broken(transaction: object) -> None:
        raise ZeroDivisionError

    async with undone() as transaction:
        assert await joined(transaction).once("mail", event, effect)
    assert not await inbox_of.is_recorded("mail", event)
    async with begin() as transaction:
        assert await joined(transaction).once("mail", event, effect)
        with pytest.raises(ZeroDivisionError):
            await joined(transaction).once("mail", poison, broken)
    assert await inbox_of.is_recorded("mail", event)
    assert not await inbox_of.is_recorded("mail", poison)
