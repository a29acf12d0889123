"""What every event bus promises, in one process or over a broker."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from opentelemetry import trace

from eventsource import DomainEvent, SerializationError, register_event
from eventsource.bus import EventBus
from eventsource.exceptions import EventBusError
from eventsource.protocols import EventSubscriber
from tests.buses import FAST, make_bus
from tutorial_support.lab import eventually

pytestmark = pytest.mark.parametrize("kind", ["in-memory", "redis", "kafka", "rabbitmq"])


class PostcardEvent(DomainEvent):
    aggregate_type: str = "Postcard"


@register_event
class PostcardSent(PostcardEvent):
    number: int = 0


@register_event
class PostcardReceived(PostcardEvent):
    signature: str = "Zoë"


def sent(count: int, parcel: UUID | None = None, **fields: object) -> list[PostcardSent]:
    parcel = parcel or uuid4()
    return [PostcardSent(aggregate_id=parcel, number=n, **fields) for n in range(1, count + 1)]


class Seen(list[DomainEvent]):
    """A handler that keeps what it gets."""

    __hash__ = None

    async def handle(self, event: DomainEvent) -> None:
        self.append(event)


class Failing:
    """A handler that fails `times` times, then keeps what it gets."""

    def __init__(self, times: float) -> None:
        self.times, self.calls, self.seen = times, 0, Seen()

    async def handle(self, event: DomainEvent) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise ValueError("no more stamps")
        self.seen.append(event)


@pytest.fixture
async def bus(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    url = "" if kind == "in-memory" else request.getfixturevalue(f"{kind}_url")
    bus = make_bus(kind, url, f"test-{uuid4().hex[:8]}")
    if kind != "in-memory":
        await bus.start_consuming_in_background()
    yield bus
    await bus.shutdown()


async def test_an_event_goes_to_the_handlers_of_its_class_and_of_its_bases(bus: EventBus) -> None:
    exact, base, everything, other = Seen(), Seen(), Seen(), Seen()
    bus.subscribe(PostcardSent, exact)
    bus.subscribe(PostcardEvent, base)
    bus.subscribe_to_all_events(everything)
    bus.subscribe(PostcardReceived, other)
    events = sent(2, tenant_id=uuid4(), metadata={"city": "Zürich"})
    await bus.publish(events)
    await eventually(lambda: exact == base == everything == events)
    assert other == []
    await eventually(lambda: bus.stats.events_published == bus.stats.events_handled == 2)


async def test_functions_and_objects_may_be_async_or_not(bus: EventBus) -> None:
    got: list[str] = []

    async def slow(event: PostcardSent) -> None:
        got.append("async function")

    class Plain:
        def handle(self, event: PostcardSent) -> None:
            got.append("plain object")

    bus.subscribe(PostcardSent, slow)
    bus.subscribe(PostcardSent, lambda event: got.append("plain function"))
    bus.subscribe(PostcardSent, Plain())
    await bus.publish(sent(1))
    await eventually(lambda: sorted(got) == ["async function", "plain function", "plain object"])


async def test_a_handler_gets_an_event_once_however_it_subscribed(bus: EventBus) -> None:
    class Office(EventSubscriber):
        seen = 0

        def subscribed_to(self) -> list[type[DomainEvent]]:
            return [PostcardSent, PostcardReceived, PostcardEvent]

        async def handle(self, event: DomainEvent) -> None:
            self.seen += 1

    office = Office()
    bus.subscribe_all(office)
    bus.subscribe_to_all_events(office)
    await bus.publish([*sent(1), PostcardReceived(aggregate_id=uuid4())])
    await eventually(lambda: bus.stats.events_handled == 2)
    assert office.seen == 2


async def test_who_has_unsubscribed_gets_nothing(bus: EventBus) -> None:
    gone, stayed = Seen(), Seen()
    for handler in (gone, stayed):
        bus.subscribe(PostcardSent, handler.handle)
        bus.subscribe_to_all_events(handler.handle)
    assert bus.unsubscribe(PostcardSent, gone.handle)
    assert bus.unsubscribe_from_all_events(gone.handle)
    assert not bus.unsubscribe_from_all_events(gone.handle)
    await bus.publish(sent(1))
    await eventually(lambda: len(stayed) == 1)
    assert gone == []


@pytest.mark.parametrize("handler", [object(), "handle", Seen])
async def test_what_cannot_handle_is_refused_at_once(bus: EventBus, handler: object) -> None:
    with pytest.raises(TypeError, match="function or an object with `handle`"):
        bus.subscribe(PostcardSent, handler)
    with pytest.raises(TypeError, match="event class"):
        bus.subscribe("PostcardSent", print)


async def test_only_the_handler_that_failed_is_called_again(bus: EventBus) -> None:
    good, flaky = Seen(), Failing(times=1)
    bus.subscribe(PostcardSent, flaky)
    bus.subscribe(PostcardSent, good)
    events = sent(2)
    await bus.publish(events)
    await eventually(lambda: flaky.seen == good == events)
    assert flaky.calls == 3
    assert bus.stats.handler_errors == 1
    assert await bus.get_dead_letters() == []


async def test_what_keeps_failing_becomes_a_dead_letter_and_the_rest_goes_on(
    bus: EventBus,
) -> None:
    good, broken, tenant = Seen(), Failing(times=FAST.max_tries), uuid4()
    bus.subscribe(PostcardSent, broken)
    bus.subscribe(PostcardSent, good)
    events = sent(3, tenant_id=tenant)
    await bus.publish(events)
    await eventually(lambda: good == events and broken.seen == events[1:])
    [letter] = await bus.get_dead_letters()
    assert (letter.event_id, letter.event_type) == (str(events[0].event_id), "PostcardSent")
    assert "Failing: ValueError: no more stamps" in letter.reason
    assert letter.attempts == FAST.max_tries
    assert letter.message.headers["tenant_id"] == str(tenant)
    assert PostcardSent.model_validate_json(letter.message.body) == events[0]
    assert bus.stats.dead_letters == 1


async def test_a_dead_letter_is_replayed_until_it_succeeds(bus: EventBus) -> None:
    broken = Failing(times=2 * FAST.max_tries)
    bus.subscribe(PostcardSent, broken)
    events = sent(1)
    await bus.publish(events)
    [letter] = await eventually(bus.get_dead_letters)
    with pytest.raises(EventBusError, match=r"failed again.*no more stamps"):
        await bus.replay_dead_letter(letter.id)
    assert [each.id for each in await bus.get_dead_letters()] == [letter.id]
    await bus.replay_dead_letter(letter.id)
    assert broken.seen == events
    assert await bus.get_dead_letters() == []
    with pytest.raises(EventBusError, match="no dead letter"):
        await bus.replay_dead_letter(letter.id)


async def test_dead_letters_are_listed_oldest_first_and_discarded_by_id(bus: EventBus) -> None:
    bus.subscribe(PostcardSent, Failing(times=float("inf")))
    events = sent(3)
    await bus.publish(events)

    async def ids() -> list[str | None]:
        return [letter.event_id for letter in await bus.get_dead_letters()]

    expected = [str(event.event_id) for event in events]
    await eventually(lambda: bus.stats.dead_letters == 3)
    await eventually(lambda: same(ids, expected))
    oldest, middle = await bus.get_dead_letters(limit=2)
    assert oldest.event_id == expected[0]
    assert await bus.discard_dead_letter(middle.id)
    assert not await bus.discard_dead_letter(middle.id)
    assert await ids() == [expected[0], expected[2]]


async def same(get, expected: object) -> bool:
    return await get() == expected


async def test_an_aggregates_events_arrive_in_order(bus: EventBus) -> None:
    parcels = [uuid4() for _ in range(5)]
    streams = [sent(20, parcel) for parcel in parcels]
    seen = Seen()

    async def dawdle(event: PostcardSent) -> None:
        await asyncio.sleep(0.001 * (event.number % 3))
        seen.append(event)

    bus.subscribe(PostcardSent, dawdle)
    mixed = [event for row in zip(*streams, strict=True) for event in row]
    await bus.publish(mixed[:30])
    await bus.publish(mixed[30:])
    await eventually(lambda: len(seen) == 100, timeout_seconds=20)
    for parcel, stream in zip(parcels, streams, strict=True):
        assert [event for event in seen if event.aggregate_id == parcel] == stream


async def test_nothing_is_sent_if_one_event_cannot_be_written(bus: EventBus) -> None:
    seen = Seen()
    bus.subscribe(PostcardSent, seen)
    first, second, last = sent(3)
    with pytest.raises(SerializationError, match="U\\+0000"):
        await bus.publish([first, second.with_metadata(note="\0")])
    await bus.publish([])
    await bus.publish([last])
    await eventually(lambda: seen == [last])


async def test_a_handler_continues_the_publishers_trace(bus: EventBus) -> None:
    context = trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(1))
    traces: list[int] = []
    bus.subscribe(
        PostcardSent,
        lambda event: traces.append(trace.get_current_span().get_span_context().trace_id),
    )
    with trace.use_span(trace.NonRecordingSpan(context)):
        await bus.publish(sent(1))
    await eventually(lambda: traces == [0xABC])
