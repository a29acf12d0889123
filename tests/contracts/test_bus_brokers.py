"""What every bus with a broker promises on top: groups, acknowledgement, poison, lost brokers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest

from eventsource import DomainEvent, EventRegistry, RetryPolicy, register_event
from eventsource.bus import EventBus, RabbitMQEventBus
from eventsource.bus.broker import BrokerEventBus
from eventsource.exceptions import EventBusConnectionError, EventBusError
from tests.buses import make_bus
from tutorial_support.lab import eventually

BROKERS = ["redis", "kafka", "rabbitmq"]

MakeBus = Callable[..., BrokerEventBus]


@register_event
class LightOn(DomainEvent):
    aggregate_type: str = "Lamp"
    number: int = 0


def lit(count: int) -> list[LightOn]:
    lamp = uuid4()
    return [LightOn(aggregate_id=lamp, number=n) for n in range(1, count + 1)]


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{kind}_url")


@pytest.fixture
async def make(kind: str, url: str) -> AsyncIterator[MakeBus]:
    """Buses of one test share their events; they are shut down in the end."""
    name, buses = f"test-{uuid4().hex[:8]}", []

    def make(**options: object) -> EventBus:
        buses.append(make_bus(kind, url, name, **options))
        return buses[-1]

    yield make
    for bus in buses:
        await bus.shutdown()


def collecting(bus: EventBus) -> list[DomainEvent]:
    seen: list[DomainEvent] = []
    bus.subscribe_to_all_events(seen.append)
    return seen


@pytest.mark.parametrize("kind", BROKERS)
async def test_it_is_connected_for_a_block_and_ends_with_it(make: MakeBus) -> None:
    async with make() as bus:
        assert bus.is_connected
        seen = collecting(bus)
        await bus.start_consuming_in_background()
        (event,) = lit(1)
        await bus.publish([event])
        await eventually(lambda: seen == [event], timeout_seconds=20)
    assert not bus.is_connected


@pytest.mark.parametrize("kind", BROKERS)
async def test_each_group_gets_every_event(make: MakeBus) -> None:
    mails, stock = make(group="mails"), make(group="stock")
    seen = [collecting(mails), collecting(stock)]
    await mails.start_consuming_in_background()
    await stock.start_consuming_in_background()
    events = lit(5)
    await mails.publish(events)
    await eventually(lambda: seen == [events, events])


@pytest.mark.parametrize("kind", BROKERS)
async def test_the_consumers_of_a_group_share_its_events(make: MakeBus) -> None:
    buses = [make(), make()]
    seen = [collecting(bus) for bus in buses]
    tasks = await asyncio.gather(*(bus.start_consuming_in_background() for bus in buses))
    lamps = [event for _ in range(10) for event in lit(2)]
    await make().publish(lamps)
    await eventually(lambda: sum(map(len, seen)) == len(lamps), timeout_seconds=30)
    handled = {event.event_id for each in seen for event in each}
    assert handled == {event.event_id for event in lamps}
    assert not any(task.done() for task in tasks)


@pytest.mark.parametrize("kind", BROKERS)
async def test_a_consumer_takes_over_from_one_that_leaves(make: MakeBus) -> None:
    first, second = make(), make()
    seen, seen_later = collecting(first), collecting(second)
    await first.start_consuming_in_background()
    one, two = lit(2)
    await first.publish([one])
    await eventually(lambda: seen == [one])
    await first.shutdown()
    await second.publish([two])
    await second.start_consuming_in_background()
    await eventually(lambda: seen_later == [two], timeout_seconds=30)


@pytest.mark.parametrize("kind", BROKERS)
async def test_what_was_not_finished_is_delivered_again_and_what_was_is_not(make: MakeBus) -> None:
    slow, patient = make(), make()
    begun: list[int] = []

    async def hang_at_two(event: LightOn) -> None:
        begun.append(event.number)
        if event.number == 2:
            await asyncio.Event().wait()

    slow.subscribe(LightOn, hang_at_two)
    seen = collecting(patient)
    task = await slow.start_consuming_in_background()
    events = lit(3)
    await slow.publish(events)
    await eventually(lambda: begun == [1, 2])
    await slow.stop_consuming(timeout_seconds=0.1)
    assert task.cancelled()
    await patient.start_consuming_in_background()
    await eventually(lambda: seen == events[1:], timeout_seconds=30)


@pytest.mark.parametrize("kind", BROKERS)
async def test_an_unknown_type_is_kept_and_named_until_its_class_is_there(make: MakeBus) -> None:
    registry = EventRegistry()
    bus, events = make(registry=registry), lit(1)
    seen = collecting(bus)
    await bus.start_consuming_in_background()
    await bus.publish(events)
    [letter] = await eventually(bus.get_dead_letters)
    assert (letter.event_type, letter.attempts) == ("LightOn", 0)
    assert "No event class is registered as 'LightOn'" in letter.reason
    registry.register(LightOn)
    await bus.replay_dead_letter(letter.id)
    assert seen == events


async def send_raw(kind: str, bus: BrokerEventBus, body: bytes) -> None:
    """What a foreign program may put on the same stream, topic or exchange."""
    config = bus.config
    if kind == "redis":
        from redis.asyncio import Redis

        async with Redis.from_url(config.redis_url) as client:
            await client.xadd(config.stream_name, {"payload": body, b"\xff": b"\xfe"})
    elif kind == "kafka":
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(bootstrap_servers=config.bootstrap_servers) as producer:
            await producer.send_and_wait(config.topic_name, body, headers=[("odd", b"\xfe")])
    else:
        import aio_pika

        async with await aio_pika.connect(config.rabbitmq_url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(config.exchange_name)
            await exchange.publish(aio_pika.Message(body, headers={"odd": [1]}), "any.key")


@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\x00",
        b"",
        b"no JSON",
        b"[]",
        b'"text"',
        b"{}",
        b'{"event_type": "LightOn"}',
        b'{"event_type": "LightOn", "event_id": 5}',
        b"[" * 9999,
    ],
    ids=["bytes", "empty", "text", "list", "string", "object", "half", "number", "deep"],
)
async def test_a_poison_message_is_kept_as_it_is_and_the_next_is_handled(
    kind: str, make: MakeBus, body: bytes
) -> None:
    bus = make()
    seen = collecting(bus)
    await bus.start_consuming_in_background()
    await send_raw(kind, bus, body)
    [letter] = await eventually(bus.get_dead_letters)
    assert (letter.message.body, letter.attempts) == (body, 0)
    assert letter.reason
    with pytest.raises(EventBusError, match="failed again"):
        await bus.replay_dead_letter(letter.id)
    events = lit(1)
    await bus.publish(events)
    await eventually(lambda: seen == events)


@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.parametrize("said", ["no file \udcff", "x" * 2_000_000], ids=["surrogate", "long"])
async def test_whatever_an_error_says_the_next_event_is_handled(
    make: MakeBus, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "eventsource")  # pytest could not send such a log on
    bus, handled = make(retry=RetryPolicy(max_tries=1)), list[int]()

    async def fail_at_one(event: LightOn) -> None:
        if event.number == 1:
            raise OSError(said)
        handled.append(event.number)

    bus.subscribe(LightOn, fail_at_one)
    task = await bus.start_consuming_in_background()
    await bus.publish(lit(2))
    await eventually(lambda: handled == [2], timeout_seconds=20)
    [letter] = await bus.get_dead_letters()
    assert f"OSError: {said[:7]}" in letter.reason
    assert not task.done()


@pytest.mark.parametrize("kind", BROKERS)
async def test_a_consumer_that_ends_by_an_error_says_so(
    make: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: Exception) -> bool:
        raise LookupError("nobody knows this error")

    bus = make(retry=RetryPolicy(retry_on=broken))
    bus.subscribe(LightOn, lambda event: 1 / 0)
    task = await bus.start_consuming_in_background()
    await bus.publish(lit(1))
    said = "stopped consuming: LookupError('nobody knows this error')"
    await eventually(lambda: said in caplog.text, timeout_seconds=20)
    with pytest.raises(LookupError):
        await task


@pytest.mark.parametrize("kind", BROKERS)
async def test_stopping_ends_consuming_and_it_can_start_again(make: MakeBus) -> None:
    bus = make()
    seen = collecting(bus)
    consuming = asyncio.create_task(bus.start_consuming())
    await eventually(lambda: bus.is_consuming)
    with pytest.raises(EventBusError, match="consuming already"):
        await bus.start_consuming()
    await bus.stop_consuming()
    await consuming
    assert not bus.is_consuming
    await bus.start_consuming_in_background()
    events = lit(1)
    await bus.publish(events)
    await eventually(lambda: seen == events, timeout_seconds=30)


@pytest.mark.parametrize("kind", BROKERS)
async def test_cancelling_start_consuming_leaves_no_task_behind(make: MakeBus) -> None:
    bus = make()
    before = asyncio.all_tasks()
    consuming = asyncio.create_task(bus.start_consuming())
    await eventually(lambda: bus.is_consuming)
    consuming.cancel()
    await asyncio.wait({consuming})
    assert consuming.cancelled()
    assert not bus.is_consuming
    await bus.shutdown()
    await eventually(lambda: asyncio.all_tasks() == before)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("redis", "redis://:s3cret@127.0.0.1:1/0"),
        ("kafka", "127.0.0.1:1"),
        ("rabbitmq", "amqp://me:s3cret@127.0.0.1:1/"),
    ],
)
async def test_no_broker_is_a_clear_error_without_the_password(make: MakeBus, kind: str) -> None:
    bus = make()
    for attempt in (bus.connect(), bus.publish(lit(1)), bus.start_consuming()):
        with pytest.raises(EventBusConnectionError) as caught:
            await attempt
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(bus.config)
    assert not bus.is_connected


@pytest.mark.parametrize("kind", ["redis", "kafka"])
async def test_a_log_gives_a_new_group_what_was_before_it(make: MakeBus) -> None:
    events = lit(3)
    await make().publish(events)
    late = make(group="late")
    seen = collecting(late)
    await late.start_consuming_in_background()
    await eventually(lambda: seen == events)


@pytest.mark.parametrize("kind", ["redis"])
async def test_a_stream_may_be_bounded(make: MakeBus) -> None:
    bus = make(max_stream_length=100)
    await bus.publish(lit(1000))
    seen = collecting(bus)
    await bus.start_consuming_in_background()
    await eventually(lambda: seen and seen[-1].number == 1000)
    assert 100 <= len(seen) < 1000


@pytest.mark.parametrize("kind", ["rabbitmq"])
async def test_rabbitmq_refuses_events_that_no_queue_takes(make: MakeBus) -> None:
    bus = make()
    assert isinstance(bus, RabbitMQEventBus)
    with pytest.raises(EventBusConnectionError, match=r"^No queue takes .* Start a consumer once"):
        await bus.publish(lit(1))
    assert bus.stats.events_published == 0


@pytest.mark.parametrize("kind", ["rabbitmq"])
async def test_rabbitmq_refuses_a_routing_key_that_is_too_long(make: MakeBus) -> None:
    bus = make()
    await bus.start_consuming_in_background()
    with pytest.raises(EventBusError, match="routing keys of up to 255 bytes"):
        await bus.publish([LightOn(aggregate_id=uuid4(), aggregate_type="é" * 130)])


@pytest.mark.parametrize("kind", ["kafka"])
async def test_an_event_too_big_for_kafka_is_not_mistaken_for_a_lost_broker(make: MakeBus) -> None:
    bus = make()
    with pytest.raises(EventBusError, match="larger than") as caught:
        await bus.publish([lit(1)[0].with_metadata(note="x" * 2_000_000)])
    assert not isinstance(caught.value, EventBusConnectionError)
    await bus.publish(lit(1))
