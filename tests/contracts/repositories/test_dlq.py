"""What every repository of dead letters promises."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from eventsource.repositories.dlq import DLQRepository, DLQStats


def failure(message: str = "no such product") -> ValueError:
    """An error that was raised, so it has a traceback."""
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


async def add(
    letters: DLQRepository, projection: str = "orders", event_id: UUID | None = None, **more: object
) -> UUID:
    event_id = event_id or uuid4()
    arguments = {"event_data": {"quantity": 2}, "error": failure(), **more}
    await letters.add_failed_event(event_id, projection, "OrderPlaced", **arguments)
    return event_id


async def test_a_failure_is_kept_with_all_it_takes_to_find_its_cause(
    dead_letters: DLQRepository,
) -> None:
    before = datetime.now(UTC)
    data = {"price": "1.10", "lines": [{"n": 1}], "note": None}
    event = await add(dead_letters, event_data=data, retry_count=3)
    (entry,) = await dead_letters.get_failed_events()
    assert (entry.event_id, entry.projection_name, entry.event_type) == (
        event, "orders", "OrderPlaced",
    )  # fmt: skip
    assert (entry.event_data, entry.retry_count, entry.status) == (data, 3, "failed")
    assert entry.error_message == "no such product"
    # Outside the handler of the exception, too.
    assert "in failure" in entry.error_stacktrace
    assert entry.error_stacktrace.endswith("ValueError: no such product\n")
    assert before <= entry.first_failed_at == entry.last_failed_at <= datetime.now(UTC)
    assert (entry.resolved_at, entry.resolved_by) == (None, None)
    assert await dead_letters.get_failed_event_by_id(entry.id) == entry


async def test_a_further_failure_updates_the_entry_and_opens_it_again(
    dead_letters: DLQRepository,
) -> None:
    event = await add(dead_letters, event_data={"try": 1})
    (first,) = await dead_letters.get_failed_events()
    await dead_letters.mark_resolved(first.id, "ann")
    await add(
        dead_letters, event_id=event, event_data={"try": 2}, error=KeyError("sku"), retry_count=5
    )
    (again,) = await dead_letters.get_failed_events()
    assert (again.id, again.first_failed_at) == (first.id, first.first_failed_at)
    assert (again.event_data, again.error_message, again.retry_count) == ({"try": 2}, "'sku'", 5)
    assert again.last_failed_at > first.last_failed_at
    assert (again.status, again.resolved_at, again.resolved_by) == ("failed", None, None)


async def test_entries_are_listed_by_projection_and_status_newest_first(
    dead_letters: DLQRepository,
) -> None:
    ids = [await add(dead_letters, name) for name in ("orders", "stock", "orders", "orders")]
    listed = await dead_letters.get_failed_events()
    assert [entry.event_id for entry in listed] == ids[::-1]
    of_orders = await dead_letters.get_failed_events("orders", limit=2)
    assert [entry.event_id for entry in of_orders] == [ids[3], ids[2]]
    await dead_letters.mark_retrying(of_orders[0].id)
    await dead_letters.mark_resolved(of_orders[1].id, uuid4())
    by_status = {
        status: [entry.event_id for entry in await dead_letters.get_failed_events(status=status)]
        for status in ("failed", "retrying", "resolved")
    }
    assert by_status == {"failed": [ids[1], ids[0]], "retrying": [ids[3]], "resolved": [ids[2]]}
    assert await dead_letters.get_failed_events("no such projection") == []


async def test_who_resolved_an_entry_and_when_is_kept(dead_letters: DLQRepository) -> None:
    await add(dead_letters)
    (entry,) = await dead_letters.get_failed_events()
    ann = uuid4()
    await dead_letters.mark_resolved(entry.id, ann)
    resolved = await dead_letters.get_failed_event_by_id(entry.id)
    assert (resolved.status, resolved.resolved_by) == ("resolved", str(ann))
    assert entry.last_failed_at <= resolved.resolved_at <= datetime.now(UTC)


async def test_unknown_ids_are_no_error(dead_letters: DLQRepository) -> None:
    await dead_letters.mark_retrying(7)
    await dead_letters.mark_resolved(7, "ann")
    assert await dead_letters.get_failed_event_by_id(7) is None


async def test_statistics_count_what_is_not_resolved(dead_letters: DLQRepository) -> None:
    assert await dead_letters.get_failure_stats() == DLQStats(0, 0, 0, None)
    assert await dead_letters.get_projection_failure_counts() == []
    for name in ("stock", "bills", "orders", "orders", "orders"):
        await add(dead_letters, name)
    listed = await dead_letters.get_failed_events()
    await dead_letters.mark_retrying(listed[0].id)
    await dead_letters.mark_resolved(listed[4].id, "ann")
    assert await dead_letters.get_failure_stats() == DLQStats(3, 1, 2, listed[3].first_failed_at)
    orders, bills = await dead_letters.get_projection_failure_counts()
    assert (orders.projection_name, orders.failure_count) == ("orders", 3)
    assert orders.oldest_failure == listed[2].first_failed_at
    assert orders.most_recent_failure == listed[0].last_failed_at
    assert (bills.projection_name, bills.failure_count) == ("bills", 1)


async def test_resolved_entries_are_deleted_by_age(dead_letters: DLQRepository) -> None:
    for _ in range(3):
        await add(dead_letters)
    for entry in (await dead_letters.get_failed_events())[:2]:
        await dead_letters.mark_resolved(entry.id, "ann")
    assert await dead_letters.delete_resolved_events(older_than_days=0.01) == 0
    assert await dead_letters.delete_resolved_events(older_than_days=0) == 2
    assert (await dead_letters.get_failure_stats()).total_failed == 1
    with pytest.raises(ValueError, match="negative"):
        await dead_letters.delete_resolved_events(older_than_days=-1)


@pytest.mark.parametrize("message", ["a\0b", "half \ud800 a pair", "'); DROP TABLE x; --", ""])
async def test_no_message_keeps_an_error_from_being_kept(
    dead_letters: DLQRepository, message: str
) -> None:
    await add(dead_letters, error=failure(message))
    (entry,) = await dead_letters.get_failed_events()
    assert entry.error_message == {
        "a\0b": "a\\x00b", "half \ud800 a pair": "half \\ud800 a pair", "": "ValueError",
    }.get(message, message)  # fmt: skip


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_an_entry_belongs_to_the_callers_transaction(
    dead_letters: DLQRepository, begin, undone
) -> None:
    async with undone() as transaction:
        await add(dead_letters, transaction=transaction)
    assert await dead_letters.get_failed_events() == []
    async with begin() as transaction:
        await add(dead_letters, transaction=transaction)
    assert len(await dead_letters.get_failed_events()) == 1
