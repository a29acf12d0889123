"""Positions, options, streams, errors: the small values."""

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

import eventsource
from eventsource import (
    AppendResult,
    DefaultTypeConverter,
    DomainEvent,
    EventSourceError,
    EventStore,
    EventStream,
    ExpectedVersion,
    InMemoryEventStore,
    OptimisticLockError,
    Position,
    ReadDirection,
    ReadOptions,
    StoredEvent,
    exceptions,
)


class TestPosition:
    def test_order_is_transaction_then_sequence(self) -> None:
        positions = [Position(2, 1), Position(1, 9), Position(1, 10), Position.START]
        assert sorted(positions) == [
            Position(0, 0),
            Position(1, 9),
            Position(1, 10),
            Position(2, 1),
        ]

    def test_text_and_back(self) -> None:
        assert str(Position(7390, 15)) == "7390:15"
        assert Position.parse("7390:15") == Position(7390, 15)

    @pytest.mark.parametrize("text", ["", "15", "7390:", ":15", "a:b", "1:2:3", "-1:2", "1.0:2"])
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="7390:15"):
            Position.parse(text)

    def test_no_part_is_negative(self) -> None:
        with pytest.raises(ValueError, match="negative"):
            Position(1, -1)


class TestReadOptions:
    def test_defaults_read_everything_forward(self) -> None:
        options = ReadOptions()
        assert options.direction is ReadDirection.FORWARD
        assert (options.from_position, options.limit, options.tenant_id) == (0, None, None)

    @pytest.mark.parametrize("wrong", [{"from_position": -2}, {"limit": -1}])
    def test_impossible_values_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ReadOptions(**wrong)

    async def test_a_stream_is_not_resumed_by_a_feed_position(self) -> None:
        options = ReadOptions(from_position=Position(1, 1))
        with pytest.raises(TypeError, match="version"):
            await anext(InMemoryEventStore().read_stream(str(uuid4()), options))


def test_a_stream_knows_its_latest_event() -> None:
    aggregate = uuid4()
    empty = EventStream.empty(aggregate, "T")
    assert (empty.is_empty, empty.latest_event, empty.version) == (True, None, 0)
    events = [DomainEvent(aggregate_id=aggregate, aggregate_type="T") for _ in range(2)]
    assert EventStream(aggregate, "T", events, 2).latest_event is events[-1]
    assert EventStream(aggregate, "T", None).events == []  # type: ignore[arg-type]


def test_results_say_how_it_went() -> None:
    assert AppendResult(True, 3).position == Position.START
    done = AppendResult.successful(3, 17, 99)
    assert (done.success, done.conflict, done.position) == (True, False, Position(99, 17))
    refused = AppendResult.conflicted(4)
    assert (refused.success, refused.conflict, refused.new_version) == (False, True, 4)


def test_a_stored_event_shows_its_place() -> None:
    event = DomainEvent(aggregate_id=uuid4(), aggregate_type="T")
    stored = StoredEvent(event, f"{event.aggregate_id}:T", 2, 7, datetime.now(UTC))
    assert str(stored) == f"DomainEvent at {event.aggregate_id}:T/2, global position 7"
    assert stored.position == Position(0, 7)


METHODS = {
    "append_events",
    "event_exists",
    "get_events",
    "get_events_by_type",
    "get_feed_end",
    "get_stream_version",
    "read_stream",
}


@pytest.mark.parametrize("missing", sorted(METHODS))
def test_a_store_that_lacks_a_method_is_refused(missing: str) -> None:
    methods = {name: getattr(InMemoryEventStore, name) for name in METHODS - {missing}}
    with pytest.raises(TypeError, match=missing):
        type("Partial", (EventStore,), methods)()


def test_memory_serves_the_event_loops_of_many_threads() -> None:
    store, aggregate = InMemoryEventStore(), uuid4()

    def append(n: int) -> bool:
        event = DomainEvent(aggregate_id=aggregate, aggregate_type="T", actor_id=str(n))
        try:
            return asyncio.run(store.append_events(aggregate, "T", [event], n % 4)).success
        except OptimisticLockError:
            return False

    with ThreadPoolExecutor(8) as threads:
        won = sum(threads.map(append, range(64)))
    assert asyncio.run(store.get_stream_version(aggregate, "T")) == won > 0


async def test_memory_can_be_looked_into_and_cleared() -> None:
    store, now = InMemoryEventStore(), datetime.now(UTC)
    late, early = (
        DomainEvent(aggregate_id=uuid4(), aggregate_type="T", occurred_at=now + timedelta(n))
        for n in (1, 0)
    )
    for event in (late, early):
        await store.append_events(event.aggregate_id, "T", [event], 0)
    assert await store.get_all_events() == [early, late]
    assert await store.get_event_count() == 2
    assert await store.get_aggregate_ids() == {late.aggregate_id, early.aggregate_id}
    await store.clear()
    assert await store.get_event_count() == 0
    assert not await store.event_exists(late.event_id)


def test_a_store_without_a_feed_says_so() -> None:
    with pytest.raises(NotImplementedError, match="int has no global feed"):
        EventStore.read_all(1)  # type: ignore[arg-type]


class TestTypeConverter:
    def test_names_decide_in_this_order(self) -> None:
        converter = DefaultTypeConverter(uuid_fields={"actor_id"}, string_id_fields={"user_id"})
        assert converter.is_uuid_field("actor_id")
        assert not converter.is_uuid_field("user_id")
        assert converter.is_uuid_field("anything_id")
        assert not converter.is_uuid_field("assigned_by")
        assert not converter.is_uuid_field("name")

    def test_without_the_defaults_only_the_ending_counts(self) -> None:
        converter = DefaultTypeConverter(use_defaults=False)
        assert converter.is_uuid_field("actor_id")

    def test_times_are_found_by_their_ending(self) -> None:
        time = datetime(2026, 3, 1, tzinfo=UTC)
        data = {"sent_at": time.isoformat(), "looked_at": "never", "n_at": 3}
        assert DefaultTypeConverter().convert_types(data) == data | {"sent_at": time}


def all_errors() -> list[EventSourceError]:
    one, two = uuid4(), uuid4()
    return [
        exceptions.AggregateMismatchError(one, expected=(one, "A"), actual=(two, "B")),
        exceptions.AggregateNotFoundError(one, "Order"),
        exceptions.BrokerNotAvailableError("redis", "redis"),
        exceptions.DatabaseError("no", "23505"),
        exceptions.DuplicateEventError(one, "somebody"),
        exceptions.DuplicateEventTypeError("X", int, str),
        exceptions.DuplicateHandlerError(int, str, "first", "second"),
        exceptions.DuplicateUpcasterError("X", 1),
        exceptions.EventBusConnectionError("away"),
        exceptions.EventBusError("broken"),
        exceptions.EventPublishError([one, two]),
        exceptions.EventStoreConnectionError("away"),
        exceptions.EventStoreError("broken"),
        exceptions.EventTypeNotFoundError("X", ["Y"]),
        exceptions.EventVersionError(2, 3, one, two),
        exceptions.HandlerSignatureError(int, "add", "is not async"),
        exceptions.OptimisticLockError(one, 1, 2),
        exceptions.PositionNotFoundError(Position(1, 2)),
        exceptions.ProjectionError("totals", one, "failed"),
        exceptions.ProjectionLagError("totals", Position(1, 2), Position(1, 1), 5.0),
        exceptions.SQLiteNotAvailableError(),
        exceptions.SchemaError("missing"),
        exceptions.SerializationError("X", "bad"),
        exceptions.SnapshotDeserializationError(one, "Order", "bad"),
        exceptions.SnapshotError("bad"),
        exceptions.StreamClosedError(one, "Order", "X"),
        exceptions.UnhandledEventError(int, "X", ["Y"]),
        exceptions.UnreadableEventError("X", one, "1:2", "gone"),
        exceptions.SubscriptionError("no"),
        exceptions.SubscriptionConfigError("no"),
        exceptions.SubscriptionStateError("no"),
        exceptions.SubscriptionAlreadyExistsError("sales"),
        exceptions.EventDeliveryError("sales", one, "1:2", ValueError("no")),
        exceptions.DecryptionError("customer 7", "Order 1/2", "the key is missing"),
        exceptions.PrivacyError("no"),
        exceptions.PrivacyNotAvailableError(),
        exceptions.SubjectErasedError("customer 7"),
        exceptions.TagConflictError("order:1", 3),
        exceptions.TenantContextNotSetError(),
        exceptions.TenantMismatchError(one, two, [one, two]),
    ]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: type(error).__name__)
def test_errors_survive_a_process_boundary(error: EventSourceError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_every_error_has_a_place_in_the_tree_and_at_the_front_door() -> None:
    classes = {
        cls
        for cls in vars(exceptions).values()
        if isinstance(cls, type) and issubclass(cls, Exception)
    }
    assert {type(error) for error in all_errors()} == classes - {EventSourceError}
    assert all(issubclass(cls, EventSourceError) for cls in classes)
    assert {cls.__name__ for cls in classes} <= set(eventsource.__all__)


def test_messages_carry_the_facts() -> None:
    aggregate = uuid4()
    message = str(exceptions.OptimisticLockError(aggregate, 4, 7))
    assert all(part in message for part in (str(aggregate), "4", "7"))


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (ExpectedVersion.NO_STREAM, "to have no events"),
        (ExpectedVersion.STREAM_EXISTS, "to have events"),
        (ExpectedVersion.ANY, "to hold still for a moment"),
    ],
)
def test_a_conflict_says_in_words_what_was_expected(expected: int, words: str) -> None:
    message = str(exceptions.OptimisticLockError(uuid4(), expected, 7))
    assert f"was expected {words} but is at version 7" in message
