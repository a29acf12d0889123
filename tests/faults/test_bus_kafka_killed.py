"""kill -9 on the course's Kafka-protocol broker, which keeps everything in memory."""

from uuid import uuid4

import pytest

from eventsource import DomainEvent, register_event
from eventsource.bus import EventBus
from eventsource.exceptions import EventBusConnectionError, EventBusError
from tests.buses import make_bus
from tutorial_support.lab import eventually
from tutorial_support.services import KINDS, is_available, private_service


@register_event
class KnotTied(DomainEvent):
    aggregate_type: str = "Rope"
    number: int


async def arrives(bus: EventBus, event: KnotTied) -> bool:
    try:
        await bus.publish([event])
    except EventBusError:
        return False
    return True


@pytest.mark.timeout(300)
async def test_both_sides_come_back_to_a_broker_that_has_forgotten_everything() -> None:
    if not is_available("kafka"):
        pytest.skip(KINDS["kafka"].nothing_found())
    handled: list[KnotTied] = []
    rope = uuid4()
    async with await private_service("kafka") as server:
        publisher, consumer = (make_bus("kafka", server.url, "test") for _ in range(2))
        consumer.subscribe(KnotTied, handled.append)
        consuming = await consumer.start_consuming_in_background()
        first = [KnotTied(aggregate_id=rope, number=n) for n in range(1, 21)]
        await publisher.publish(first)
        await eventually(lambda: handled == first, timeout_seconds=60)

        await server.kill()
        later = [KnotTied(aggregate_id=rope, number=n) for n in range(21, 41)]
        with pytest.raises(EventBusConnectionError):
            await publisher.publish(later[:1])
        await server.restart()

        for event in later:
            await eventually(lambda e=event: arrives(publisher, e), timeout_seconds=90)
        await eventually(lambda: handled[-1] == later[-1], timeout_seconds=90)
        assert not consuming.done()
        # Repeats aside, all of them and in order.
        assert list(dict.fromkeys(event.number for event in handled)) == list(range(1, 41))
        await consumer.shutdown()
        await publisher.shutdown()
