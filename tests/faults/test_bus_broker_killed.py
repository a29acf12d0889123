"""kill -9 on a broker that keeps its data, with a publisher and a consumer at work."""

import asyncio
from uuid import UUID, uuid4

import pytest

from eventsource import DomainEvent, register_event
from eventsource.exceptions import EventBusConnectionError
from tests.buses import make_bus
from tests.faults.campaign.brokers import are_on_disk
from tutorial_support.lab import eventually
from tutorial_support.services import KINDS, private_service


@register_event
class BeadStrung(DomainEvent):
    aggregate_type: str = "Necklace"
    number: int


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])  # the Kafka-protocol broker keeps nothing
async def test_every_confirmed_event_is_handled_after_the_crash_and_the_bus_comes_back(
    kind: str,
) -> None:
    if KINDS[kind].find() is None:
        pytest.skip(KINDS[kind].nothing_found())
    confirmed: list[UUID] = []
    handled: list[BeadStrung] = []

    async def handle(event: BeadStrung) -> None:
        await asyncio.sleep(0.001)
        handled.append(event)

    async with await private_service(kind) as server:
        publisher, consumer = (make_bus(kind, server.url, "test") for _ in range(2))
        consumer.subscribe(BeadStrung, handle)
        consuming = await consumer.start_consuming_in_background()
        if kind == "rabbitmq":
            queues = {"test.default", "test.default.dlq"}
            await eventually(lambda: are_on_disk(server.folder, queues), timeout_seconds=20)
        necklace, number = uuid4(), 0

        async def publish_until_it_fails() -> None:
            nonlocal number
            while True:
                beads = [BeadStrung(aggregate_id=necklace, number=number + n) for n in (1, 2, 3)]
                await publisher.publish(beads)
                number += 3
                confirmed.extend(bead.event_id for bead in beads)

        publishing = asyncio.create_task(publish_until_it_fails())
        await eventually(lambda: len(confirmed) > 300 and handled, timeout_seconds=30)
        await server.kill()
        await asyncio.wait({publishing}, timeout=30)
        with pytest.raises(EventBusConnectionError):
            publishing.result()
        with pytest.raises(EventBusConnectionError):
            await publisher.publish([BeadStrung(aggregate_id=necklace, number=0)])

        await server.restart()
        await eventually(
            lambda: set(confirmed) <= {bead.event_id for bead in handled}, timeout_seconds=40
        )
        last = BeadStrung(aggregate_id=necklace, number=number + 4)
        await publisher.publish([last])
        await eventually(lambda: last in handled, timeout_seconds=20)
        assert consumer.stats.reconnections > 0
        assert not consuming.done()
        # Repeats aside, in order.
        numbers = list(dict.fromkeys(bead.number for bead in handled))
        assert numbers == sorted(numbers)
        await consumer.shutdown()
        await publisher.shutdown()
