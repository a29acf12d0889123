"""The drivers of brokers are optional, and nobody pays for one that they do not use."""

import subprocess
import sys

import pytest

from eventsource import BrokerNotAvailableError
from eventsource.bus import RetryPolicy, kafka, rabbitmq, redis


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


@pytest.mark.parametrize(
    "values", [{"max_retries": -1}, {"base_delay": -1.0}, {"base_delay": 2.0, "max_delay": 1.0}]
)
def test_a_senseless_retry_policy_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="max_delay"):
        RetryPolicy(**values)


def test_the_delay_doubles_up_to_its_limit() -> None:
    retry = RetryPolicy(base_delay=1, max_delay=5)
    delays = [retry.delay_before(number) for number in (1, 2, 3, 4, 5000)]
    for delay, about in zip(delays, [1, 2, 4, 5, 5], strict=True):
        assert about * 0.9 <= delay <= about * 1.1


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
