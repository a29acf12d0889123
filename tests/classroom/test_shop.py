"""What tutorials 17 to 19 share: the worker that is killed, and how deliveries are judged."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventsource.bus import RedisEventBus, RedisEventBusConfig
from tutorial_support.database import open_database
from tutorial_support.lab import Ids
from tutorial_support.shop import Shop, compare, handled_twice, in_order, open_shop, takeover


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    async with await open_database("shop", url=database_url) as db:
        opened = await open_shop(db)
        yield opened
        await opened.close()


async def test_a_killed_worker_has_done_its_work_and_acknowledged_none_of_the_last(
    shop: Shop, redis_url: str
) -> None:
    placed = await shop.place_orders(Ids(1), 3)
    config = RedisEventBusConfig(redis_url=redis_url, stream_prefix=f"test-{uuid4()}")
    bus = RedisEventBus(config)
    assert await shop.publish_to(bus) == len(placed) == 6

    worker = await shop.start_worker(config, "first", hangs_at=2)
    rows = await shop.wait_for("default", 2)
    await worker.kill()

    assert [row["event_id"] for row in rows] == [event.event_id for event in placed[:2]]
    assert {row["worker"] for row in await shop.deliveries("default")} == {"first"}
    bus.subscribe_to_all_events(shop.notes("default", "second"))
    await bus.start_consuming_in_background()
    rows = await shop.wait_for("default", 6)
    assert handled_twice(rows) == 1
    assert in_order(rows)
    assert [step.label for step in takeover(rows)][2] == "killed"
    await bus.shutdown()


def row(number: int, order: UUID, kind: str, event: UUID | None = None) -> dict[str, Any]:
    return {"number": number, "order_id": order, "event_type": kind, "event_id": event or uuid4()}


def test_an_order_that_is_shipped_before_it_is_created_is_out_of_order() -> None:
    one, two = uuid4(), uuid4()
    good = [row(1, one, "OrderCreated"), row(2, two, "OrderCreated"), row(3, one, "OrderShipped")]

    assert in_order(good)
    assert not in_order([row(1, one, "OrderShipped"), row(2, one, "OrderCreated")])


def test_a_comparison_keeps_the_last_figures_of_the_other_brokers(
    empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare("Redis", {"order": True})
    compare("Kafka", {"order": "per key"})

    assert json.loads((empty_cache / "brokers.json").read_text()) == {
        "Redis": {"order": "True"},
        "Kafka": {"order": "per key"},
    }
    shown = capsys.readouterr().out
    assert "order     True   ?      ?" in shown
    assert "order     True   per key  ?" in shown
