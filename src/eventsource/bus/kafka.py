"""Kafka: one topic of all events, in which each aggregate keeps to one partition."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from eventsource.bus.broker import BrokerEventBus, in_order_per_aggregate, text_headers
from eventsource.bus.dispatch import BUS_RETRIES
from eventsource.bus.message import DeadLetter, Message
from eventsource.events.registry import EventRegistry
from eventsource.exceptions import (
    BrokerNotAvailableError,
    EventBusConnectionError,
    EventBusError,
)
from eventsource.observability import Tracer
from eventsource.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

KAFKA_AVAILABLE: Final = find_spec("aiokafka") is not None
_LONGEST_START_SECONDS = 5.0  # which a cancellation waits for


@dataclass(frozen=True, kw_only=True)
class KafkaEventBusConfig:
    bootstrap_servers: str = "localhost:9092"
    topic_prefix: str = "events"
    consumer_group: str = "default"
    #: of a topic that is not there yet; changing it later moves aggregates to other partitions
    partitions: int = 6
    replication_factor: int = 1  #: of a topic that is not there yet; 3 is usual in production
    max_poll_records: int = 100  #: handled between two commits: the most that come again
    #: how long after its death a consumer's partitions go to the others; in milliseconds
    session_timeout_ms: int = 10_000
    retry: RetryPolicy = BUS_RETRIES
    #: security_protocol, ssl_context, sasl_* and the like, for every client of aiokafka
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    enable_tracing: bool = True

    def __post_init__(self) -> None:
        for name in ("partitions", "replication_factor", "max_poll_records", "session_timeout_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} starts at 1.")

    @property
    def topic_name(self) -> str:
        return f"{self.topic_prefix}.stream"

    @property
    def dlq_topic_name(self) -> str:
        """Each group has dead letters of its own."""
        return f"{self.topic_name}.{self.consumer_group}.dlq"

    @property
    def clients(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.bootstrap_servers, **self.client_options}


class KafkaEventBus(BrokerEventBus):
    """A group gets every event of the topic, from its oldest, also those before the group was.

    The consumers of a group share the partitions. Offsets are committed for what was handled, once
    a batch and before partitions move to another consumer; after a death, up to `max_poll_records`
    handled messages come again. The topics are made if they are missing.

    Dead letters are a compacted topic: the latest value of a key counts, and none means discarded.
    """

    _broker = "Kafka"

    def __init__(
        self,
        config: KafkaEventBusConfig | None = None,
        event_registry: EventRegistry | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        if not KAFKA_AVAILABLE:
            raise BrokerNotAvailableError("aiokafka", "kafka")
        self.config = config = config or KafkaEventBusConfig()
        super().__init__(
            event_registry, retry=config.retry, tracer=tracer, enable_tracing=config.enable_tracing
        )
        self._producer: AIOKafkaProducer | None = None

    @property
    def is_connected(self) -> bool:
        return self._producer is not None

    @property
    def _connection_errors(self) -> tuple[type[Exception], ...]:
        from aiokafka.errors import KafkaError

        return (KafkaError,)

    async def _open(self) -> None:
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(acks="all", **self.config.clients)
        try:
            await _start(producer)
            await self._create_topics()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _create_topics(self) -> None:
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic
        from aiokafka.errors import TopicAlreadyExistsError, for_code

        name, dlq, copies = (
            self.config.topic_name,
            self.config.dlq_topic_name,
            self.config.replication_factor,
        )
        topics = [
            NewTopic(name, self.config.partitions, copies),
            NewTopic(dlq, 1, copies, topic_configs={"cleanup.policy": "compact"}),
        ]
        admin = AIOKafkaAdminClient(**self.config.clients)
        try:
            await _start(admin)
            present = await admin.list_topics()
            answer = await admin.create_topics(
                [each for each in topics if each.name not in present]
            )
        finally:
            await admin.close()
        for topic, code, *_ in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):  # another process was faster
                raise for_code(code)(topic)

    async def _send(self, messages: Sequence[Message]) -> None:
        async def send(message: Message) -> None:
            key = message.headers["aggregate_id"].encode()
            await self._produce(self.config.topic_name, key, message)

        await in_order_per_aggregate(messages, send)

    async def _produce(self, topic: str, key: bytes, message: Message | None) -> None:
        from aiokafka.errors import MessageSizeTooLargeError

        if self._producer is None:
            raise EventBusConnectionError("The bus has been disconnected.")
        headers = message.headers.items() if message else ()
        try:
            await self._producer.send_and_wait(
                topic,
                message.body if message else None,
                key=key,
                headers=[(name, value.encode()) for name, value in headers],
            )
        except MessageSizeTooLargeError as error:  # which no waiting mends
            raise EventBusError(f"Kafka: {error}") from error

    async def _consume(self) -> None:
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            group_id=self.config.consumer_group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self.config.session_timeout_ms,
            heartbeat_interval_ms=max(1, self.config.session_timeout_ms // 6),
            **self.config.clients,
        )
        batches = _Batches(consumer)
        consumer.subscribe([self.config.topic_name], listener=batches.listener())
        try:
            await _start(consumer)
            self._ready.set()
            while not self._stopping.is_set():
                records = await self._unless_stopping(
                    consumer.getmany(timeout_ms=1000, max_records=self.config.max_poll_records)
                )
                await self._handle_batch(batches, records or {})
        finally:
            await consumer.stop()

    async def _handle_batch(self, batches: "_Batches", records: Mapping[Any, Any]) -> None:
        generation = batches.generation
        try:
            for partition, batch in records.items():
                for record in batch:
                    async with batches.handling:
                        # After a rebalance somebody else may be handling the rest.
                        if self._stopping.is_set() or batches.generation != generation:
                            return
                        await self._handle(record)
                        batches.handled[partition] = record.offset + 1
        finally:
            await batches.commit()

    async def _handle(self, record: Any) -> None:
        letter = await self._process(_message(record))
        if letter:
            # The same message always gives the same key: handled twice, it is one dead letter.
            key = f"{record.partition}-{record.offset}".encode()
            await self._produce(self.config.dlq_topic_name, key, letter.to_message())

    async def get_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return list((await self._all_dead_letters()).values())[:limit]

    async def _find_dead_letter(self, letter_id: str) -> DeadLetter | None:
        return (await self._all_dead_letters()).get(letter_id)

    async def discard_dead_letter(self, letter_id: str) -> bool:
        if await self._find_dead_letter(letter_id) is None:
            return False
        async with self._connected():
            await self._produce(self.config.dlq_topic_name, letter_id.encode(), None)
        return True

    async def _all_dead_letters(self) -> dict[str, DeadLetter]:
        letters: dict[str, DeadLetter] = {}
        topic = self.config.dlq_topic_name
        async with self._connected(), self._whole_topic(topic) as records:
            async for record in records:
                letter_id = record.key.decode()
                if record.value is None:
                    letters.pop(letter_id, None)
                else:
                    letters[letter_id] = DeadLetter.from_message(letter_id, _message(record))
        return letters

    @asynccontextmanager
    async def _whole_topic(self, topic: str) -> "AsyncIterator[AsyncIterator[Any]]":
        """The records of partition 0, from the oldest to the one that is the latest now."""
        from aiokafka import AIOKafkaConsumer, TopicPartition

        partition = TopicPartition(topic, 0)
        consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **self.config.clients)
        consumer.assign([partition])

        async def records() -> "AsyncIterator[Any]":
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                for batch in (await consumer.getmany(partition, timeout_ms=1000)).values():
                    for record in batch:
                        yield record

        try:
            await _start(consumer)
            yield records()
        finally:
            await consumer.stop()


async def _start(client: Any) -> None:
    """Start to the end, also when cancelled: or aiokafka forgets a connection that it has opened,
    and `stop` closes none."""
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting}, timeout=_LONGEST_START_SECONDS)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)  # the cancellation says more
        raise


class _Batches:
    """What was handled and not committed yet, and whether the partitions are still ours."""

    def __init__(self, consumer: "AIOKafkaConsumer") -> None:
        self._consumer = consumer
        self.generation = 0
        self.handling = asyncio.Lock()  # held while a message is being handled
        self.handled: dict[Any, int] = {}

    async def commit(self) -> None:
        from aiokafka.errors import CommitFailedError, IllegalStateError

        handled, self.handled = self.handled, {}
        if not handled:
            return
        # Once the partitions have gone to another consumer, that one handles these again.
        with suppress(CommitFailedError, IllegalStateError):
            await self._consumer.commit(handled)

    def listener(self) -> Any:
        from aiokafka import ConsumerRebalanceListener

        batches = self

        class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped driver
            async def on_partitions_revoked(self, revoked: Any) -> None:
                async with batches.handling:
                    batches.generation += 1
                    await batches.commit()

            async def on_partitions_assigned(self, assigned: Any) -> None: ...

        return Listener()


def _message(record: Any) -> Message:
    return Message(text_headers(dict(record.headers)), record.value or b"")
