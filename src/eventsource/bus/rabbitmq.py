"""RabbitMQ: a topic exchange of all events, and a durable queue for each group of consumers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_OID, uuid5

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
    from aio_pika.abc import (
        AbstractChannel,
        AbstractConnection,
        AbstractExchange,
        AbstractIncomingMessage,
        AbstractQueue,
    )

RABBITMQ_AVAILABLE: Final = find_spec("aio_pika") is not None

_TIMEOUT_SECONDS = 10.0
_PREFETCH = 10
# A message that takes its consumer down every time must not come back for ever. Those fetched
# with it share its fate only if no consumer gets one message done in so many attempts.
_MOST_DELIVERIES = 20
# Looking at a dead letter counts as a delivery, and RabbitMQ 4 drops after 20 unless told.
_NEVER_DROP = 2**31 - 1
_LONGEST_ROUTING_KEY = 255


@dataclass(frozen=True, kw_only=True)
class RabbitMQEventBusConfig:
    rabbitmq_url: str = field(
        default="amqp://guest:guest@localhost:5672/", repr=False
    )  # holds a password
    exchange_name: str = "events"
    consumer_group: str = "default"
    ssl_context: SSLContext | None = None  #: for an amqps URL
    retry: RetryPolicy = BUS_RETRIES
    enable_tracing: bool = True

    @property
    def queue_name(self) -> str:
        return f"{self.exchange_name}.{self.consumer_group}"

    @property
    def dlq_queue_name(self) -> str:
        return f"{self.queue_name}.dlq"


class RabbitMQEventBus(BrokerEventBus):
    """A group gets every event from the moment its first consumer started; its queue stays.

    `publish` refuses while there is no queue at all, since nobody would ever get the events. Of
    the consumers of a group RabbitMQ serves one at a time, which keeps events in order, and turns
    to the next when it leaves or dies. The queues are quorum queues: they survive the death of a
    server, and replicate in a cluster. What takes 20 consumers down becomes a dead letter too.

    RabbitMQ (seen in 3.10) writes down a second late that there is a new quorum queue. If the only
    server that has it dies within that second, the queue comes back empty, and without a leader:
    nobody gets its events until an operator deletes it. So start the consumers before you publish
    anything that matters, once, and in production keep queues on three servers.
    """

    _broker = "RabbitMQ"

    def __init__(
        self,
        config: RabbitMQEventBusConfig | None = None,
        event_registry: EventRegistry | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        if not RABBITMQ_AVAILABLE:
            raise BrokerNotAvailableError("aio-pika", "rabbitmq")
        self.config = config = config or RabbitMQEventBusConfig()
        super().__init__(
            event_registry, retry=config.retry, tracer=tracer, enable_tracing=config.enable_tracing
        )
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None

    @property
    def is_connected(self) -> bool:
        channel = self._channel
        return channel is not None and not channel.is_closed

    @property
    def _connection_errors(self) -> tuple[type[Exception], ...]:
        from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

        return AMQPError, ChannelInvalidStateError

    async def _open(self) -> None:
        import aio_pika

        await self._close()
        connection = await aio_pika.connect(
            self.config.rabbitmq_url,
            timeout=_TIMEOUT_SECONDS,
            ssl_context=self.config.ssl_context,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                exchange = await channel.declare_exchange(
                    self.config.exchange_name, aio_pika.ExchangeType.TOPIC, durable=True
                )
        except BaseException:
            await connection.close()
            raise
        self._connection, self._channel, self._exchange = connection, channel, exchange

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._channel = self._exchange = None
        if connection is not None:
            await connection.close()

    async def _send(self, messages: Sequence[Message]) -> None:
        from aio_pika.exceptions import PublishError

        if (exchange := self._exchange) is None:
            raise EventBusConnectionError("The bus has been disconnected.")

        async def send(message: Message) -> None:
            headers = message.headers
            key = f"{headers['aggregate_type']}.{headers['event_type']}"
            if len(key.encode()) > _LONGEST_ROUTING_KEY:
                raise EventBusError(
                    f"RabbitMQ takes routing keys of up to {_LONGEST_ROUTING_KEY} bytes: {key}"
                )
            await exchange.publish(
                _outgoing(message, headers["event_id"]),
                key,
                mandatory=True,
                timeout=_TIMEOUT_SECONDS,
            )

        try:
            await in_order_per_aggregate(messages, send)
        except PublishError as error:
            raise EventBusConnectionError(
                f"No queue takes events of exchange '{self.config.exchange_name}'. Start a "
                "consumer once: its group's queue then keeps events while it is away."
            ) from error

    async def _consume(self) -> None:
        async with self._open_channel() as channel:
            incoming: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
            channel.close_callbacks.add(lambda *_: incoming.put_nowait(None))
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    await self._subscribe(channel, incoming)
            except TimeoutError as error:  # RabbitMQ keeps the request until there is a leader
                raise EventBusConnectionError(
                    f"RabbitMQ: queue '{self.config.queue_name}' has no leader that answers."
                ) from error
            self._ready.set()
            while not self._stopping.is_set():
                message = await self._unless_stopping(incoming.get())
                if message is not None:
                    await self._handle(channel, message)
                elif channel.is_closed:
                    raise ConnectionError("the channel was closed")

    async def _subscribe(
        self, channel: "AbstractChannel", incoming: "asyncio.Queue[AbstractIncomingMessage | None]"
    ) -> None:
        await channel.set_qos(prefetch_count=_PREFETCH)
        queue = await self._declare_queue(channel)
        exchange = await channel.get_exchange(self.config.exchange_name, ensure=False)
        await queue.bind(exchange, "#")
        await queue.consume(incoming.put)

    async def _handle(self, channel: "AbstractChannel", message: "AbstractIncomingMessage") -> None:
        letter = await self._process(_incoming(message))
        if letter:
            await channel.default_exchange.publish(
                _outgoing(letter.to_message(), letter.id),
                self.config.dlq_queue_name,
                timeout=_TIMEOUT_SECONDS,
            )
        await message.ack()

    async def _declare_queue(self, channel: "AbstractChannel") -> "AbstractQueue":
        await self._declare_dlq(channel)
        return await channel.declare_queue(
            self.config.queue_name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-delivery-limit": _MOST_DELIVERIES,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.config.dlq_queue_name,
            },
        )

    async def _declare_dlq(self, channel: "AbstractChannel") -> "AbstractQueue":
        return await channel.declare_queue(
            self.config.dlq_queue_name,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-delivery-limit": _NEVER_DROP},
        )

    @asynccontextmanager
    async def _open_channel(self) -> "AsyncIterator[AbstractChannel]":
        """A channel of its own; what it has not acknowledged goes back when it closes."""
        if self._connection is None:
            raise EventBusConnectionError("The bus has been disconnected.")
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        try:
            yield channel
        finally:
            await channel.close()

    async def get_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        async with self._dead_letters() as letters:
            return [letter for letter, _ in letters][:limit]

    async def _find_dead_letter(self, letter_id: str) -> DeadLetter | None:
        async with self._dead_letters() as letters:
            return next((letter for letter, _ in letters if letter.id == letter_id), None)

    async def discard_dead_letter(self, letter_id: str) -> bool:
        async with self._dead_letters() as letters:
            for letter, message in letters:
                if letter.id == letter_id:
                    await message.ack()
                    return True
        return False

    @asynccontextmanager
    async def _dead_letters(
        self,
    ) -> "AsyncIterator[list[tuple[DeadLetter, AbstractIncomingMessage]]]":
        """All of them, taken from the queue until the block ends: RabbitMQ cannot only look."""
        async with self._connected(), self._open_channel() as channel:
            queue = await self._declare_dlq(channel)
            letters: list[tuple[DeadLetter, AbstractIncomingMessage]] = []
            while (message := await queue.get(fail=False)) is not None:
                letter_id = message.message_id or str(uuid5(NAMESPACE_OID, repr(message.body)))
                letters.append((DeadLetter.from_message(letter_id, _incoming(message)), message))
            # What is given back does not come back in order.
            yield sorted(letters, key=lambda entry: entry[0].failed_at)


def _outgoing(message: Message, message_id: str) -> Any:
    from aio_pika import DeliveryMode
    from aio_pika import Message as OutgoingMessage

    return OutgoingMessage(
        message.body,
        headers=dict(message.headers),
        message_id=message_id,
        type=message.headers.get("event_type"),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def _incoming(message: "AbstractIncomingMessage") -> Message:
    return Message(text_headers(message.headers), message.body)
