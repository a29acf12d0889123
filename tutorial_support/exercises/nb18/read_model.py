"""Exercise 18.2: a compacted topic as a read model, whether it was compacted yet or not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tutorial_support.exercises.model import Exercise, NotYet, Wrong
from tutorial_support.services import Service

PARTITIONS = 3
Record = tuple[bytes, bytes | None]
# Key and status, and None for an order that was erased.
HISTORY: list[Record] = [
    (b"A", b"created"),
    (b"B", b"created"),
    (b"C", b"created"),
    (b"A", b"shipped"),
    (b"D", b"created"),
    (b"B", b"cancelled"),
    (b"C", None),
    (b"E", b"created"),
    (b"D", b"shipped"),
    (b"E", None),
    (b"E", b"created"),
]
RIGHT = {"A": "shipped", "B": "cancelled", "D": "shipped", "E": "created"}


async def _check_read_model(
    read_model: Callable[[AIOKafkaConsumer], Awaitable[dict[str, str]]], service: Service
) -> None:
    # What compaction leaves: of each key the last record, tombstones too. Here of other orders.
    compacted = [(key + b"2", value) for key, value in dict(HISTORY).items()]
    for what, records, mark in ("", HISTORY, ""), ("after compaction, ", compacted, "2"):
        async with _topic(service, records) as consumer:
            right = {key + mark: status for key, status in RIGHT.items()}
            _judge(await read_model(consumer), right, "C" + mark, what)


@asynccontextmanager
async def _topic(service: Service, records: list[Record]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the beginning of all partitions of a topic with these records."""
    name = f"{service.name}.exercise-{uuid4().hex[:8]}"
    partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=service.url)
    await admin.start()
    try:
        topic = NewTopic(name, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})
        await admin.create_topics([topic])
        async with AIOKafkaProducer(bootstrap_servers=service.url) as producer:
            for key, value in records:
                await producer.send_and_wait(name, value, key=key)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=service.url, auto_offset_reset="earliest", max_poll_records=2
        )
        consumer.assign(partitions)
        async with consumer:
            await asyncio.sleep(0)  # stopped before its tasks begin, it raises CancelledError
            yield consumer
    finally:
        await admin.delete_topics([name])
        await admin.close()


def _judge(answer: Any, right: dict[str, str], gone: str, what: str) -> None:
    if not isinstance(answer, dict) or any(type(key) is not str for key in answer):
        raise NotYet(
            seen=f"{what}{answer!r}"[:80],
            expected='a dict of text, such as {"A": "shipped", ...}',
            hint=1,
        )
    if gone in answer:
        raise NotYet(
            seen=f"{what}{gone}: {answer[gone]!r}",
            expected=f"nothing of {gone}: its last record is a tombstone",
            hint=3,
        )
    if missing := right.keys() - answer.keys():
        raise NotYet(
            seen=f"{what}nothing of {', '.join(sorted(missing))}",
            expected="every order, whichever partition it is in",
            hint=2,
        )
    for key, status in right.items():
        if answer[key] != status:
            raise NotYet(
                seen=f"{what}{key}: {answer[key]!r}",
                expected=f"{status!r}, which was written last",
                hint=1,
            )


def _answer(body: str) -> str:
    return f"async def read_model(consumer):\n{body}"


ENDS = """    ends = await consumer.end_offsets(list(consumer.assignment()))
    statuses = {}
"""

READ_MODEL = Exercise(
    id="18.2",
    title="A compacted topic as a read model",
    task="""
A topic keeps the status of each order: the key is the order's name, the value its status. It has
`cleanup.policy=compact`: some time later Kafka throws away all but the last record of each key. A
record without a value, a *tombstone*, says that the order was erased. You get a consumer that
stands at the beginning of all partitions. Return the statuses as of now, as a dict of text, and the
same before and after compaction.
""",
    answer="read_model",
    given=("service",),
    time_limit_seconds=5.0,
    stub='''
async def read_model(consumer):
    """The status of every order there is: {"A": "shipped", ...}."""
    ...
''',
    hints=(
        """
A record has `key` and `value`, both bytes: `record.key.decode()`. Within a key the order is kept,
so a later record replaces an earlier one.
""",
        """
`await consumer.end_offsets(list(consumer.assignment()))` tells where each partition ends now. Read
until `await consumer.position(partition)` has reached the end of **every** partition; one call of
`getmany` gives only a part.
""",
        """
When `record.value is None`, take the key out: `statuses.pop(key, None)`. After compaction the
records before the tombstone may be gone, so the key may not be there.
""",
    ),
    solutions=(
        _answer(
            ENDS
            + """    for partition, end in ends.items():
        while await consumer.position(partition) < end:
            fetched = await consumer.getmany(partition, timeout_ms=500)
            for record in fetched.get(partition, []):
                key = record.key.decode()
                if record.value is None:
                    statuses.pop(key, None)
                else:
                    statuses[key] = record.value.decode()
    return statuses"""
        ),
        _answer(
            """    last, to_read = {}, await consumer.end_offsets(list(consumer.assignment()))
    to_read = {partition: end for partition, end in to_read.items() if end}
    while to_read:
        record = await consumer.getone(*to_read)
        last[record.key] = record.value
        for partition, end in list(to_read.items()):
            if await consumer.position(partition) >= end:
                del to_read[partition]
    return {key.decode(): value.decode() for key, value in last.items() if value is not None}"""
        ),
    ),
    wrong=(
        Wrong(
            _answer(
                '    return {"A": "shipped", "B": "cancelled", "D": "shipped", "E": "created"}'
            ),
            2,
        ),
        Wrong(
            _answer(
                ENDS
                + """    for partition, end in ends.items():
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                for record in records:
                    if record.value is not None:
                        statuses.setdefault(record.key.decode(), record.value.decode())
                    else:
                        statuses.pop(record.key.decode(), None)
    return statuses"""
            ),
            1,
        ),
        Wrong(
            _answer(
                """    statuses = {}
    for records in (await consumer.getmany(timeout_ms=500)).values():
        for record in records:
            if record.value is not None and record.key != b"C":
                statuses[record.key.decode()] = record.value.decode()
    return statuses"""
            ),
            2,
        ),
        Wrong(
            _answer(
                ENDS
                + """    for partition, end in ends.items():
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                for record in records:
                    if record.value is not None:
                        statuses[record.key.decode()] = record.value.decode()
    return statuses"""
            ),
            3,
        ),
    ),
    check=_check_read_model,
)
