"""A bus of each kind on a test's broker, with names of the test's own."""

from typing import Any

from eventsource.bus import (
    EventBus,
    InMemoryEventBus,
    KafkaEventBus,
    KafkaEventBusConfig,
    RabbitMQEventBus,
    RabbitMQEventBusConfig,
    RedisEventBus,
    RedisEventBusConfig,
    RetryPolicy,
)
from eventsource.events import EventRegistry

FAST = RetryPolicy(max_tries=3, first_delay_seconds=0.01, max_delay_seconds=0.02)


def make_bus(
    kind: str,
    url: str,
    name: str,
    group: str = "default",
    registry: EventRegistry | None = None,
    **options: Any,
) -> EventBus:
    """`name` keeps tests on one broker apart."""
    options = {"retry": FAST, "consumer_group": group, **options}
    if kind == "in-memory":
        return InMemoryEventBus(retry=options["retry"])
    if kind == "redis":
        settings = {"lease_seconds": 1.0, **options}
        return RedisEventBus(
            RedisEventBusConfig(redis_url=url, stream_prefix=name, **settings), registry
        )
    if kind == "kafka":
        # Tansu lets a consumer join after half of this time. Groups belong to the whole broker.
        settings = {"session_timeout_ms": 2000, "partitions": 2, **options}
        settings["consumer_group"] = f"{name}.{group}"
        return KafkaEventBus(
            KafkaEventBusConfig(bootstrap_servers=url, topic_prefix=name, **settings), registry
        )
    return RabbitMQEventBus(
        RabbitMQEventBusConfig(rabbitmq_url=url, exchange_name=name, **options), registry
    )
