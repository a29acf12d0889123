"""Exercise 17.2: an entry that takes every consumer down is parked, and nothing else is."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from tutorial_support.exercises.model import Exercise, NotYet, Wrong

GROUP = "packers"


class _KilledError(Exception):
    """Stands for the end of the process."""


class _DiesAfterAcknowledging:
    """The client of a process that is killed as soon as it has acknowledged an entry."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    async def xack(self, *arguments: Any, **named: Any) -> None:
        await self._redis.xack(*arguments, **named)
        raise _KilledError


async def _check_park(
    park: Callable[[Any, str, str, str], Awaitable[object]],
    redis: Any,  # the driver's own types say less than its answers
) -> None:
    stream, parked = (f"exercise-{uuid4()}:{name}" for name in ("stream", "parked"))
    try:
        await _three_entries(redis, stream)
        await park(redis, stream, GROUP, parked)
        await _judge(redis, stream, parked)
        await park(redis, stream, GROUP, parked)
        if await redis.xlen(parked) != 1:
            raise NotYet(
                seen="called again, it parked the same entry again",
                expected="an entry that is parked is no longer pending",
                hint=2,
            )
        await redis.delete(stream, parked)
        await _three_entries(redis, stream)
        with suppress(_KilledError):
            await park(_DiesAfterAcknowledging(redis), stream, GROUP, parked)
        if not await redis.xlen(parked):
            raise NotYet(
                seen="killed right after it had acknowledged P1, it left no copy",
                expected="a copy in the parked stream before P1 is acknowledged",
                hint=3,
            )
    finally:
        await redis.delete(stream, parked)


async def _three_entries(redis: Any, stream: str) -> None:
    """One delivered three times, one delivered twice, one once: all pending, with a fourth done."""
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    for number in (1, 2, 3, 4):
        await redis.xadd(stream, {"parcel": f"P{number}"}, id=f"0-{number}")
    await redis.xreadgroup(GROUP, "ann", {stream: ">"}, count=4)
    await redis.xack(stream, GROUP, "0-4")
    await redis.xclaim(stream, GROUP, "bob", 0, ["0-1", "0-2"])
    await redis.xclaim(stream, GROUP, "ann", 0, ["0-1"])


async def _judge(redis: Any, stream: str, parked: str) -> None:
    entries = await redis.xrange(parked) if await redis.exists(parked) else []
    left = [each["message_id"] for each in await redis.xpending_range(stream, GROUP, "-", "+", 10)]
    told = [fields.get("parcel") for _, fields in entries]
    if "0-1" not in left and not told:
        raise NotYet(
            seen="the poison entry is acknowledged, and nowhere else",
            expected="a copy of it in the parked stream, before it is acknowledged",
            hint=3,
        )
    if told and told != ["P1"]:
        raise NotYet(
            seen=f"parked: {', '.join(map(str, told))}",
            expected="P1 alone, with its fields: it was delivered three times",
            hint=1,
        )
    if "0-1" in left:
        raise NotYet(
            seen="P1 is still pending, so it will take down the next consumer",
            expected="P1 acknowledged, once its copy is in the parked stream",
            hint=2,
        )
    if left != ["0-2", "0-3"]:
        raise NotYet(
            seen=f"still pending: {', '.join(left) or 'nothing'}",
            expected="0-2 and 0-3: others are at work on them",
            hint=1,
        )


def _answer(body: str) -> str:
    return f"async def park(redis, stream, group, parked):\n{body}"


LOOK = '    for entry in await redis.xpending_range(stream, group, "-", "+", 100):\n'

PARK = Exercise(
    id="17.2",
    title="Park what was delivered too often",
    task="""
An entry that takes its consumer down is claimed by the next one, takes that down too, and so on.
Write what the shop runs before it claims: every pending entry of the group that was delivered
**three times or more** is copied, with its fields, to the stream `parked`, and is pending no more.
Entries delivered less often stay as they are. No crash in between may lose an entry.
""",
    answer="park",
    given=("redis",),
    time_limit_seconds=5.0,
    stub='''
async def park(redis, stream, group, parked):
    """Move entries delivered three times or more to the stream `parked`."""
    ...
''',
    hints=(
        """
`await redis.xpending_range(stream, group, "-", "+", 100)` lists what is pending, and
`times_delivered` says how often each was given to somebody.
""",
        """
What is acknowledged, with `await redis.xack(stream, group, id)`, is no longer pending. A copy alone
does not do that.
""",
        """
`await redis.xrange(stream, id, id)` gives `[(id, fields)]`. Add the copy first, or both in one
transaction: `async with redis.pipeline(transaction=True) as pipeline:`.
""",
    ),
    solutions=(
        _answer(
            LOOK
            + """        if entry["times_delivered"] >= 3:
            id = entry["message_id"]
            ((_, fields),) = await redis.xrange(stream, id, id)
            async with redis.pipeline(transaction=True) as pipeline:
                pipeline.xadd(parked, fields)
                pipeline.xack(stream, group, id)
                await pipeline.execute()"""
        ),
        _answer(
            """    pending = await redis.xpending_range(stream, group, "-", "+", 100)
    often = {entry["message_id"] for entry in pending if entry["times_delivered"] > 2}
    for id, fields in await redis.xrange(stream):
        if id in often:
            await redis.xadd(parked, {**fields, "came_from": id})
            await redis.xack(stream, group, id)"""
        ),
    ),
    wrong=(
        Wrong(
            _answer(
                LOOK
                + """        id = entry["message_id"]
        ((_, fields),) = await redis.xrange(stream, id, id)
        await redis.xadd(parked, fields)
        await redis.xack(stream, group, id)"""
            ),
            1,
        ),
        Wrong(
            _answer(
                LOOK
                + """        if entry["times_delivered"] >= 3:
            id = entry["message_id"]
            ((_, fields),) = await redis.xrange(stream, id, id)
            await redis.xadd(parked, fields)"""
            ),
            2,
        ),
        Wrong(
            _answer(
                LOOK
                + """        if entry["times_delivered"] >= 3:
            await redis.xack(stream, group, entry["message_id"])"""
            ),
            3,
        ),
        Wrong(
            _answer(
                LOOK
                + """        if entry["times_delivered"] >= 3:
            id = entry["message_id"]
            await redis.xack(stream, group, id)
            ((_, fields),) = await redis.xrange(stream, id, id)
            await redis.xadd(parked, fields)"""
            ),
            3,
        ),
    ),
    check=_check_park,
)
