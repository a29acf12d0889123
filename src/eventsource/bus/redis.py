"""Redis Streams: one stream of all events, and a group of consumers for each purpose."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from eventsource.bus.broker import BrokerEventBus, text_headers
from eventsource.bus.dispatch import BUS_RETRIES
from eventsource.bus.message import DeadLetter, Message
from eventsource.events.registry import EventRegistry
from eventsource.exceptions import BrokerNotAvailableError, EventBusConnectionError
from eventsource.observability import Tracer
from eventsource.retries import RetryPolicy

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.lock import Lock

REDIS_AVAILABLE: Final = find_spec("redis") is not None

_PAYLOAD = b"payload"
_BLOCK_SECONDS = 2.0
_TIMEOUT_SECONDS = 10.0  # longer than a read blocks

Entry = tuple[bytes, dict[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class RedisEventBusConfig:
    redis_url: str = field(default="redis://localhost:6379", repr=False)  # may hold a password
    stream_prefix: str = "events"
    consumer_group: str = "default"
    batch_size: int = 100  #: most messages that one read fetches
    lease_seconds: float = 10.0  #: how long after its death another consumer takes over
    max_stream_length: int | None = None  #: drop the oldest events beyond it, read or not
    retry: RetryPolicy = BUS_RETRIES
    enable_tracing: bool = True

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.lease_seconds <= 0:
            raise ValueError("batch_size and lease_seconds must be more than 0.")

    @property
    def stream_name(self) -> str:
        return f"{self.stream_prefix}:stream"

    @property
    def dlq_stream_name(self) -> str:
        """Each group has dead letters of its own."""
        return f"{self.stream_name}:{self.consumer_group}:dlq"

    @property
    def lease_name(self) -> str:
        return f"{self.stream_name}:{self.consumer_group}:lease"


class RedisEventBus(BrokerEventBus):
    """A group gets every event of the stream, from its oldest, also those before the group was.

    Of the consumers of a group one works at a time, which keeps events in order; the others stand
    by, and one takes over when it leaves or its lease ends. It begins with what the last one did
    not acknowledge. A consumer that hangs for longer than its lease may still finish a message
    that its successor handles as well.

    Redis confirms what it has in memory. Whether that survives depends on its settings:
    `appendonly yes` survives the death of its process, `appendfsync always` that of its machine.
    """

    _broker = "Redis"

    def __init__(
        self,
        config: RedisEventBusConfig | None = None,
        event_registry: EventRegistry | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        if not REDIS_AVAILABLE:
            raise BrokerNotAvailableError("redis", "redis")
        self.config = config = config or RedisEventBusConfig()
        super().__init__(
            event_registry, retry=config.retry, tracer=tracer, enable_tracing=config.enable_tracing
        )
        self._client: Redis | None = None
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"

    @property
    def is_connected(self) -> bool:
        return self._client is not None

    @property
    def _redis(self) -> "Redis":
        if self._client is None:
            raise EventBusConnectionError("The bus has been disconnected.")
        return self._client

    async def _open(self) -> None:
        from redis.asyncio import Redis

        client = Redis.from_url(
            self.config.redis_url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS / 2,
        )
        try:
            await client.echo("")
        except BaseException:
            await client.aclose()
            raise
        self._client = client

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @property
    def _connection_errors(self) -> tuple[type[Exception], ...]:
        from redis.exceptions import RedisError

        return (RedisError,)

    async def _send(self, messages: Sequence[Message]) -> None:
        # One transaction: all of them arrive, side by side, or none.
        async with self._redis.pipeline(transaction=True) as pipeline:
            for message in messages:
                pipeline.xadd(
                    self.config.stream_name,
                    _fields(message),
                    maxlen=self.config.max_stream_length,
                    approximate=True,
                )
            await pipeline.execute()

    async def _consume(self) -> None:
        await self._create_group()
        self._ready.set()
        async with self._lease() as lease:
            if lease is None:
                return
            work = asyncio.create_task(self._work())
            renewal = asyncio.create_task(self._renew(lease))
            try:
                await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                first = [task for task in (work, renewal) if task.done()]
                work.cancel()
                renewal.cancel()
                await asyncio.gather(work, renewal, return_exceptions=True)
            for task in first:
                task.result()

    async def _create_group(self) -> None:
        from redis.exceptions import ResponseError

        try:
            await self._redis.xgroup_create(
                self.config.stream_name, self.config.consumer_group, id="0", mkstream=True
            )
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator["Lock | None"]:
        """The right to be the group's one consumer; None if the bus is to stop first."""
        from redis.exceptions import RedisError

        seconds = self.config.lease_seconds
        lease = self._redis.lock(self.config.lease_name, timeout=seconds, sleep=seconds / 20)
        acquired = await self._unless_stopping(lease.acquire())
        try:
            yield lease if acquired else None
        finally:
            with suppress(RedisError):  # it ends by itself
                if await lease.owned():
                    await lease.release()

    async def _renew(self, lease: "Lock") -> None:
        while True:
            await asyncio.sleep(self.config.lease_seconds / 4)
            await lease.reacquire()

    async def _work(self) -> None:
        async with aclosing(self._entries()) as entries:
            async for entry_id, fields in entries:
                letter = await self._process(_message(fields))
                await self._acknowledge(entry_id, letter)
                if self._stopping.is_set():
                    return

    async def _acknowledge(self, entry_id: bytes, letter: DeadLetter | None) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            if letter:
                pipeline.xadd(self.config.dlq_stream_name, _fields(letter.to_message()))
            pipeline.xack(self.config.stream_name, self.config.consumer_group, entry_id)
            await pipeline.execute()

    async def _entries(self) -> AsyncGenerator[Entry, None]:
        """What others left unacknowledged, then what is new."""
        stream, group, count = (
            self.config.stream_name,
            self.config.consumer_group,
            self.config.batch_size,
        )
        start = b"0-0"
        while not self._stopping.is_set():
            claimed: Any = await self._redis.xautoclaim(
                stream, group, self._name, min_idle_time=0, start_id=start, count=count
            )
            start = claimed[0]
            for entry in claimed[1]:
                yield entry
            if start == b"0-0":
                break
        while not self._stopping.is_set():
            read: Any = await self._unless_stopping(
                self._redis.xreadgroup(
                    group,
                    self._name,
                    {stream: ">"},
                    count=count,
                    block=int(_BLOCK_SECONDS * 1000),
                )
            )
            for _, entries in read or ():
                for entry in entries:
                    yield entry

    async def get_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return await self._range("-", "+", limit)

    async def _find_dead_letter(self, letter_id: str) -> DeadLetter | None:
        return next(iter(await self._range(letter_id, letter_id, 1)), None)

    async def _range(self, first: str, last: str, limit: int) -> list[DeadLetter]:
        async with self._connected():
            entries: Any = await self._redis.xrange(
                self.config.dlq_stream_name, first, last, count=limit
            )
        return [
            DeadLetter.from_message(entry_id.decode(), _message(fields))
            for entry_id, fields in entries
        ]

    async def discard_dead_letter(self, letter_id: str) -> bool:
        async with self._connected():
            deleted: Any = await self._redis.xdel(self.config.dlq_stream_name, letter_id)
        return bool(deleted)


def _fields(message: Message) -> dict[Any, Any]:
    return {**message.headers, _PAYLOAD: message.body}


def _message(fields: Mapping[bytes, bytes]) -> Message:
    headers = {name: value for name, value in fields.items() if name != _PAYLOAD}
    return Message(text_headers(headers), fields.get(_PAYLOAD, b""))
