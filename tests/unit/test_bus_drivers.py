"""The drivers of brokers are optional, and nobody pays for one that they do not use."""

import subprocess
import sys
from uuid import uuid4

import pytest

from eventsource import BrokerNotAvailableError, DomainEvent
from eventsource.bus import InMemoryEventBus, RetryPolicy, kafka, rabbitmq, redis


def test_importing_the_library_imports_no_driver() -> None:
    ask = "import sys, eventsource; print({'redis', 'aiokafka', 'aio_pika'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


@pytest.mark.parametrize(
    ("module", "flag", "bus", "extra"),
    [
        (redis, "REDIS_AVAILABLE", redis.RedisEventBus, "redis"),
        (kafka, "KAFKA_AVAILABLE", kafka.KafkaEventBus, "kafka"),
        (rabbitmq, "RABBITMQ_AVAILABLE", rabbitmq.RabbitMQEventBus, "rabbitmq"),
    ],
)
def test_a_bus_without_its_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: object, flag: str, bus: type, extra: str
) -> None:
    monkeypatch.setattr(module, flag, False)
    with pytest.raises(BrokerNotAvailableError, match=rf"\[{extra}\]"):
        bus()


class Ping(DomainEvent):
    aggregate_type: str = "Host"


async def test_an_error_that_no_retry_cures_is_not_retried() -> None:
    calls, errors = [], [TimeoutError("busy"), ValueError("nonsense")]

    def broken(event: DomainEvent) -> None:
        calls.append(event)
        raise errors[len(calls) - 1]

    policy = RetryPolicy(9, 0, retry_on=lambda error: not isinstance(error, ValueError))
    bus = InMemoryEventBus(retry=policy)
    bus.subscribe(Ping, broken)
    await bus.publish([Ping(aggregate_id=uuid4())])
    [letter] = await bus.get_dead_letters()
    assert (len(calls), letter.attempts, bus.stats.handler_errors) == (2, 2, 2)
    assert "nonsense" in letter.reason


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (redis.RedisEventBusConfig, {"batch_size": 0}),
        (redis.RedisEventBusConfig, {"lease_seconds": 0}),
        (kafka.KafkaEventBusConfig, {"partitions": 0}),
        (kafka.KafkaEventBusConfig, {"max_poll_records": 0}),
    ],
)
def test_senseless_settings_are_refused(config: type, values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        config(**values)
