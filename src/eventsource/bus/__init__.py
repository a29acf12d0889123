"""Event buses: one port, one file per broker. A broker's driver is imported when it is used."""

from eventsource.bus.interface import BusStats, EventBus
from eventsource.bus.kafka import KAFKA_AVAILABLE, KafkaEventBus, KafkaEventBusConfig
from eventsource.bus.memory import InMemoryEventBus
from eventsource.bus.message import DeadLetter, Message
from eventsource.bus.rabbitmq import RABBITMQ_AVAILABLE, RabbitMQEventBus, RabbitMQEventBusConfig
from eventsource.bus.redis import REDIS_AVAILABLE, RedisEventBus, RedisEventBusConfig
from eventsource.retries import RetryPolicy

__all__ = [
    "KAFKA_AVAILABLE",
    "RABBITMQ_AVAILABLE",
    "REDIS_AVAILABLE",
    "BusStats",
    "DeadLetter",
    "EventBus",
    "InMemoryEventBus",
    "KafkaEventBus",
    "KafkaEventBusConfig",
    "Message",
    "RabbitMQEventBus",
    "RabbitMQEventBusConfig",
    "RedisEventBus",
    "RedisEventBusConfig",
    "RetryPolicy",
]
